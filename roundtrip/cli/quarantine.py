"""`roundtrip quarantine`: what waits there and why, and letting out what a mended contract lets pass."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from roundtrip.cli.demo.airflow_api import AirflowApi
from roundtrip.cli.demo.replay import load_use_case
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts.names import checked_partition, checked_partitions
from roundtrip.contracts.settings import settings

app = typer.Typer(no_args_is_help=True, help=__doc__)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
UseCaseName = Annotated[str, typer.Option(help="The use case.")]
SHOWN = 80
"""Characters of a row or reason in a table; JSON has all of them."""


@app.callback()
def prepare() -> None:
    """Read what the running stack's addresses and credentials are."""
    os.environ.update(environment.addresses(load_stack()))


@app.command("list")
def list_months(use_case: UseCaseName = "flight_eta", as_json: Json = False) -> None:
    """Every table and month that has rows in quarantine."""
    from roundtrip.lakehouse.replay import quarantined

    named = load_use_case(use_case)
    found = [month for feed in named.feeds for month in quarantined(named, feed)]
    if as_json:
        print(json.dumps([asdict(month) for month in found], indent=2))
        return
    shown = Table("table", "month", "waiting", "replayed", "mended since", "first reason", box=None)
    for month in found:
        mended = "yes: replay" if month.mended and month.waiting else ""
        shown.add_row(
            month.table, month.partition, f"{month.waiting:,}", f"{month.replayed:,}", mended, month.first_reason[:SHOWN]
        )  # fmt: skip
    Console().print(shown if found else f"Nothing of {use_case} is in quarantine.", markup=False)


@app.command()
def show(
    table: Annotated[str, typer.Argument(help="The table whose contract the rows broke, e.g. raw_flights.")],
    partition: Annotated[str, typer.Argument(help="The month, e.g. 2013-04.")],
    use_case: UseCaseName = "flight_eta",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Rows at most.")] = 20,
    as_json: Json = False,
) -> None:
    """The quarantined rows of a table and month: where each came from, and what it breaks."""
    from roundtrip.lakehouse.definitions import definition_of
    from roundtrip.lakehouse.replay import rows_in_quarantine

    rows = rows_in_quarantine(definition_of(use_case, table), [checked_partition(partition)])
    first = rows.slice(0, limit).to_pylist()
    if as_json:
        print(json.dumps(first, indent=2, default=str))
        return
    shown = Table("line", "reason", "row", "replayed in", box=None)
    for row in first:
        shown.add_row(str(row["line"] or ""), row["reason"][:SHOWN], row["raw_row"][:SHOWN], (row["replayed_in"] or "").rpartition("/")[2])
    console = Console()
    console.print(shown, markup=False)
    console.print(f"{len(first):,} of {rows.num_rows:,} rows" + (f", from {first[0]['source_file']}" if first else ""), highlight=False)


@app.command()
def replay(
    partitions: Annotated[str, typer.Option(help="Only these months, 2013-01..2013-03,2013-05.")] = "",
    use_case: UseCaseName = "flight_eta",
) -> None:
    """Start the DAG that builds again what a mended contract may let pass; says where to watch it."""
    months = ",".join(checked_partitions(partitions)) if partitions else None
    dag_id, run_id = f"{load_use_case(use_case).name}.replay_quarantine", f"replay_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    addressed = settings()
    with closing(AirflowApi.of_the_stack(addressed)) as airflow:
        airflow.trigger(dag_id, run_id, {"partitions": months})
    Console().print(f"Started: {addressed.airflow_url}/dags/{dag_id}/runs/{run_id}", highlight=False, soft_wrap=True)
