"""The governor as a job: retrain is exit code 0, no is exit code 10 with every reason, and each decision is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs import decide_retrain, measure_drift
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Figure, Receipt, RunFolder
from roundtrip.contracts.settings import settings
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.monitoring.decisions import read_decisions
from roundtrip.registry.version_folder import publish, write_manifest
from roundtrip.serving.release import Release, ReleasedVersion, change
from tests.roundtrip.serving.conftest import home, release_schema  # noqa: F401

PARTITION = "2013-06"
DECAYED: dict[str, Figure] = {
    "model_version": "1", "verdict": "decayed", "cause": "concept drift", "outcomes": 27075, "inputs_drifted": [], "data_faults": [],
    "performance": {"mae": 12.7, "baseline_mae": 14.2, "loss": 0.10, "loss_low": 0.05},
    "refit": {"mae": 12.2, "live_mae": 12.6, "gain": 0.032, "gain_low": 0.02},
}  # fmt: skip


@pytest.fixture
def run_folder(tmp_path: Path, home: Path) -> RunFolder:  # noqa: F811
    """A watch_drift run that has measured a decayed model."""
    assert settings().home_path == home
    folder = RunFolder(f"file://{tmp_path}/run")
    folder.write_receipt(Receipt("measure_drift", "flight_eta", figures=DECAYED))
    return folder


@pytest.fixture
def live_version(tmp_path: Path, release_schema: str) -> None:  # noqa: F811
    """Version 1 is live, trained on January to March."""
    assert settings().database_url == release_schema
    folder = tmp_path / "version"
    folder.mkdir()
    snapshot = Snapshot(
        use_case="flight_eta", partitions=("2013-01", "2013-03"), features_version=2, outcomes_version=2, rows=78_000,
        held_out_from="2013-03-18T00:00:00+00:00",
    )  # fmt: skip
    (folder / "snapshot.json").write_bytes(snapshot.to_json())
    write_manifest(folder)
    version = ReleasedVersion(version="1", digest=publish(folder, "flight_eta", "1"), triton_model="flight_eta")
    change(Release(use_case="flight_eta", live=version), expected_generation=0, stage="live", about=version, why="test")


def decide(folder: RunFolder, partition: str = PARTITION) -> int:
    """Run the job; gives its exit code."""
    try:
        decide_retrain.main(["--use-case", "flight_eta", "--run-dir", folder.uri, "--partition", partition])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.mark.usefixtures("live_version")
def test_a_decayed_model_is_retrained_and_asking_again_gives_the_same_answer(run_folder: RunFolder) -> None:
    assert [decide(run_folder), decide(run_folder)] == [0, 0]
    receipt = run_folder.receipt("decide_retrain")
    assert (receipt.figures["action"], receipt.figures["partitions"]) == ("retrain", "..2013-06")
    (decision,) = read_decisions("flight_eta")
    assert (decision.partition, decision.action, list(decision.reasons)) == (PARTITION, "retrain", receipt.figures["reasons"])


@pytest.mark.usefixtures("live_version")
def test_an_event_that_is_delivered_fifty_times_at_once_asks_for_one_retrain(tmp_path: Path) -> None:
    folders = [RunFolder(f"file://{tmp_path}/run_{number}") for number in range(50)]
    for folder in folders:
        folder.write_receipt(Receipt("measure_drift", "flight_eta", figures=DECAYED))
    with ThreadPoolExecutor(max_workers=50) as pool:
        codes = list(pool.map(decide, folders))
    assert sorted(codes) == [0] + [10] * 49
    asked = folders[codes.index(0)]
    (decision,) = read_decisions("flight_eta")
    assert (decision.action, decision.run_dir) == ("retrain", asked.uri)
    held = next(folder for folder in folders if folder != asked)
    receipt = Receipt.from_json(storage.read_bytes(held.receipt_uri("decide_retrain")))
    assert f"{asked.uri} asked for a retrain for 2013-06 already" in receipt.reason


@pytest.mark.usefixtures("live_version")
def test_outcomes_that_come_later_revise_the_verdict_and_the_record_says_which(run_folder: RunFolder, tmp_path: Path) -> None:
    early = RunFolder(f"file://{tmp_path}/early")
    unseen: dict[str, Figure] = {"verdict": "watch", "cause": "data drift", "outcomes": 0, "performance": None, "refit": None}
    early.write_receipt(Receipt("measure_drift", "flight_eta", figures=DECAYED | unseen | {"inputs_drifted": ["carrier"]}))
    assert decide(early) == 10
    (first,) = read_decisions("flight_eta")
    assert (first.verdict, first.action, first.revises) == ("watch", "hold", None)
    assert decide(run_folder) == 0
    (second,) = read_decisions("flight_eta")
    assert (second.verdict, second.action) == ("decayed", "retrain")
    assert second.revises == f"watch of 0 outcomes, decided at {first.decided_at}"
    assert decide(early) == 10
    assert read_decisions("flight_eta") == [second]


@pytest.mark.usefixtures("live_version")
def test_what_holds_a_retrain_back_is_in_the_receipt_the_decision_and_the_exit_code(run_folder: RunFolder) -> None:
    training = Receipt("snapshot_dataset", "flight_eta", started_at=datetime.now(UTC).isoformat())
    RunFolder.of("flight_eta.train_and_release", "another").write_receipt(training)
    broken = DECAYED | {"data_faults": ["Input carrier arrives without a value."]}
    run_folder.write_receipt(Receipt("measure_drift", "flight_eta", figures=broken))
    assert decide(run_folder) == 10
    (decision,) = read_decisions("flight_eta")
    assert decision.action == "hold"
    assert [reason.partition(":")[0] for reason in decision.reasons] == ["Bad data", "The train run another is in flight"]
    assert "carrier arrives without a value" in decision.reasons[0]
    assert (decision.cause, decision.refit_gain, decision.mae) == ("bad data", 0.032, 12.7)


def test_without_a_measurement_nothing_is_decided(tmp_path: Path, home: Path) -> None:  # noqa: F811
    assert settings().home_path == home
    assert decide(RunFolder(f"file://{tmp_path}/empty")) == 20
    assert read_decisions("flight_eta") == []


@pytest.mark.parametrize("partition", ["2013-13", "../x", "2013-06; DROP TABLE"])
def test_a_partition_that_is_no_month_is_refused_by_both_jobs(partition: str, run_folder: RunFolder) -> None:
    assert decide(run_folder, partition) == 20
    with pytest.raises(SystemExit) as raised:
        measure_drift.main(["--use-case", "flight_eta", "--run-dir", run_folder.uri, "--partition", partition])
    assert raised.value.code == 20
