"""The demo's last page: summary.json, chart.png, report.html, and what the terminal says."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from roundtrip.cli.demo.chart import LIGHT, chart_png
from roundtrip.cli.demo.driver import Outside
from roundtrip.cli.demo.plan import Calendar
from roundtrip.cli.demo.report import MONTH_HEADINGS, month_cells, report_html, requests_sentence
from roundtrip.cli.demo.summary import (
    Summary,
    busy_seconds,
    month_of,
    release_of,
    requests_of,
    run_seconds,
    summary_json,
    table_versions,
)
from roundtrip.cli.demo.watch import receipts_of, utc_now
from roundtrip.contracts.settings import Settings

TERMINAL_HEADINGS = ("Month", "Model", "MAE (min)", "Baseline MAE", "Skill (95 %)", "Verdict", "Action")
"""What fits on 80 columns; the report has the rest."""


def summarize(outside: Outside, calendar: Calendar, links: dict[str, str]) -> Summary:
    """What happened, from Airflow's runs and their receipts."""
    watch, now = outside.watch, utc_now()
    runs = sorted((run for run in watch.runs.values() if run.start_date), key=lambda run: run.start_date or now)
    receipts = {(run.dag_id, run.dag_run_id): receipts_of(run) for run in runs}
    checks = {run.partition_key: receipts[run.dag_id, run.dag_run_id] for run in watch.runs_of("watch_drift") if run.state == "success"}
    months = [month_of(checks[month], month) for month in calendar.replayed if month in checks]
    releases = [release_of(receipts[run.dag_id, run.dag_run_id], run) for run in watch.runs_of("train_and_release") if run.start_date]
    return Summary(
        use_case=outside.use_case.name,
        title=outside.use_case.title,
        trained_on=list(calendar.training),
        months=[month for month in months if month],
        releases=[release for release in releases if release],
        requests=requests_of(outside.traffic.counts),
        table_versions=table_versions(receipt for left in receipts.values() for receipt in left),
        runs=[run_seconds(run, watch.tasks.get((run.dag_id, run.dag_run_id), []), now) for run in runs],
        seconds=busy_seconds(run for run in runs if watch.is_of_the_loop(run)),
        links=links,
    )


def write_outcome(summary: Summary, folder: Path) -> None:
    """Write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_bytes(summary_json(summary))
    (folder / "chart.png").write_bytes(chart_png(summary.months, summary.releases, LIGHT))
    (folder / "report.html").write_text(report_html(summary))


def addresses(settings: Settings, folder: Path) -> dict[str, str]:
    """What to open, by title."""
    return {
        "Airflow": settings.airflow_url,
        "MLflow": settings.mlflow_url,
        "Gateway's documentation": f"{settings.gateway_url}/docs",
        "Report": (folder / "report.html").as_uri(),
    }


def print_outcome(console: Console, summary: Summary, settings: Settings) -> None:
    """The table by month, requests, addresses, how to log in and how to stop."""
    table = Table(*TERMINAL_HEADINGS, title=f"{summary.title}, month by month", title_justify="left", box=None, pad_edge=False)
    for month in summary.months:
        row = dict(zip(MONTH_HEADINGS, month_cells(month), strict=True))
        table.add_row(*(row[heading] for heading in TERMINAL_HEADINGS))
    console.print(table)
    console.print(requests_sentence(summary), highlight=False)
    env = settings.home_path / "env"
    notes = {
        **summary.links,
        "Log in": f"Airflow: {settings.airflow_user}, MLflow: {settings.mlflow_user}; passwords and the gateway's key are in {env}",
        "Stop": "make down (the stack goes on running until then); make clean removes all of it",
    }
    for title, note in notes.items():
        console.print(f"{title:24} {note}", highlight=False, soft_wrap=True)
