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
    month_of,
    release_of,
    requests_of,
    run_seconds,
    summary_json,
    table_versions,
    wall_seconds,
)
from roundtrip.cli.demo.watch import receipts_of, utc_now
from roundtrip.contracts.settings import Settings


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
        seconds=wall_seconds(runs),
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
    table = Table(*MONTH_HEADINGS, title=f"{summary.title}, month by month", title_justify="left")
    for month in summary.months:
        table.add_row(*month_cells(month))
    console.print(table)
    console.print(requests_sentence(summary), highlight=False)
    for title, address in summary.links.items():
        console.print(f"{title:24} {address}", highlight=False, soft_wrap=True)
    env = settings.home_path / "env"
    console.print(
        f"Log in to Airflow as {settings.airflow_user}, to MLflow as {settings.mlflow_user}; passwords and the gateway's key are in {env} "
        "(`source` it). The stack goes on running: `make down` stops it, `make clean` removes all of it.",
        highlight=False,
    )
