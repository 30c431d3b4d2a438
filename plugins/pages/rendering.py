"""The pages as HTML: what the templates get to know, and how numbers and times are written."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from plugins.pages.chart import chart_of
from plugins.pages.palette import DARK, LIGHT, declarations
from plugins.pages.runs import DagRuns
from roundtrip.contracts.report_addresses import browser_address
from roundtrip.monitoring.months import Month
from roundtrip.monitoring.overview import UseCaseOverview, UseCaseSummary

TEMPLATES = Path(__file__).parent / "templates"
LITTLE = 0.1
"""PSI below which an input hardly moved (Siddiqi, Credit Risk Scorecards, 2006)."""
MOST_INPUTS = 12
"""Inputs in the table of effects: those that moved most."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who looks, and from where."""

    name: str
    airflow: str
    """Path of Airflow's UI: empty, or what the server is mounted under."""
    may_retrain: bool = False
    may_roll_back: bool = False


@dataclass(frozen=True)
class Page:
    """HTML, with the headers under which a browser may show it."""

    html: str
    headers: Mapping[str, str]


def index_page(summaries: Sequence[UseCaseSummary], reader: Reader) -> Page:
    """Every use case that the reader may see."""
    return _rendered("index.html", reader, summaries=summaries)


def use_case_page(
    overview: UseCaseOverview, dags: Sequence[DagRuns], checks: Mapping[str, tuple[str, str]], reader: Reader, links: Mapping[str, str]
) -> Page:
    """The page of a use case. `checks`: run folder → (DAG id, run id) of the drift checks; `links`: title → address of other tools."""
    return _rendered(
        "use_case.html", reader, overview=overview, chart=chart_of(overview), effects=_effects(overview.months), dags=dags, checks=checks,
        links=links,
    )  # fmt: skip


def runbook_page(content: str, reader: Reader) -> Page:
    """`content`: HTML of our own (runbook.py)."""
    return _rendered("runbook.html", reader, content=content)


def problem_page(status: int, told: str, reader: Reader) -> Page:
    """What a browser is shown instead of a page: 401, 403, 404 …"""
    return _rendered("problem.html", reader, status=status, told=told)


def _rendered(template: str, reader: Reader, **values: object) -> Page:
    nonce = secrets.token_urlsafe(16)
    html = _templates().get_template(template).render(reader=reader, nonce=nonce, light=LIGHT, dark=DARK, **values)
    own = f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    headers = {
        "Content-Security-Policy": f"default-src 'none'; {own}; form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-store",
    }
    return Page(html, headers)


@dataclass(frozen=True)
class _Cell:
    """An input's effect in a month: as text, the style's class, and what it means."""

    text: str
    kind: str = "flat"
    told: str = ""


@dataclass(frozen=True)
class _Effect:
    """An input's row in the table of effects."""

    name: str
    cells: tuple[_Cell, ...]
    """One a month."""


def _effects(months: Sequence[Month]) -> list[_Effect]:
    """The inputs that moved most in any month, the most first; none below LITTLE."""
    largest: dict[str, float] = {}
    for month in months:
        for name, found in month.inputs.items():
            largest[name] = max(largest.get(name, 0.0), found.effect or 0.0)
    names = sorted((name for name in largest if largest[name] >= LITTLE), key=lambda name: -largest[name])
    return [_Effect(name, tuple(_cell(month, name) for month in months)) for name in names[:MOST_INPUTS]]


def _cell(month: Month, name: str) -> _Cell:
    found = month.inputs.get(name)
    if found is None or found.effect is None:
        return _Cell("–", told=found.note if found else "not measured")
    ends = (found.effect_low, found.effect_high)
    interval = f"95 %: {ends[0]:.2f} to {ends[1]:.2f}" if ends[0] is not None and ends[1] is not None else ""
    kind = "drifted" if found.drifted else "some" if found.effect >= LITTLE else "flat"
    return _Cell(f"{found.effect:.2f}", kind, "; ".join(text for text in (interval, found.note) if text))


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    templates.globals |= {"declarations": declarations, "opened": _opened, "days": _days, "quoted": _quoted}
    templates.filters |= {"number": _number, "minutes": _decimals, "moment": _moment, "lasted": _lasted}
    return templates


def _opened(links: Mapping[str, str]) -> dict[str, str]:
    """Title → address, of what a browser opens."""
    addresses = {title: browser_address(address) for title, address in links.items()}
    return {title: address for title, address in addresses.items() if address.startswith(("http://", "https://"))}


def _number(value: float) -> str:
    return f"{value:,}"


def _decimals(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _moment(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def _days(value: timedelta) -> str:
    return f"{value / timedelta(days=1):,.0f} d"


def _lasted(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _quoted(text: str) -> str:
    return quote(text, safe="")
