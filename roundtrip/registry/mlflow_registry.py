"""The model registry: one registered model a use case, its versions, and the aliases candidate → challenger → champion.

A version is MLflow's pyfunc flavour with a loader of ours, so `mlflow.pyfunc.load_model("models:/flight_eta@champion")` works, and
nothing in it is pickled. Its files: the network's weights and shape, the contract, the snapshot it was trained on, how it was judged.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.pyfunc
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from roundtrip.contracts import storage
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import EVALUATION_FILE, SNAPSHOT_FILE, RunFolder, code_commit
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.quality import Evaluation
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry import pyfunc_loader
from roundtrip.registry.mlflow_run import FINGERPRINT_TAG, RUN_FOLDER_TAG, client, log_metrics
from roundtrip.training.training_record import CONTRACT_FILE, MODEL_FOLDER, TrainingRecord, read_record

CANDIDATE, CHALLENGER, CHAMPION = "candidate", "challenger", "champion"
_DATA = "data"
"""Name of the files' folder inside the logged model."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the registry."""

    version: str
    mlflow_run_id: str
    url: str
    """Its page."""
    run_url: str


def register(use_case: UseCase, folder: RunFolder, evaluation: Evaluation) -> RegisteredVersion:
    """Register the run folder's model with its evaluation, alias `candidate`.

    The same run folder always gives the same version. Raises ReceiptMissing when it holds no trained model.
    """
    record = read_record(folder)
    found = _version_of_training(use_case.name, record.fingerprint)
    if found is None:
        with tempfile.TemporaryDirectory() as scratch:
            found = _create_version(use_case, folder, record, evaluation, Path(scratch))
    set_alias(use_case.name, CANDIDATE, found.version)
    return RegisteredVersion(found.version, record.mlflow_run_id, version_url(use_case.name, found.version), record.mlflow_run_url)


def set_alias(use_case_name: str, alias: str, version: str) -> None:
    """Let `alias` name this version, and no other."""
    client().set_registered_model_alias(use_case_name, alias, version)


def pinned_versions(use_case: UseCase) -> dict[str, set[int]]:
    """Table → versions that a registered version was trained on, whether it was ever compiled or not."""
    tags = [version.tags for version in client().search_model_versions(f"name = '{use_case.name}'")]
    tables = (use_case.features_table, use_case.outcomes_table)
    return {table: {int(held[tag]) for held in tags if (tag := _version_tag(table)) in held} for table in tables}


def version_url(use_case_name: str, version: str) -> str:
    """The version's page."""
    return f"{settings().mlflow_url}/#/models/{use_case_name}/versions/{version}"


def _version_of_training(name: str, fingerprint: str) -> ModelVersion | None:
    found = client().search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT_TAG}` = '{fingerprint}'", max_results=1)
    return found[0] if found else None


def _create_version(use_case: UseCase, folder: RunFolder, record: TrainingRecord, evaluation: Evaluation, scratch: Path) -> ModelVersion:
    _collect_files(folder, evaluation, scratch / _DATA)
    tags = _tags(folder, record, Snapshot.load(folder.uri))
    model_id = _log_model(use_case, record, scratch, tags)
    log_metrics(record.mlflow_run_id, evaluation.metrics(), model_id=model_id)
    _create_model(use_case)
    return client().create_model_version(
        use_case.name,
        source=f"models:/{model_id}",
        run_id=record.mlflow_run_id,
        model_id=model_id,
        tags=tags,
        description=_description(use_case, record, evaluation),
    )


def _log_model(use_case: UseCase, record: TrainingRecord, folder: Path, tags: dict[str, str]) -> str:
    """Log `folder`, which holds the files, as a model of the training's run; gives its id.

    `mlflow.pyfunc.log_model` would do the same in 30 requests instead of 5, and resolve an environment that this repository's lock is.
    """
    run = client().get_run(record.mlflow_run_id)
    logged = client().create_logged_model(run.info.experiment_id, name=use_case.name, source_run_id=run.info.run_id, tags=tags)
    contract = ModelContract.from_json((folder / _DATA / CONTRACT_FILE).read_bytes())
    model = Model(run_id=run.info.run_id, model_id=logged.model_id, signature=signature(contract))
    mlflow.pyfunc.add_to_model(model, loader_module=pyfunc_loader.__name__, data=_DATA)
    model.save(folder / "MLmodel")
    client().log_model_artifacts(logged.model_id, str(folder))
    client().finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client().log_outputs(run.info.run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
    return logged.model_id


def _collect_files(folder: RunFolder, evaluation: Evaluation, files: Path) -> None:
    storage.download_folder(folder.file(MODEL_FOLDER), files)
    (files / SNAPSHOT_FILE).write_bytes(storage.read_bytes(folder.file(SNAPSHOT_FILE)))
    (files / EVALUATION_FILE).write_text(json.dumps(evaluation.figures(), indent=2))


def _create_model(use_case: UseCase) -> None:
    """The registered model, unless it is there."""
    try:
        client().create_registered_model(use_case.name, tags={"owner": use_case.owner}, description=use_case.description.strip())
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def signature(contract: ModelContract) -> ModelSignature:
    """The contract in MLflow's words: what its page shows, and what its pyfunc checks."""
    kinds = {"number": DataType.double, "category": DataType.string}
    inputs: list[ColSpec | TensorSpec] = [ColSpec(kinds[entry.kind], entry.name, required=not entry.optional) for entry in contract.inputs]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.float, entry.name) for entry in contract.outputs]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _tags(folder: RunFolder, record: TrainingRecord, snapshot: Snapshot) -> dict[str, str]:
    return {
        FINGERPRINT_TAG: record.fingerprint,
        RUN_FOLDER_TAG: folder.uri,
        "code_commit": code_commit(),
        "partitions": f"{snapshot.partitions[0]}..{snapshot.partitions[-1]}",
        "held_out_from": snapshot.held_out_from,
    } | {_version_tag(table.table): str(table.version) for table in record.tables}


def _version_tag(table: str) -> str:
    return f"{table}_version"


def _description(use_case: UseCase, record: TrainingRecord, evaluation: Evaluation) -> str:
    """Markdown for the version's page."""
    unit, found = use_case.outputs[0].unit, evaluation.candidate
    return (
        f"{use_case.title}, trained on {record.train_rows:,} rows. On the {evaluation.held_out_rows:,} rows held out:\n\n"
        f"- MAE **{found.mae:.2f} {unit}**, baseline {evaluation.baseline_mae:.2f} {unit} ({use_case.baseline.meaning})\n"
        f"- skill {found.skill:.3f} (95 % interval {found.skill_low:.3f} to {found.skill_high:.3f})\n"
        f"- {found.coverage:.1%} of outcomes inside the predicted interval\n\n"
        f"Inputs, units and outputs are in contract.json. [Training run]({record.mlflow_run_url})"
    )
