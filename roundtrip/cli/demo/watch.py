"""What Airflow says about a use case's DAGs, kept up to date, and what to tell a person when a run fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from roundtrip.cli.demo.airflow_api import AirflowApi, AssetEvent, DagRun, TaskInstance
from roundtrip.contracts import storage
from roundtrip.contracts.errors import RunFailed
from roundtrip.contracts.receipts import Receipt, RunFolder

RECENT = 30
"""Runs and events asked for at each look; the first look takes all."""
SILENCE_S = 300.0
"""Seconds without any run under way, or any change, after which something that should have started never will."""
STUCK_S = 3600.0
"""The same while a run is under way: longer than any single task of the demo takes."""

NOT_OF_THE_LOOP = ("manual__", "backfill__", "scheduled__")
"""How ids begin of runs that a person started and of the nightly housekeeping: the demo neither waits for nor retries them."""

RunKey = tuple[str, str]


class Watch:
    """The runs, tasks and asset events of one use case. `look` brings them up to date."""

    def __init__(self, api: AirflowApi, use_case_name: str) -> None:
        self._api = api
        self._use_case = use_case_name
        self._changed_at = time.monotonic()
        self.dag_ids: list[str] = []
        self.runs: dict[RunKey, DagRun] = {}
        self.tasks: dict[RunKey, list[TaskInstance]] = {}
        self.events: dict[int, AssetEvent] = {}

    def look(self) -> None:
        """Ask Airflow for what is new. Tasks are asked for of runs that are under way or have just ended."""
        first_look = not self.dag_ids
        if first_look:
            self.dag_ids = self._api.dag_ids(f"{self._use_case}.")
        if not self.dag_ids:
            return  # Airflow has not read dags/ yet
        newest = None if first_look else RECENT
        for event in self._api.events(f"{self._use_case}/", newest=newest):
            self.events[event.id] = event
        for run in self._api.runs(self.dag_ids, newest=newest):
            key = run.dag_id, run.dag_run_id
            if self.runs.get(key) != run or not run.ended:
                self._note(key, run)

    def _note(self, key: RunKey, run: DagRun) -> None:
        tasks = self._api.tasks(*key)
        if self.runs.get(key) != run or self.tasks.get(key) != tasks:
            self._changed_at = time.monotonic()
        self.runs[key], self.tasks[key] = run, tasks

    def partitions_of(self, asset: str) -> set[str]:
        """Partitions for which the asset `<use case>/<asset>` has said that they are ready."""
        name = f"{self._use_case}/{asset}"
        return {event.partition_key for event in self.events.values() if event.name == name and event.partition_key}

    def has_event(self, asset: str) -> bool:
        return any(event.name == f"{self._use_case}/{asset}" for event in self.events.values())

    def runs_of(self, dag: str) -> list[DagRun]:
        """Runs of `<use case>.<dag>`, the oldest first."""
        found = [run for run in self.runs.values() if run.dag_id == f"{self._use_case}.{dag}"]
        return sorted(found, key=lambda run: run.run_after)

    def is_of_the_loop(self, run: DagRun) -> bool:
        return not run.dag_run_id.startswith(NOT_OF_THE_LOOP)

    def failed_runs(self) -> Iterator[DagRun]:
        """Runs of the loop that failed and were not made good by a later one."""
        for run in self.runs.values():
            if run.state == "failed" and self.is_of_the_loop(run) and not self._made_good(run):
                yield run

    def _made_good(self, failed: DagRun) -> bool:
        return failed.partition_key is not None and any(
            run.state == "success" and run.dag_id == failed.dag_id
            and run.partition_key == failed.partition_key and run.run_after > failed.run_after
            for run in self.runs.values()
        )  # fmt: skip

    def retry_failed(self) -> list[DagRun]:
        """Let the failed tasks of every failed run go again; gives these runs."""
        failed = list(self.failed_runs())
        for run in failed:
            self._api.clear_failed(run)
        return failed

    def raise_for_trouble(self) -> None:
        """Raises RunFailed when a run failed, or when nothing has happened for too long."""
        for run in self.failed_runs():
            raise RunFailed(self._failure(run))
        silence = time.monotonic() - self._changed_at
        under_way = [run for run in self.runs.values() if not run.ended]
        limit = STUCK_S if under_way else SILENCE_S
        if silence > limit:
            at = f"{under_way[0].dag_id} ({under_way[0].dag_run_id}) is {under_way[0].state}" if under_way else "no run is under way"
            raise RunFailed(
                f"nothing has changed in Airflow for {silence:.0f} s (limit {limit:.0f} s): {at}. See `roundtrip status` and "
                "`roundtrip logs scheduler`, then run `make demo` again: it goes on from here."
            )

    def _failure(self, run: DagRun) -> str:
        failed = next((task for task in self.tasks.get((run.dag_id, run.dag_run_id), []) if task.state == "failed"), None)
        address = f"{self._api.url}/dags/{run.dag_id}/runs/{run.dag_run_id}" + (f"/tasks/{failed.task_id}" if failed else "")
        return (
            f"{run.dag_id}, task {failed.name if failed else '(none)'}, failed in run {run.dag_run_id}. {self._reason(run, failed)} "
            f"Its log: {address} . Mend what it names, then run `make demo` again: it retries the failed tasks and goes on."
        )

    def _reason(self, run: DagRun, failed: TaskInstance | None) -> str:
        """What the job's receipt says; the last lines of its log when it could leave none."""
        reasons = [receipt.reason for receipt in receipts_of(run) if receipt.answer == "failed"]
        if reasons or failed is None:
            return " ".join(reasons)
        return f"It left no receipt; its last lines: {' / '.join(self._api.last_job_lines(failed)) or '(none)'}"


def receipts_of(run: DagRun) -> list[Receipt]:
    """Every receipt in the run's folder, in the order in which the jobs started."""
    receipts = RunFolder.of(run.dag_id, run.dag_run_id).file("receipts") + "/"
    found = [Receipt.from_json(storage.read_bytes(entry.uri)) for entry in storage.list_objects(receipts)]
    return sorted(found, key=lambda receipt: receipt.started_at)


def utc_now() -> datetime:
    return datetime.now(UTC)
