import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import train_model
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import RunFolder, TableVersion
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.training.chosen_recipe import ChosenRecipe, use_case_of_run
from roundtrip.training.training_record import TrainingRecord, fingerprint, publish_model
from use_cases import use_case_named

REPOSITORY = Path(__file__).parents[2]
FLIGHTS = use_case_named("flight_eta")


def snapshot(*, features_version: int) -> bytes:
    return Snapshot(
        use_case="flight_eta",
        partitions=("2013-01",),
        features_version=features_version,
        outcomes_version=0,
        rows=64000,
        held_out_from="2013-01-17T00:00:00+00:00",
    ).to_json()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run folder with a snapshot."""
    run_folder = RunFolder(f"file://{tmp_path}")
    storage.write_bytes(run_folder.file("snapshot.json"), snapshot(features_version=3))
    return run_folder


def run_as_rank_0_of_2(folder: RunFolder) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TORCHELASTIC_RUN_ID": "test", "RANK": "0", "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "jobs.train_model", "--use-case", "flight_eta", "--run-dir", folder.uri]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def record_of(folder: RunFolder, *, ranks: int) -> TrainingRecord:
    return TrainingRecord(
        fingerprint=fingerprint(FLIGHTS, folder),
        epochs=8,
        train_rows=64000,
        samples_per_second=70000,
        final_loss=1.13,
        held_out_mae=9.7,
        ranks=ranks,
        mlflow_run_id="a1b2",
        mlflow_run_url="http://127.0.0.1:5000/#/experiments/1/runs/a1b2",
        tables=[TableVersion("features", "s3://bucket/lakehouse/flight_eta/features", 3, 78000)],
        weights_sha256="ab" * 32,
    )


def test_a_finished_training_returns_at_once_with_the_same_figures(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    record = record_of(folder, ranks=2)
    publish_model(tmp_path / "built", record, folder)
    assert run_as_rank_0_of_2(folder).returncode == 0
    receipt = folder.receipt("train_model")
    assert receipt.figures == record.figures()
    assert receipt.inputs == record.tables
    assert receipt.links == {"MLflow run": record.mlflow_run_url}


def test_it_trains_the_recipe_that_was_chosen_for_the_run(folder: RunFolder, tmp_path: Path) -> None:
    """A training of that recipe counts as this run's; one of the declared recipe does not."""
    declared = fingerprint(FLIGHTS, folder)
    ChosenRecipe(recipe=replace(FLIGHTS.recipe, epochs=9)).save(folder)
    chosen = fingerprint(use_case_of_run(FLIGHTS, folder), folder)
    assert chosen != declared
    (tmp_path / "built").mkdir()
    publish_model(tmp_path / "built", replace(record_of(folder, ranks=2), fingerprint=chosen), folder)
    assert run_as_rank_0_of_2(folder).returncode == 0


def test_other_rows_or_another_run_make_another_training(folder: RunFolder, tmp_path: Path) -> None:
    prints = {fingerprint(FLIGHTS, folder)}
    elsewhere = RunFolder(f"file://{tmp_path}/other")
    storage.write_bytes(elsewhere.file("snapshot.json"), storage.read_bytes(folder.file("snapshot.json")))
    prints.add(fingerprint(FLIGHTS, elsewhere))
    storage.write_bytes(folder.file("snapshot.json"), snapshot(features_version=4))
    prints.add(fingerprint(FLIGHTS, folder))
    assert len(prints) == 3


def test_a_record_from_before_the_digest_of_the_weights_reads_back(folder: RunFolder) -> None:
    values = json.loads(record_of(folder, ranks=2).to_json())
    del values["weights_sha256"]
    assert TrainingRecord.from_json(json.dumps(values).encode()) == replace(record_of(folder, ranks=2), weights_sha256="")


def test_without_a_snapshot_the_job_to_run_is_named(folder: RunFolder) -> None:
    storage.delete(folder.file("snapshot.json"))
    ended = run_as_rank_0_of_2(folder)
    assert ended.returncode == 20
    assert "python -m jobs.snapshot_dataset" in ended.stderr


def test_machines_that_are_not_all_named_leave_a_receipt_and_start_nothing(folder: RunFolder) -> None:
    with pytest.raises(SystemExit) as ended:
        train_model.main(["--use-case", "flight_eta", "--run-dir", folder.uri, "--nodes", "2"])
    assert ended.value.code == 20
    receipt = json.loads(storage.read_bytes(folder.receipt_uri("train_model")))
    assert receipt["reason"].startswith("BadNodes: --node-rank, --rendezvous not given")
