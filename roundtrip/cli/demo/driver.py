"""The demo's loop: look at what is there, do the next step, show it; until nothing is left to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from roundtrip.cli.demo.airflow_api import AirflowApi, DagRun
from roundtrip.cli.demo.plan import Calendar, Progress, Step, next_step
from roundtrip.cli.demo.replay import Replay
from roundtrip.cli.demo.screen import Screen
from roundtrip.cli.demo.traffic import Row, Traffic
from roundtrip.cli.demo.watch import Watch, receipts_of
from roundtrip.contracts.errors import RunFailed
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.tables import read_table

LOOK_EVERY_S = 1.5
"""Seconds between two looks at Airflow: each costs its API server about 0.1 CPU seconds."""
FIRST_RUN = "demo__first_training"
"""Run id of the first training: the same each time, so that it is started once."""
SAMPLE_ROWS = 600
"""Rows of each replayed month that the gateway is asked about: enough that their outcomes can judge the next candidate (the gate's smallest
slice, 200 rows of the month's last fortnight)."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What the demo holds in its hands: the landing zone, Airflow, the gateway, the screen."""

    use_case: UseCase
    replay: Replay
    api: AirflowApi
    watch: Watch
    traffic: Traffic
    screen: Screen


class Driver:
    """Runs the loop for one calendar. `feeds` of the use case: the one that emits features, and the one that emits outcomes."""

    def __init__(self, outside: Outside, calendar: Calendar) -> None:
        self._outside = outside
        self._calendar = calendar
        feeds = {feed.emits: feed.name for feed in outside.use_case.feeds}
        self._operations, self._outcomes = feeds["features"], feeds["outcomes"]
        landed = outside.replay.landed_months
        self._landed = {(feed, month) for feed in feeds.values() for month in landed(feed)}
        self._trickling = ""

    def run(self) -> None:
        """Do what is left to do. Raises RunFailed when a run fails or nothing goes on."""
        outside = self._outside
        outside.watch.look()
        outside.screen.forget_the_past(outside.watch)
        for run in outside.watch.retry_failed():
            outside.screen.say(f"trying again: {run.dag_id} {run.partition_key or ''} ({run.dag_run_id})")
        while True:
            outside.watch.look()
            step = next_step(self._calendar, self.progress(), operations=self._operations, outcomes=self._outcomes)
            outside.screen.show(str(step or "all done"), outside.watch, outside.traffic.counts)
            if step is None:
                return
            outside.watch.raise_for_trouble()
            self._do(step)

    def progress(self) -> Progress:
        watch = self._outside.watch
        trained = {run.partition_key: run for run in watch.runs_of("train_and_release")}
        return Progress(
            landed=frozenset(self._landed),
            ready=frozenset((asset, month) for asset in ("features", "outcomes") for month in watch.partitions_of(asset)),
            train_started=self._first_run() is not None,
            released=watch.has_event("champion"),
            asked=frozenset(self._outside.traffic.counts.months),
            watched=frozenset(run.partition_key for run in watch.runs_of("watch_drift") if run.state == "success" and run.partition_key),
            retrained={month: month in trained and trained[month].state == "success" for month in watch.partitions_of("retrain_request")},
        )

    def _do(self, step: Step) -> None:
        if step.verb == "land":
            self._land(step.subject, step.months)
        elif step.verb == "train":
            self._train(step.months)
        elif step.verb == "send_requests" and self._outside.traffic.can_be_answered():
            self._send_requests(step.months[0])
        else:
            self._wait(step)

    def _land(self, feed: str, months: Sequence[str]) -> None:
        for month in months:
            self._outside.replay.land_month(feed, month)
            self._landed.add((feed, month))

    def _train(self, months: Sequence[str]) -> None:
        dag_id = f"{self._outside.use_case.name}.train_and_release"
        self._outside.api.trigger(dag_id, FIRST_RUN, {"partitions": f"{months[0]}..{months[-1]}"})

    def _send_requests(self, month: str) -> None:
        rows = self._rows(month)
        self._outside.traffic.trickle(rows)
        self._outside.traffic.send_sample(month, rows)
        self._trickling = month

    def _wait(self, step: Step) -> None:
        if step.verb == "await_train":
            self._raise_if_nothing_was_released()
        elif not self._trickling and self._outside.traffic.can_be_answered():
            self._trickling = self._calendar.training[-1]
            self._outside.traffic.trickle(self._rows(self._trickling))
        time.sleep(LOOK_EVERY_S)

    def _rows(self, month: str) -> list[Row]:
        """A sample of the month's features as requests; what is missing is left out. The same rows each time."""
        use_case = self._outside.use_case
        columns = [*use_case.key, *(entry.name for entry in use_case.inputs)]
        rows = read_table(use_case.name, use_case.features_table, partitions=[month], columns=columns).to_pylist()
        return [request_of(row, use_case, month) for row in Random(month).sample(rows, min(SAMPLE_ROWS, len(rows)))]

    def _first_run(self) -> DagRun | None:
        runs = self._outside.watch.runs_of("train_and_release")
        return next((run for run in runs if run.dag_run_id == FIRST_RUN), None)

    def _raise_if_nothing_was_released(self) -> None:
        run = self._first_run()
        if run is not None and run.state == "success" and not self._outside.watch.has_event("champion"):
            refused = " ".join(receipt.reason for receipt in receipts_of(run) if receipt.answer == "no")
            raise RunFailed(f"the first training released no model, so there is nothing to watch. {refused} Train on other months by hand.")


def request_of(row: Row, use_case: UseCase, month: str) -> Row:
    """A row of the features table as an instance of a gateway request: its inputs that have a value, its key, its month."""
    inputs = {entry.name: row[entry.name] for entry in use_case.inputs if row[entry.name] is not None}
    return {**inputs, "key": "/".join(str(row[name]) for name in use_case.key), "event_month": month}
