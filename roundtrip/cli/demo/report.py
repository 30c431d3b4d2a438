"""The demo's report: one HTML file with the chart inside, which opens without a network, light or dark as the browser asks."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from roundtrip.cli.demo.chart import DARK, LIGHT, chart_png
from roundtrip.cli.demo.summary import Month, Release, RunSeconds, Summary

MONTH_HEADINGS = ("Month", "Rows", "Model", "MAE (min)", "Baseline MAE", "Skill (95 %)", "Lost since release", "Verdict", "Action")
RELEASE_HEADINGS = (
    "Version", "Trained on", "Rows", "Held-out MAE", "Baseline", "Champion on the same rows", "Boosted trees on them", "Engine", "Run took",
)  # fmt: skip

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #5b6470; --line: #d6dae0; --ground: #ffffff; --link: #0b62d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --quiet: #98a1ad; --line: #363c45; --ground: #14171c; --link: #6aa8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; } p { max-width: 46rem; }
.quiet { color: var(--quiet); } a { color: var(--link); } img { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); white-space: nowrap; } summary { cursor: pointer; padding: .25rem 0; }
"""


def report_html(summary: Summary) -> str:
    """The whole page."""
    sections = [
        f"<h1>{escape(summary.title)}: {_span(summary)}</h1>",
        f'<p class="quiet">{_headline(summary)}</p>',
        _picture(summary),
        _section("Month by month", _table(MONTH_HEADINGS, [month_cells(month) for month in summary.months]) + _decisions(summary.months)),
        _section("Releases", _table(RELEASE_HEADINGS, [_release_cells(release) for release in summary.releases])),
        _section("Requests", f"<p>{escape(requests_sentence(summary))}</p>"),
        _section("Where to look", _links(summary.links.items())),
        _section("Seconds", "".join(_run_details(run) for run in summary.runs)),
        _section("Table versions", _table(("Table", "Delta version"), [(t, str(v)) for t, v in summary.table_versions.items()])),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(summary.title)}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n' + "\n".join(sections) + "\n</body></html>\n"
    )


def month_cells(month: Month) -> tuple[str, ...]:
    """A month's row of the table, in the order of MONTH_HEADINGS; `–` where nothing was measured."""
    skill = "–" if month.skill is None else f"{month.skill:.3f} ({month.skill_low:.3f}–{month.skill_high:.3f})"
    return (
        month.partition, f"{month.rows:,}", month.model_version, _minutes(month.mae), _minutes(month.baseline_mae), skill,
        "–" if month.loss is None else f"{month.loss * 100:+.1f} points", month.verdict, month.action,
    )  # fmt: skip


def requests_sentence(summary: Summary) -> str:
    requests = summary.requests
    answers = ", ".join(f"{number:,} by version {version}" for version, number in requests.answers.items()) or "none"
    failure = f" First failure: {requests.first_failure}" if requests.failed else ""
    return f"{requests.sent:,} sent while all this went on, {requests.failed:,} failed; answered {answers}.{failure}"


def _headline(summary: Summary) -> str:
    retrains = sum(month.action == "retrain" for month in summary.months)
    trained = f"First trained on {summary.trained_on[0]} to {summary.trained_on[-1]}; {len(summary.months)} months replayed since"
    return escape(f"{trained}, {retrains} of them asked for a retrain. Its runs took {summary.seconds:,.0f} s.")


def _span(summary: Summary) -> str:
    months = [*summary.trained_on, *(month.partition for month in summary.months)]
    return escape(f"{months[0]} to {months[-1]}") if months else "no months yet"


def _picture(summary: Summary) -> str:
    light, dark = (
        f"data:image/png;base64,{base64.b64encode(chart_png(summary.months, summary.releases, colours)).decode()}"
        for colours in (LIGHT, DARK)
    )
    told = "; ".join(f"{m.partition}: {_minutes(m.mae)} against {_minutes(m.baseline_mae)} min, {m.verdict}" for m in summary.months)
    return f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}"><img alt="{escape(told)}" src="{light}"></picture>'


def _decisions(months: Sequence[Month]) -> str:
    return "".join(
        f"<details><summary>{escape(month.partition)}: {escape(month.action)}</summary><ul>"
        + "".join(f"<li>{escape(reason)}</li>" for reason in month.reasons)
        + f"</ul>{_links(month.links.items())}</details>"
        for month in months
    )


def _release_cells(release: Release) -> tuple[str, ...]:
    return (
        release.version, release.partitions, f"{release.rows:,}", _minutes(release.mae), _minutes(release.baseline_mae),
        _minutes(release.champion_mae), _minutes(release.yardstick_mae), release.engine, f"{release.seconds:.0f} s",
    )  # fmt: skip


def _run_details(run: RunSeconds) -> str:
    tasks = _table(("Task", "State", "Seconds"), [(task.task, task.state, f"{task.seconds:.1f}") for task in run.tasks])
    return f"<details><summary>{escape(f'{run.dag} {run.partition}: {run.state}, {run.seconds:.0f} s')}</summary>{tasks}</details>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _links(links: Iterable[tuple[str, str]]) -> str:
    """Titles and addresses; only addresses that a browser opens become links."""
    entries = (
        f'<li><a href="{escape(address)}">{escape(title)}</a></li>'
        if address.startswith(("http://", "https://"))
        else f'<li>{escape(title)}: <span class="quiet">{escape(address)}</span></li>'
        for title, address in links
    )
    return f"<ul>{''.join(entries)}</ul>"


def _minutes(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
