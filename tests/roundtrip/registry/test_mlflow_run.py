"""Against the stack's MLflow server."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.receipts import TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.registry.mlflow_run import MlflowRun, client, log_pictures
from roundtrip.training.loop import Epoch
from tests.roundtrip.training.tiny import TINY

TABLES = [TableVersion("features", "s3://bucket/lakehouse/tiny/features", 3, 2000)]


@pytest.fixture
def use_case(stack: Stack) -> Iterator[UseCase]:
    """The tiny use case under a name of its own; its experiment is removed afterwards."""
    named = replace(TINY, name=f"tiny_{uuid.uuid4().hex[:8]}")
    yield named
    experiment = client().get_experiment_by_name(named.name)
    if experiment is not None:
        client().delete_experiment(experiment.experiment_id)


def open_run(use_case: UseCase) -> MlflowRun:
    return MlflowRun.open(use_case, run_folder="file:///runs/1", fingerprint="a" * 64, tables=TABLES, ranks=2)


def fetched(run: MlflowRun, name: str, folder: Path) -> bytes:
    return Path(client().download_artifacts(run.run_id, f"pictures/{name}", str(folder))).read_bytes()


def test_the_learning_curve_has_the_epochs_of_every_attempt(use_case: UseCase, tmp_path: Path) -> None:
    curves = []
    for attempt in ((1, 2), (2, 3)):  # the first one died before its second checkpoint
        run = open_run(use_case)
        for number in attempt:
            run.record(Epoch(number=number, of=3, loss=2.0 / number, held_out_mae=10.0 / number, learning_rate=1e-3))
        run.draw_learning_curve(unit="min")
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
