"""Airflow's REST API as the demo needs it: runs, tasks, asset events; trigger a run and clear what failed. Typed, read by msgspec."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.contracts.settings import Settings

PAGE = 100
"""Rows of one answer: the most that Airflow's API gives ([api] maximum_page_limit)."""
JOB_LOGGER = "airflow.task.operators"
"""Beginning of the logger's name under which operators stream their job's lines."""
PATIENCE_S = 180.0
"""Seconds that the API server may be away before a client gives up: a minute without PostgreSQL, and a restart of about 20 s."""

T = TypeVar("T")


class DagRun(msgspec.Struct, frozen=True):
    """One run of a DAG. `state`: queued, running, success or failed."""

    dag_id: str
    dag_run_id: str
    state: str
    run_after: datetime
    partition_key: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.state in {"success", "failed"}

    def seconds(self, now: datetime) -> float:
        """Seconds it ran, until `now` when it still does; 0 when it has not started."""
        return ((self.end_date or now) - self.start_date).total_seconds() if self.start_date else 0.0


class TaskInstance(msgspec.Struct, frozen=True):
    """One task of a run (its last try). `state` is None before it is scheduled."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    start_date: datetime | None = None
    end_date: datetime | None = None

    @property
    def name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    def seconds(self, now: datetime) -> float:
        return ((self.end_date or now) - self.start_date).total_seconds() if self.start_date else 0.0


class AssetEvent(msgspec.Struct, frozen=True):
    """'This partition of the asset is ready', with the run that said so."""

    id: int
    name: str
    timestamp: datetime
    partition_key: str | None = None
    source_dag_id: str | None = None
    source_run_id: str | None = None


class _Dag(msgspec.Struct):
    dag_id: str
    is_paused: bool


class _Dags(msgspec.Struct):
    dags: list[_Dag]


class _Token(msgspec.Struct):
    access_token: str


class _DagRuns(msgspec.Struct):
    dag_runs: list[DagRun]


class _TaskInstances(msgspec.Struct):
    task_instances: list[TaskInstance]


class _LogLine(msgspec.Struct):
    event: str
    logger: str | None = None


class _Log(msgspec.Struct):
    content: list[_LogLine]


class _AssetEvents(msgspec.Struct):
    asset_events: list[AssetEvent]


class _Page(NamedTuple):
    size: int
    offset: int


def _pages(ask: Callable[[_Page], list[T]], newest: int | None) -> list[T]:
    """The first page of `newest` entries; or every page, when that is None."""
    if newest is not None:
        return ask(_Page(newest, 0))
    found: list[T] = []
    while True:
        page = ask(_Page(PAGE, len(found)))
        found += page
        if len(page) < PAGE:
            return found


class AirflowApi:
    """A logged-in client. An answer that is no success raises ServiceUnavailable with what Airflow said."""

    def __init__(self, url: str, *, user: str, password: str, patience_s: float = PATIENCE_S) -> None:
        self.url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._patience_s = patience_s
        self._client = httpx.Client(base_url=self.url, timeout=30, transport=httpx.HTTPTransport(retries=2))

    @classmethod
    def of_the_stack(cls, addressed: Settings, *, patience_s: float = PATIENCE_S) -> Self:
        """The Airflow that the settings name, by the login that is in them."""
        return cls(addressed.airflow_url, user=addressed.airflow_user, password=addressed.airflow_password, patience_s=patience_s)

    def close(self) -> None:
        self._client.close()

    def dag_ids(self, prefix: str) -> list[str]:
        """Ids of the DAGs that start with `prefix` and are not paused, sorted."""
        dags = self._get("/api/v2/dags", {"dag_id_prefix_pattern": prefix, "limit": PAGE}, _Dags).dags
        return sorted(dag.dag_id for dag in dags if not dag.is_paused)

    def runs(self, dag_ids: Sequence[str], *, newest: int | None = None) -> list[DagRun]:
        """The newest runs of these DAGs (None: all), the newest first."""
        body = {"dag_ids": list(dag_ids), "order_by": "-run_after"}
        return _pages(
            lambda page: (
                self._post("/api/v2/dags/~/dagRuns/list", {**body, "page_limit": page.size, "page_offset": page.offset}, _DagRuns).dag_runs
            ),
            newest,
        )

    def tasks(self, dag_id: str, dag_run_id: str) -> list[TaskInstance]:
        """The tasks of a run, those that started first first."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(dag_run_id)}/taskInstances"
        found = self._get(path, {"limit": PAGE}, _TaskInstances).task_instances
        never = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda task: (task.start_date or never, task.name))

    def last_job_lines(self, task: TaskInstance, *, lines: int = 3) -> list[str]:
        """The last lines that the task's job wrote in its last try, as the task's log holds them."""
        run = f"/api/v2/dags/{quote(task.dag_id)}/dagRuns/{quote(task.dag_run_id)}"
        path = f"{run}/taskInstances/{quote(task.task_id)}/logs/{task.try_number}"
        content = self._get(path, {"map_index": task.map_index, "full_content": "true"}, _Log).content
        return [line.event for line in content if (line.logger or "").startswith(JOB_LOGGER)][-lines:]

    def events(self, asset_prefix: str, *, newest: int | None = None) -> list[AssetEvent]:
        """The newest events of the assets whose name starts so (None: all), the newest first."""
        query = {"name_prefix_pattern": asset_prefix, "order_by": "-timestamp"}
        return _pages(
            lambda page: (
                self._get("/api/v2/assets/events", {**query, "limit": page.size, "offset": page.offset}, _AssetEvents).asset_events
            ),
            newest,
        )

    def trigger(self, dag_id: str, dag_run_id: str, conf: Mapping[str, object]) -> bool:
        """Start a run of this id; False when there is one of this id already, which then is left alone."""
        body = {"dag_run_id": dag_run_id, "logical_date": None, "conf": dict(conf)}
        answer = self._send("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", json=body, accepted={409})
        return answer.status_code != httpx.codes.CONFLICT

    def clear_failed(self, run: DagRun) -> None:
        """Run the failed tasks of a run again, and what they held up."""
        path = f"/api/v2/dags/{quote(run.dag_id)}/dagRuns/{quote(run.dag_run_id)}/clear"
        self._send("POST", path, json={"dry_run": False, "only_failed": True})

    def _get(self, path: str, query: Mapping[str, str | int], kind: type[T]) -> T:
        return msgspec.json.Decoder(kind).decode(self._send("GET", path, params=query).content)

    def _post(self, path: str, body: Mapping[str, object], kind: type[T]) -> T:
        return msgspec.json.Decoder(kind).decode(self._send("POST", path, json=body).content)

    def _send(
        self, method: str, path: str, *, params: Mapping[str, str | int] | None = None,
        json: Mapping[str, object] | None = None, accepted: frozenset[int] | set[int] = frozenset(),
    ) -> httpx.Response:  # fmt: skip
        if "Authorization" not in self._client.headers:
            self._log_in()
        answer = self._reach(method, path, params=params, json=json)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # the token's day is over
            self._log_in()
            answer = self._reach(method, path, params=params, json=json)
        if not answer.is_success and answer.status_code not in accepted:
            raise ServiceUnavailable(f"Airflow answers {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer

    def _reach(
        self, method: str, path: str, *, params: Mapping[str, str | int] | None, json: Mapping[str, object] | None
    ) -> httpx.Response:
        """Ask again while the API server can't be reached or isn't ready (5xx); every request here may be sent twice."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._client.request(method, path, params=params, json=json)
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answer
                said = f"{answer.status_code}: {answer.text[:200]}"
            except httpx.TransportError as error:
                said = repr(error)
            if time.monotonic() > deadline:
                raise ServiceUnavailable(
                    f"Airflow at {self.url} gave no answer for {self._patience_s:.0f} s ({said}): see `roundtrip status`."
                )
            time.sleep(1)

    def _log_in(self) -> None:
        answer = self._reach("POST", "/auth/token", params=None, json=self._login)
        if not answer.is_success:
            raise ServiceUnavailable(
                f"Airflow refuses the login of {self._login['username']!r} ({answer.status_code}): run `roundtrip up`."
            )
        token = msgspec.json.Decoder(_Token).decode(answer.content).access_token
        self._client.headers["Authorization"] = f"Bearer {token}"
