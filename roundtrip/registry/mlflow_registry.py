"""The model registry: one registered model a use case, its versions, and the aliases candidate → challenger → champion.

A version is MLflow's pyfunc flavour with a loader of ours, so `mlflow.pyfunc.load_model("models:/flight_eta@champion")` works, and
nothing in it is pickled. Its files: the model card, the network's weights and shape, the contract, the snapshot it was trained on, how
good it is.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.pyfunc
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from roundtrip.contracts import storage
from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import EVALUATION_FILE, SNAPSHOT_FILE, RunFolder, code_commit
from roundtrip.contracts.report_addresses import page_address
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.judge import Judgement
from roundtrip.evaluation.quality import Evaluation
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry import pyfunc_loader
from roundtrip.registry.card_pages import as_html, as_markdown, plain
from roundtrip.registry.mlflow_run import FINGERPRINT_TAG, RUN_FOLDER_TAG, client, log_metrics
from roundtrip.registry.model_card import HTML_FILE, MARKDOWN_FILE, Origin, model_card
from roundtrip.training.chosen_recipe import ChosenRecipe
from roundtrip.training.training_record import CONTRACT_FILE, MODEL_FOLDER, read_record

CANDIDATE, CHALLENGER, CHAMPION = "candidate", "challenger", "champion"
GATE_TAG, PASSED, OVERRIDDEN = "gate", "passed", "overridden"
"""A version's tag that says what the gate said of it, and its two values."""
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
    card_uri: str
    """Its model card in the run folder, HTML."""


def register(use_case: UseCase, folder: RunFolder, evaluation: Evaluation, judgement: Judgement) -> RegisteredVersion:
    """Register the run folder's model with its model card, alias `candidate`.

    The same run folder always gives the same version. Raises ReceiptMissing when it holds no trained model.
    """
    record = read_record(folder)
    found = _version_of_training(use_case.name, record.fingerprint)
    if found is None:
        chosen, snapshot = ChosenRecipe.load(folder), Snapshot.load(folder.uri)
        tuning = chosen.tuning if chosen else None
        origin = Origin(folder=folder, snapshot=snapshot, record=record, evaluation=evaluation, judgement=judgement, tuning=tuning)
        with tempfile.TemporaryDirectory() as scratch:
            found = _create_version(use_case, origin, Path(scratch))
    set_alias(use_case.name, CANDIDATE, found.version)
    return RegisteredVersion(
        found.version, record.mlflow_run_id, version_url(use_case.name, found.version), record.mlflow_run_url, folder.file(HTML_FILE)
    )


def set_alias(use_case_name: str, alias: str, version: str) -> None:
    """Let `alias` name this version, and no other. Raises ServiceUnavailable."""
    try:
        client().set_registered_model_alias(use_case_name, alias, version)
    except MlflowException as error:
        raise ServiceUnavailable(
            f"MLflow at {settings().mlflow_url} did not let the alias {alias} of {use_case_name} name version {version}: {error}. "
            "See `roundtrip status`."
        ) from error


def gate_by_version(use_case_name: str) -> dict[str, str]:
    """Registered version → what the gate said of it: PASSED, OVERRIDDEN, or empty where nothing says that it was judged.

    Raises ServiceUnavailable.
    """
    try:
        found = client().search_model_versions(f"name = '{use_case_name}'")
    except MlflowException as error:
        raise ServiceUnavailable(
            f"MLflow at {settings().mlflow_url} does not list the versions of {use_case_name}: {error}. See `roundtrip status`."
        ) from error
    return {str(version.version): version.tags.get(GATE_TAG, "") for version in found}


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


def _create_version(use_case: UseCase, origin: Origin, scratch: Path) -> ModelVersion:
    record, tags = origin.record, _tags(use_case, origin)
    _collect_files(use_case, origin, scratch)
    logged = _log_model(use_case, record.mlflow_run_id, scratch, tags)
    log_metrics(record.mlflow_run_id, origin.evaluation.metrics(), model_id=logged.model_id)
    _create_model(use_case)
    return client().create_model_version(
        use_case.name,
        source=f"models:/{logged.model_id}",
        run_id=record.mlflow_run_id,
        model_id=logged.model_id,
        tags=tags,
        description=_description(use_case, origin, logged),
    )


def _log_model(use_case: UseCase, run_id: str, folder: Path, tags: dict[str, str]) -> LoggedModel:
    """Log `folder`, which holds the files, as a model of the training's run.

    `mlflow.pyfunc.log_model` would do the same in 30 requests instead of 5, and resolve an environment that this repository's lock is.
    """
    run = client().get_run(run_id)
    logged = client().create_logged_model(run.info.experiment_id, name=use_case.name, source_run_id=run.info.run_id, tags=tags)
    contract = ModelContract.from_json((folder / _DATA / CONTRACT_FILE).read_bytes())
    model = Model(run_id=run.info.run_id, model_id=logged.model_id, signature=signature(contract))
    mlflow.pyfunc.add_to_model(model, loader_module=pyfunc_loader.__name__, data=_DATA)
    model.save(folder / "MLmodel")
    client().log_model_artifacts(logged.model_id, str(folder))
    client().finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client().log_outputs(run.info.run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
    return logged


def _collect_files(use_case: UseCase, origin: Origin, scratch: Path) -> None:
    """The version's files; its card goes into the run folder too, where Airflow's link shows it."""
    files, card = scratch / _DATA, model_card(use_case, origin)
    storage.download_folder(origin.folder.file(MODEL_FOLDER), files)
    (files / SNAPSHOT_FILE).write_bytes(storage.read_bytes(origin.folder.file(SNAPSHOT_FILE)))
    (files / EVALUATION_FILE).write_text(json.dumps(origin.evaluation.figures(), indent=2))
    for name, text in ((MARKDOWN_FILE, as_markdown(card)), (HTML_FILE, as_html(card))):
        (scratch / name).write_text(text, encoding="utf-8")
        storage.write_bytes(origin.folder.file(name), text.encode())


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


def _tags(use_case: UseCase, origin: Origin) -> dict[str, str]:
    snapshot, judgement = origin.snapshot, origin.judgement
    tags = {
        FINGERPRINT_TAG: origin.record.fingerprint,
        RUN_FOLDER_TAG: origin.folder.uri,
        "code_commit": code_commit(),
        "partitions": f"{snapshot.partitions[0]}..{snapshot.partitions[-1]}",
        "held_out_from": snapshot.held_out_from,
        GATE_TAG: PASSED if judgement.passed else OVERRIDDEN,
    } | {_version_tag(table.table): str(table.version) for table in origin.record.tables}
    if judgement.override is not None:
        override = judgement.override
        tags |= {"override.by": override.by, "override.reason": override.reason, "override.rules": judgement.reason}
    return tags


def _version_tag(table: str) -> str:
    return f"{table}_version"


def _description(use_case: UseCase, origin: Origin, logged: LoggedModel) -> str:
    """Markdown for the version's page. MLflow takes 5,000 characters, which the card may exceed: it is linked."""
    unit, evaluation, record = use_case.outputs[0].unit, origin.evaluation, origin.record
    found = evaluation.candidate
    files = f"{settings().mlflow_url}/#/experiments/{logged.experiment_id}/models/{logged.model_id}/artifacts"
    return (
        f"{_override(origin.judgement)}{use_case.title}, trained on {record.train_rows:,} rows. On the {evaluation.held_out_rows:,} rows "
        "held out:\n\n"
        f"- MAE **{found.mae:.2f} {unit}**, baseline {evaluation.baseline_mae:.2f} {unit} ({use_case.baseline.meaning})\n"
        f"- skill {found.skill:.3f} (95 % interval {found.skill_low:.3f} to {found.skill_high:.3f})\n"
        f"- {found.coverage:.1%} of outcomes inside the predicted interval\n\n"
        f"[Model card]({files}): {MARKDOWN_FILE} and {HTML_FILE}. Inputs, units and outputs are in contract.json. "
        f"[Training run]({record.mlflow_run_url}). [The use case's page]({page_address(use_case.name)})"
    )


def _override(judgement: Judgement) -> str:
    """The first of the overridden rules: all of them are in the tag and in the card."""
    if judgement.override is None:
        return ""
    first, more = judgement.refusing[0], len(judgement.refusing) - 1
    rules = f"{first}{f', and {more} more' if more else ''}"
    told = f"The gate refused this candidate ({rules}), and {judgement.override.by} let it on: {judgement.override.reason}"
    return f"**Override.** {plain(told)}\n\n"
