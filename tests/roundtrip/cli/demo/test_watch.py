"""What the demo takes for trouble, what it says about it, and what it shows of runs and tasks."""

from __future__ import annotations

import time
from collections import Counter
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from roundtrip.cli.demo.airflow_api import AirflowApi, AssetEvent, DagRun, TaskInstance
from roundtrip.cli.demo.screen import Screen, live_page, traffic_line
from roundtrip.cli.demo.traffic import Counts
from roundtrip.cli.demo.watch import SILENCE_S, Watch
from roundtrip.contracts.errors import RunFailed
from roundtrip.contracts.receipts import Receipt, RunFolder
from tests.roundtrip.cli.demo.recorded import START, run_at, task_at


def watch_of(*runs: tuple[DagRun, list[TaskInstance]]) -> Watch:
    """A watch that has seen these runs; its Airflow is never asked."""
    watch = Watch(AirflowApi("http://127.0.0.1:9", user="nobody", password="none"), "flight_eta")
    for run, tasks in runs:
        watch.runs[run.dag_id, run.dag_run_id] = run
        watch.tasks[run.dag_id, run.dag_run_id] = tasks
    return watch


FAILED = run_at("ingest", (0, 30), state="failed")
FAILED_TASKS = [task_at(FAILED, "find_new_files", 2.0), task_at(FAILED, "build_raw_flights", 9.0, state="failed")]


def test_a_failed_run_stops_the_demo_with_task_reason_log_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", f"file://{tmp_path}")
    receipt = Receipt("build_table", "flight_eta", "raw_flights.2013-04", "failed", "BadFile: flights.csv has 3 columns", exit_code=20)
    RunFolder.of(FAILED.dag_id, FAILED.dag_run_id).write_receipt(receipt)
    with pytest.raises(RunFailed) as raised:
        watch_of((FAILED, FAILED_TASKS)).raise_for_trouble()
    for part in (
        "flight_eta.ingest, task build_raw_flights, failed",
        "BadFile: flights.csv has 3 columns",
        "http://127.0.0.1:9/dags/flight_eta.ingest/runs/demo__first_training/tasks/build_raw_flights",
        "run `make demo` again",
    ):
        assert part in str(raised.value)


def test_a_run_by_hand_the_nightly_one_and_one_made_good_since_are_no_trouble() -> None:
    by_hand = msgspec.structs.replace(FAILED, dag_run_id="manual__2026-11-25")
    failed_month = run_at("score_batch", (0, 10), month="2013-04", state="failed")
    again = msgspec.structs.replace(run_at("score_batch", (20, 30), month="2013-04"), dag_run_id="asset_triggered__again")
    nightly = msgspec.structs.replace(FAILED, dag_id="flight_eta.housekeeping", dag_run_id="scheduled__2026-11-25")
    watch = watch_of((by_hand, []), (nightly, []), (failed_month, []), (again, []))
    watch.raise_for_trouble()
    assert list(watch.failed_runs()) == []
    watch.runs.pop((again.dag_id, again.dag_run_id))
    assert list(watch.failed_runs()) == [failed_month]


def test_silence_with_nothing_under_way_is_trouble_that_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watch_of((run_at("ingest", (0, 30)), []))
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + SILENCE_S + 1)
    with pytest.raises(RunFailed, match=r"no run is under way.*roundtrip logs scheduler"):
        watch.raise_for_trouble()
    under_way = run_at("train_and_release", (0, 0), state="running")
    watch_of((under_way, [])).raise_for_trouble()


def test_partitions_come_from_the_events_of_that_asset() -> None:
    watch = watch_of()
    for number, (asset, month) in enumerate(
        [("features", "2013-01"), ("features", "2013-02"), ("outcomes", "2013-01"), ("champion", None)]
    ):
        watch.events[number] = AssetEvent(number, f"flight_eta/{asset}", START, month)
    assert watch.partitions_of("features") == {"2013-01", "2013-02"}
    assert watch.partitions_of("outcomes") == {"2013-01"}
    assert watch.has_event("champion")
    assert not watch.has_event("retrain_request")


def test_without_a_terminal_each_settled_task_is_one_plain_line_and_said_once() -> None:
    run = run_at("ingest", (0, 0), month="2013-04", state="running")
    tasks = [task_at(run, "find_new_files", 1.5), task_at(run, "build_clean", 0, state="running")]
    watch, out = watch_of((run, tasks)), StringIO()
    with Screen(Console(file=out, width=200)) as screen:
        for _ in range(2):
            screen.show("2013-04: wait for features", watch, Counts())
        watch.tasks[run.dag_id, run.dag_run_id][1] = task_at(run, "build_clean", 20.25, state="success")
        screen.show("2013-04: wait for features", watch, Counts())
    lines = [line[10:] for line in out.getvalue().splitlines()]
    assert lines == [
        "2013-04: wait for features",
        "flight_eta.ingest 2013-04 find_new_files: success, 1.5 s",
        "flight_eta.ingest 2013-04 build_clean: success, 20.2 s",
    ]
    assert "\x1b" not in out.getvalue()


def test_what_was_settled_before_the_demo_started_is_not_said_again() -> None:
    run = run_at("ingest", (0, 10), month="2013-03")
    watch, out = watch_of((run, [task_at(run, "find_new_files", 1.5)])), StringIO()
    screen = Screen(Console(file=out, width=200))
    screen.forget_the_past(watch)
    screen.show("2013-04: land", watch, Counts())
    assert "find_new_files" not in out.getvalue()


def test_the_live_page_shows_tasks_of_runs_under_way_and_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    ended, under_way = run_at("ingest", (0, 42), month="2013-04"), run_at("score_batch", (43, 0), month="2013-04", state="running")
    watch = watch_of((ended, [task_at(ended, "find_new_files", 1)]), (under_way, [task_at(under_way, "score_batch", 3, state="running")]))
    out = StringIO()
    counts = Counts(sent=1234, failed=0, answers=Counter({"1": 1234}))
    Console(file=out, width=120, force_terminal=True).print(live_page("2013-04: wait", watch, counts))
    page = out.getvalue()
    for part in ("2013-04: wait", "flight_eta.ingest", "success", "42", "score_batch", "running", "requests 1,234, failed 0"):
        assert part in page
    assert "find_new_files" not in page
    assert "\x1b[3" not in page
    assert traffic_line(Counts()) == "requests 0, failed 0; answers by none yet"
