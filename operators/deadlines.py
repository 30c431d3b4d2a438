"""What happens when a run of a DAG takes longer than it should: a warning, and the run goes on."""

from __future__ import annotations

import logging
from typing import TypedDict

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
    return message
