"""What the governor is told of the past: decisions kept, runs in flight by their receipts, tables that failed when last built."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.decisions import DecisionRecord, read_decisions, write_decision
from roundtrip.monitoring.governor import Decision, History, Measurement, decide
from roundtrip.monitoring.history import failed_builds, run_in_flight
from use_cases import use_case_named

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOTHING_BEFORE = History(live_version=None, trained_through=None, retrains_asked=(), run_in_flight=None)
FLIGHT_ETA = use_case_named("flight_eta")


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", f"file://{tmp_path}")


def leave(
    dag: str, run: str, job: str, *, part: str = "", answer: str = "done", exit_code: int = 0, ago: timedelta = timedelta(minutes=1)
) -> None:
    """A receipt of a job that started so long ago."""
    receipt = Receipt(job, "flight_eta", part, answer, reason=f"{job}: why", exit_code=exit_code, started_at=(NOW - ago).isoformat())
    RunFolder.of(f"flight_eta.{dag}", run).write_receipt(receipt)


def decision(partition: str, action: str, reason: str) -> DecisionRecord:
    measurement = Measurement(
        partition=partition, model_version="3", verdict="decayed", cause="concept drift", outcomes=2500, loss=0.1, loss_low=0.05,
        refit_mae=9.0, refit_gain=0.1, refit_gain_low=0.05, inputs_drifted=("carrier",),
    )  # fmt: skip
    decided = Decision(action=action, reasons=(reason,))  # type: ignore[arg-type]
    return DecisionRecord.of("flight_eta", measurement, decided, at=NOW, run_dir="file:///runs/1")


def test_decisions_come_back_as_they_were_and_a_later_one_of_the_partition_replaces_the_earlier() -> None:
    assert read_decisions("flight_eta") == []
    write_decision(decision("2013-05", "hold", "wait"))
    write_decision(decision("2013-04", "retrain", "lost"))
    write_decision(decision("2013-05", "retrain", "lost more"))
    assert read_decisions("flight_eta") == [decision("2013-04", "retrain", "lost"), decision("2013-05", "retrain", "lost more")]


def test_a_decision_from_before_refits_were_measured_still_loads_and_can_be_decided_on_again() -> None:
    old = {
        "use_case": "flight_eta", "partition": "2013-04", "model_version": "3", "verdict": "decayed", "outcomes": 2500, "loss": 0.1,
        "loss_low": 0.05, "action": "retrain", "reasons": ["lost"], "decided_at": "2026-11-25T12:00:00+00:00", "run_dir": "file:///runs/1",
    }  # fmt: skip
    write_decision(decision("2013-04", "hold", "wait"))
    uri = f"{settings().storage_root}/decisions/flight_eta/2013-04.json"
    storage.write_bytes(uri, json.dumps(old).encode())
    (found,) = read_decisions("flight_eta")
    assert (found.refit_gain, found.cause, found.revises) == (None, None, None)
    assert decide(found.measurement(), RetrainPolicy(), NOTHING_BEFORE).action == "hold"


def test_without_any_train_run_none_is_in_flight() -> None:
    assert run_in_flight("flight_eta", now=NOW) is None


def test_a_run_that_has_begun_and_not_ended_is_in_flight() -> None:
    leave("train_and_release", "one", "snapshot_dataset")
    assert run_in_flight("flight_eta", now=NOW) == "one"
    assert run_in_flight("another_use_case", now=NOW) is None


@pytest.mark.parametrize(
    ("job", "answer", "exit_code", "minutes_ago"),
    [
        ("promote_release", "done", 0, 1),
        ("roll_back_release", "done", 0, 1),
        ("judge_candidate", "no", 10, 1),
        ("train_model", "failed", 20, 1),
        ("train_model", "failed", 1, 61),
        ("train_model", "done", 0, 26 * 60),
    ],
    ids=["promoted", "rolled back", "refused by the gate", "failed for good", "failed and not tried again", "given up"],
)
def test_a_run_that_has_ended_is_not_in_flight(job: str, answer: str, exit_code: int, minutes_ago: int) -> None:
    leave("train_and_release", "one", "snapshot_dataset", ago=timedelta(minutes=minutes_ago + 1))
    leave("train_and_release", "one", job, answer=answer, exit_code=exit_code, ago=timedelta(minutes=minutes_ago))
    assert run_in_flight("flight_eta", now=NOW) is None


def test_a_failed_job_that_will_be_tried_again_keeps_its_run_in_flight() -> None:
    leave("train_and_release", "one", "train_model", answer="failed", exit_code=1, ago=timedelta(minutes=20))
    assert run_in_flight("flight_eta", now=NOW) == "one"


def test_a_day_of_tuning_keeps_its_run_in_flight() -> None:
    leave("train_and_release", "one", "snapshot_dataset", ago=timedelta(hours=24))
    assert run_in_flight("flight_eta", now=NOW) == "one"


def test_a_table_that_failed_when_it_was_last_built_is_a_fault_of_that_partition_only() -> None:
    leave("ingest", "one", "build_table", part="features.2013-04", answer="failed", exit_code=20)
    leave("ingest", "one", "build_table", part="features.2013-05")
    assert failed_builds(FLIGHT_ETA, "2013-04") == ("Table features failed when it was last built: build_table: why",)
    assert failed_builds(FLIGHT_ETA, "2013-05") == ()


def test_a_table_built_again_since_is_no_fault_any_more() -> None:
    leave("ingest", "one", "build_table", part="features.2013-04", answer="failed", exit_code=20, ago=timedelta(hours=2))
    leave("ingest", "two", "build_table", part="features.2013-04", ago=timedelta(hours=1))
    assert failed_builds(FLIGHT_ETA, "2013-04") == ()
