"""Against the stack's MLflow server."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import pytest
from mlflow.telemetry.utils import is_telemetry_disabled
from PIL import Image

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.use_cases import UseCase
from roundtrip.registry.mlflow_run import WEIGHTS_TAG, MlflowRun, client, log_pictures
from roundtrip.training.loop import Epoch
from roundtrip.training.origin import ORIGIN_FILE, Origin
from tests.roundtrip.training.tiny import TINY, TINY_SNAPSHOT


@pytest.fixture
def use_case(stack: Stack) -> Iterator[UseCase]:
    """The tiny use case under a name of its own; its experiment is removed afterwards."""
    named = replace(TINY, name=f"tiny_{uuid.uuid4().hex[:8]}")
    yield named
    experiment = client().get_experiment_by_name(named.name)
    if experiment is not None:
        client().delete_experiment(experiment.experiment_id)


def open_run(use_case: UseCase) -> MlflowRun:
    origin = Origin.here(use_case, replace(TINY_SNAPSHOT, use_case=use_case.name), ranks=2)
    return MlflowRun.open(use_case, origin, run_folder="file:///runs/1", fingerprint="a" * 64)


def fetched(run: MlflowRun, name: str, folder: Path) -> bytes:
    return Path(client().download_artifacts(run.run_id, f"pictures/{name}", str(folder))).read_bytes()


def test_the_learning_curve_has_the_epochs_of_every_attempt(use_case: UseCase, tmp_path: Path) -> None:
    curves = []
    for attempt in ((1, 2), (2, 3)):  # the first one died before its second checkpoint
        run = open_run(use_case)
        for number in attempt:
            run.record(Epoch(number=number, of=3, loss=2.0 / number, held_out_mae=10.0 / number, learning_rate=1e-3))
        run.finish_training("c" * 64, unit="min")
        curves.append(fetched(run, "learning_curve.png", tmp_path))
    assert Image.open(BytesIO(curves[0])).format == "PNG"
    assert curves[1] != curves[0]
    assert [entry.step for entry in client().get_metric_history(run.run_id, "loss")] == [1, 2, 2, 3]


def test_a_picture_that_is_logged_again_is_replaced(use_case: UseCase, tmp_path: Path) -> None:
    run = open_run(use_case)
    log_pictures(run.run_id, {"a.png": b"first", "b.png": b"other"})
    log_pictures(run.run_id, {"a.png": b"second"})
    assert fetched(run, "a.png", tmp_path) == b"second"
    assert sorted(entry.path for entry in client().list_artifacts(run.run_id, "pictures")) == ["pictures/a.png", "pictures/b.png"]


def test_a_run_says_what_it_started_from_what_it_cost_and_which_weights_came_out(use_case: UseCase, tmp_path: Path) -> None:
    with open_run(use_case) as run:
        run.record(Epoch(number=1, of=1, loss=2.0, held_out_mae=10.0, learning_rate=1e-3))
        run.finish_training("c" * 64, unit="min")
    found = client().get_run(run.run_id).data
    assert found.params.items() >= {
        "seed": "1", "ranks": "2", "features_version": "3", "outcomes_version": "4", "snapshot_sha256": "ab" * 32,
        "torch": version("torch"),
    }.items()  # fmt: skip
    assert len(found.params["lock_sha256"]) == 64
    assert found.tags[WEIGHTS_TAG] == "c" * 64
    assert f"roundtrip reproduce {run.run_id}" in found.tags["mlflow.note.content"]
    assert 0 <= found.metrics["system/cpu_utilization_percentage"] <= 100
    assert found.metrics["system/system_memory_usage_megabytes"] > 100
    kept = Origin.from_json(Path(client().download_artifacts(run.run_id, ORIGIN_FILE, str(tmp_path))).read_text())
    assert kept.snapshot == replace(TINY_SNAPSHOT, use_case=use_case.name)


def test_mlflow_s_client_reports_to_nobody_but_the_server() -> None:
    assert is_telemetry_disabled()
