"""What happens when a run of a DAG takes longer than it should: an alert, and the run goes on."""

from __future__ import annotations

import logging
from typing import TypedDict

from operators.alert_channels import Message, send_from_triggerer
from operators.alerts import run_address
from roundtrip.contracts.report_addresses import page_address, runbook_address

log = logging.getLogger(__name__)


class _DagRun(TypedDict):
    dag_id: str
    dag_run_id: str


class _Missed(TypedDict):
    dag_run: _DagRun


async def warn_of_missed_deadline(*, context: _Missed) -> str:
    """Runs in the triggerer; the answer is kept with the deadline in Airflow's database."""
    run = context["dag_run"]
    message = f"{run['dag_id']} is later than its deadline: see which task of run {run['dag_run_id']} is still at work."
    log.warning(message)
    links = {
        "Runbook": runbook_address("a-run-that-is-late"),
        "Page": page_address(run["dag_id"].partition(".")[0]),
        "Run": run_address(run["dag_id"], run["dag_run_id"]),
    }
    await send_from_triggerer(Message(title=f"{run['dag_id']} is late", told=message, links=links))
    return message
