"""Against the stack's MLflow server."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import RunFolder, TableVersion
from roundtrip.contracts.report_addresses import page_address
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.judge import Override, judge
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.mlflow_registry import CANDIDATE, CHAMPION, pinned_versions, register, set_alias
from roundtrip.registry.mlflow_run import MlflowRun, client
from roundtrip.training.ensemble import Ensemble
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.loop import Epoch
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.origin import Origin
from roundtrip.training.rows import training_data
from roundtrip.training.training_record import CONTRACT_FILE, TrainingRecord, publish_model
from tests.roundtrip.evaluation.evaluations import EVALUATION, GOOD
from tests.roundtrip.training.tiny import TINY, TINY_SNAPSHOT, tiny_rows

PASSED = judge(EVALUATION, TINY.gate)
TABLES = [TableVersion("features", "s3://bucket/lakehouse/tiny/features", 3, 2000)]


@pytest.fixture
def use_case(stack: Stack) -> Iterator[UseCase]:
    """The tiny use case under a name of its own; what it registered is removed afterwards."""
    named = replace(TINY, name=f"tiny_{uuid.uuid4().hex[:8]}")
    yield named
    if client().search_registered_models(f"name = '{named.name}'"):
        client().delete_registered_model(named.name)
    experiment = client().get_experiment_by_name(named.name)
    if experiment is not None:
        client().delete_experiment(experiment.experiment_id)


def open_run(use_case: UseCase, fingerprint: str) -> MlflowRun:
    origin = Origin.here(use_case, TINY_SNAPSHOT, ranks=2)
    return MlflowRun.open(use_case, origin, run_folder="file:///runs/1", fingerprint=fingerprint)


def trained(use_case: UseCase, folder: RunFolder, fingerprint: str) -> Network:
    """A run folder as a training leaves it."""
    with open_run(use_case, fingerprint) as run:
        run.record(Epoch(number=1, of=1, loss=1.5, held_out_mae=9.5, learning_rate=1e-3, samples_per_second=7e4))
    data = training_data(use_case, tiny_rows(), tiny_rows(50))
    network = Network(NetworkShape.of(data.contract, use_case.recipe)).eval()
    fit_inputs(network, data)
    record = TrainingRecord(
        fingerprint=fingerprint, epochs=1, train_rows=2000, samples_per_second=70000, final_loss=1.5, held_out_mae=9.5, ranks=2,
        mlflow_run_id=run.run_id, mlflow_run_url=run.url, tables=TABLES,
    )  # fmt: skip
    model = Path(storage.join(folder.uri, "built").removeprefix("file://"))
    Ensemble([network]).save(model)
    (model / CONTRACT_FILE).write_bytes(data.contract.to_json())
    publish_model(model, record, folder)
    snapshot = Snapshot(
        use_case=use_case.name,
        partitions=("2013-01",),
        features_version=3,
        outcomes_version=3,
        rows=2000,
        held_out_from="2013-01-10T00:00:00",
    )
    storage.write_bytes(folder.file("snapshot.json"), snapshot.to_json())
    return network


def test_registering_a_training_twice_makes_one_version_that_says_what_it_is(use_case: UseCase, tmp_path: Path) -> None:
    folder = RunFolder(f"file://{tmp_path}")
    network = trained(use_case, folder, fingerprint="a" * 64)
    first, second = (register(use_case, folder, EVALUATION, PASSED) for _ in range(2))
    assert (first.version, second) == ("1", first)
    found = client().get_model_version_by_alias(use_case.name, CANDIDATE)
    assert (found.version, found.run_id) == ("1", first.mlflow_run_id)
    assert found.tags.items() >= {"features_version": "3", "roundtrip.run_folder": folder.uri, "partitions": "2013-01..2013-01"}.items()
    assert "MAE **10.00 min**, baseline 12.50 min" in str(found.description)
    assert f"({page_address(use_case.name)})" in str(found.description)
    assert pinned_versions(use_case)[use_case.features_table] == {3}
    _check_that_it_loads(use_case, network)


def _check_that_it_loads(use_case: UseCase, network: Network) -> None:
    """Through MLflow's own interface, from the server's artefacts, with the contract's signature."""
    model = mlflow.pyfunc.load_model(f"models:/{use_case.name}@{CANDIDATE}")
    rows = tiny_rows(50, seed=3)
    answers = model.predict(rows.select(["colour", "start", "wind"]).to_pandas())
    encoded = training_data(use_case, tiny_rows(), rows).held_out
    with torch.no_grad():
        expected = network(encoded.numbers, encoded.categories).numpy()
    assert list(answers.columns) == [output.name for output in use_case.outputs]
    np.testing.assert_allclose(answers.to_numpy(), expected, atol=1e-4)


def test_a_version_has_its_model_card_among_its_files_and_in_the_run_folder(use_case: UseCase, tmp_path: Path) -> None:
    folder = RunFolder(f"file://{tmp_path / 'run'}")
    trained(use_case, folder, fingerprint="c" * 64)
    registered = register(use_case, folder, EVALUATION, PASSED)
    found = client().get_model_version(use_case.name, registered.version)
    assert found.tags["gate"] == "passed"
    linked = re.search(r"/experiments/(\d+)/models/([\w-]+)/artifacts\)", str(found.description))
    assert linked is not None
    assert client().get_logged_model(linked[2]).experiment_id == linked[1]
    files = Path(mlflow.artifacts.download_artifacts(f"models:/{use_case.name}/{registered.version}", dst_path=str(tmp_path / "files")))
    assert (files / "MODEL_CARD.md").read_text().startswith("# Tiny, trained on 2013-01\n")
    assert (files / "model_card.html").read_bytes() == storage.read_bytes(registered.card_uri)


def test_an_override_is_in_the_version_s_tags_description_and_card(use_case: UseCase, tmp_path: Path) -> None:
    folder = RunFolder(f"file://{tmp_path / 'run'}")
    trained(use_case, folder, fingerprint="d" * 64)
    refused = judge(replace(EVALUATION, candidate=replace(GOOD, skill_low=0.01)), use_case.gate)
    registered = register(use_case, folder, EVALUATION, refused.overridden(Override(by="Ada", reason="needed for the fair")))
    found = client().get_model_version(use_case.name, registered.version)
    expected = {"gate": "overridden", "override.by": "Ada", "override.reason": "needed for the fair", "override.rules": refused.reason}
    assert found.tags.items() >= expected.items()
    assert str(found.description).startswith("**Override.** The gate refused this candidate (skill against the baseline")
    assert "Ada let it on: needed for the fair" in str(found.description)
    assert b"Ada let it on. Reason: needed for the fair" in storage.read_bytes(registered.card_uri)


def test_a_resumed_training_goes_on_in_its_run_and_another_one_gets_another(use_case: UseCase) -> None:
    first, resumed, other = (open_run(use_case, letter * 64) for letter in "aab")
    assert resumed.run_id == first.run_id
    assert other.run_id != first.run_id
    with pytest.raises(ZeroDivisionError), resumed:
        _ = 1 / 0
    run = client().get_run(first.run_id)
    assert run.info.status == "FAILED"
    assert run.data.params["ranks"] == "2"
    assert run.inputs is not None
    assert sorted(entry.dataset.name for entry in run.inputs.dataset_inputs) == ["features", "outcomes"]


def test_an_alias_names_one_version_at_a_time(use_case: UseCase, tmp_path: Path) -> None:
    for number, letter in enumerate("ab", start=1):
        folder = RunFolder(f"file://{tmp_path}/{letter}")
        trained(use_case, folder, fingerprint=letter * 64)
        assert register(use_case, folder, EVALUATION, PASSED).version == str(number)
        set_alias(use_case.name, CHAMPION, str(number))
    assert client().get_model_version_by_alias(use_case.name, CHAMPION).version == "2"
    assert list(client().get_model_version(use_case.name, "1").aliases) == []
