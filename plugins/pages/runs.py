"""The DAG runs of a use case: the last of each DAG from Airflow's database, and new ones through its public API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import httpx
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from fastapi import HTTPException, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plugins.pages.access import dag_id, token_of
from roundtrip.contracts.names import folder_name

LAST = 5
"""Runs shown of each DAG."""
MOST_RUNS = 500
"""Runs looked through for those of a year's checks."""
AIRFLOW = "roundtrip.airflow"
"""Member of a request's scope: the API server's own application, of which the plugin's is a part."""
WITHIN_S = 30.0


@dataclass(frozen=True)
class Run:
    """A run as the page shows it."""

    run_id: str
    state: str
    partition: str | None
    run_after: datetime
    seconds: float | None
    """None before it has ended."""


@dataclass(frozen=True)
class DagRuns:
    """A DAG with its newest runs, the newest first."""

    dag_id: str
    paused: bool
    runs: tuple[Run, ...]


def last_runs(session: Session, use_case: str) -> list[DagRuns]:
    """Every DAG of the use case, by id, with its last runs: two queries."""
    of_use_case = DagModel.dag_id.startswith(f"{use_case}.", autoescape=True)
    dags = session.scalars(select(DagModel).where(of_use_case, ~DagModel.is_stale).order_by(DagModel.dag_id)).all()
    place = func.row_number().over(partition_by=DagRun.dag_id, order_by=DagRun.run_after.desc()).label("place")
    numbered = select(DagRun.id, place).where(DagRun.dag_id.in_([dag.dag_id for dag in dags])).subquery()
    newest = select(DagRun).join(numbered, DagRun.id == numbered.c.id).where(numbered.c.place <= LAST)
    found = session.scalars(newest.order_by(DagRun.dag_id, numbered.c.place))
    runs = {of: tuple(map(_run, group)) for of, group in groupby(found, key=lambda run: run.dag_id)}
    return [DagRuns(dag.dag_id, dag.is_paused, runs.get(dag.dag_id, ())) for dag in dags]


def ids_by_folder(session: Session, folders: Sequence[str]) -> dict[str, tuple[str, str]]:
    """URI of a run folder → (DAG id, run id) of the run that it belongs to, of the newest MOST_RUNS; without those that Airflow forgot."""
    parts = {uri: tuple(uri.rstrip("/").split("/")[-2:]) for uri in folders}
    of_these = DagRun.dag_id.in_({part[0] for part in parts.values()})
    newest = select(DagRun.dag_id, DagRun.run_id).where(of_these).order_by(DagRun.run_after.desc()).limit(MOST_RUNS)
    known = {(row.dag_id, folder_name(row.run_id)): (row.dag_id, row.run_id) for row in session.execute(newest)}
    return {uri: known[part] for uri, part in parts.items() if part in known}


async def start_run(request: Request, use_case: str, dag: str, conf: Mapping[str, str], note: str) -> str:
    """Start a run as the signed-in user, who needs the permission and stands in Airflow's audit log; gives its id.

    It goes through the public API, inside this process. Raises HTTPException with what Airflow answers instead.
    """
    airflow = request.scope[AIRFLOW]
    transport = httpx.ASGITransport(app=airflow, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token_of(request)}", "Referer": str(request.url)}
    body = {"logical_date": None, "conf": dict(conf), "note": note}
    async with httpx.AsyncClient(transport=transport, base_url=str(request.base_url), headers=headers, timeout=WITHIN_S) as client:
        answer = await client.post(f"{airflow.root_path}/api/v2/dags/{dag_id(use_case, dag)}/dagRuns", json=body)
    if not answer.is_success:
        raise HTTPException(answer.status_code, answer.json().get("detail", answer.text))
    return str(answer.json()["dag_run_id"])


def _run(run: DagRun) -> Run:
    seconds = (run.end_date - run.start_date).total_seconds() if run.start_date and run.end_date else None
    return Run(run.run_id, str(run.state), run.partition_key, run.run_after, seconds)
