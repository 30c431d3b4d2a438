"""The MLflow run of a training: what it started from, metrics and the machine's load per epoch, pictures, and what it was judged by.

It is found again by the training's fingerprint, so a training that is resumed goes on in the same run.
DeepSpeed's autotuner imports mlflow on its own, so its client costs a rank nothing more.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException

from roundtrip.contracts.errors import ServiceUnavailable, UnknownTraining
from roundtrip.contracts.receipts import TableVersion, code_commit
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.pictures import learning_curve
from roundtrip.training.chosen_recipe import Tuning
from roundtrip.training.machine import Load
from roundtrip.training.origin import ORIGIN_FILE, Origin

if TYPE_CHECKING:
    from roundtrip.training.loop import Epoch

FINGERPRINT_TAG = "roundtrip.fingerprint"
RUN_FOLDER_TAG = "roundtrip.run_folder"
WEIGHTS_TAG, REPRODUCES_TAG = "roundtrip.weights_sha256", "roundtrip.reproduces"
TUNING_TAG = "roundtrip.tuning_run"
"""Of a training: the run of the tuning that chose its recipe."""
PICTURES = "pictures"
"""Folder of a run's artefacts."""


class MlflowRun:
    """One run. As a context manager it closes the run in the end."""

    def __init__(self, run: Run) -> None:
        self.run_id: str = run.info.run_id
        self.url = run_url(run)
        self._load = Load()

    @classmethod
    def open(cls, use_case: UseCase, origin: Origin, *, run_folder: str, fingerprint: str, tuning: Tuning | None = None) -> MlflowRun:
        """The run of this training: the one that an earlier attempt began, or a new one that says what it starts from.

        `tuning`: what the recipe was chosen by.
        """
        if found := found_run(use_case.name, fingerprint):
            return cls(found)
        tags = (
            tags_of_job("train_model", fingerprint) | {RUN_FOLDER_TAG: run_folder} | ({TUNING_TAG: tuning.mlflow_run_id} if tuning else {})
        )
        name = run_folder.rstrip("/").rsplit("/", 1)[-1]
        return cls.begin(use_case, origin, name=name, begun_by=f"Run folder: `{run_folder}`", tags=tags)

    @classmethod
    def begin(cls, use_case: UseCase, origin: Origin, *, name: str, begun_by: str, tags: Mapping[str, str]) -> MlflowRun:
        """A new run that says what it starts from. `begun_by`: a sentence in Markdown for its page."""
        run = create_run(use_case.name, name=name, tags=tags)
        run_id = run.info.run_id
        client().set_tag(run_id, "mlflow.note.content", _description(use_case, begun_by, run_id))
        client().log_batch(run_id, params=[Param(name, str(value)) for name, value in origin.parameters().items()])
        client().log_inputs(run_id, datasets=[_dataset(table) for table in origin.snapshot.tables(use_case)])
        client().log_text(run_id, origin.to_json(), ORIGIN_FILE)
        return cls(run)

    def record(self, epoch: Epoch) -> None:
        """Print the epoch (Airflow streams it into the task's log) and log it, with the machine's load since the last one."""
        print(epoch, flush=True)
        names = ("loss", "held_out_mae", "learning_rate", "samples_per_second", "useful_time_ratio")
        log_metrics(self.run_id, {name: getattr(epoch, name) for name in names} | self._load.since_last(), step=epoch.number)

    def finish_training(self, weights_sha256: str, *, unit: str) -> None:
        """Say which weights came out, and draw the learning curve from all epochs of the run, those of earlier attempts too.

        `unit`: of the label.
        """
        client().set_tag(self.run_id, WEIGHTS_TAG, weights_sha256)
        losses, maes = (_history(self.run_id, name) for name in ("loss", "held_out_mae"))
        log_pictures(self.run_id, {"learning_curve.png": learning_curve(losses, maes, unit=unit)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Finished, or failed by an error. A killed training leaves its run open: the one that resumes it goes on there."""
        client().set_terminated(self.run_id, status="FAILED" if error else "FINISHED")


@dataclass(frozen=True)
class FinishedTraining:
    """A training as its MLflow run tells it."""

    run_id: str
    origin: Origin
    weights_sha256: str


def finished_training_of(run_id: str) -> FinishedTraining:
    """What the run of that id started from, and which weights came out. Raises UnknownTraining, ServiceUnavailable."""
    try:
        run = client().get_run(run_id)
        kept = {entry.path for entry in client().list_artifacts(run_id)}
        if ORIGIN_FILE not in kept or WEIGHTS_TAG not in run.data.tags:
            raise UnknownTraining(
                f"run {run_id} ({run.info.status}) has no {ORIGIN_FILE} or no tag {WEIGHTS_TAG}: only a training that is finished, by a "
                "version of Roundtrip that keeps them, can be reproduced."
            )
        with tempfile.TemporaryDirectory() as scratch:
            content = Path(client().download_artifacts(run_id, ORIGIN_FILE, scratch)).read_bytes()
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise UnknownTraining(f"MLflow at {settings().mlflow_url} holds no run {run_id!r}: take the id from the run's page.") from None
        raise ServiceUnavailable(f"MLflow at {settings().mlflow_url}: {error}. See `roundtrip status`.") from error
    return FinishedTraining(run_id, Origin.from_json(content), run.data.tags[WEIGHTS_TAG])


def tag_reproduction(run_id: str, *, original: str, same: bool) -> None:
    """Say on the page of the run `run_id` which run it trained again, and whether the same weights came out."""
    client().set_tag(run_id, REPRODUCES_TAG, original)
    client().set_tag(run_id, "roundtrip.same_weights", str(same).lower())


def client() -> MlflowClient:
    """The server of the settings; user and password come from MLFLOW_TRACKING_* too."""
    return MlflowClient(tracking_uri=settings().mlflow_url)


def found_run(use_case_name: str, fingerprint: str) -> Run | None:
    """The run of that fingerprint in the use case's experiment, which runs again; None when there is none yet."""
    found = client().search_runs([_experiment(use_case_name)], filter_string=f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'", max_results=1)
    if not found:
        return None
    client().update_run(found[0].info.run_id, status="RUNNING")
    return found[0]


def create_run(use_case_name: str, *, name: str, tags: Mapping[str, str]) -> Run:
    """A new run in the use case's experiment."""
    return client().create_run(_experiment(use_case_name), tags={"mlflow.source.git.commit": code_commit(), **tags}, run_name=name)


def tags_of_job(job: str, fingerprint: str) -> dict[str, str]:
    """Of a run that a job begins, and finds again by the fingerprint."""
    return {FINGERPRINT_TAG: fingerprint, "mlflow.source.name": f"jobs.{job}", "mlflow.source.type": "JOB"}


def run_url(run: Run) -> str:
    """The run's page."""
    return f"{settings().mlflow_url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def log_metrics(run_id: str, metrics: Mapping[str, float], *, step: int = 0, model_id: str | None = None) -> None:
    """Log all of them at once, for the run and, if one is named, the logged model. Logging the same again changes nothing one sees."""
    now = int(time.time() * 1000)
    entries = [Metric(name, value, now, step, model_id=model_id, run_id=run_id) for name, value in metrics.items()]
    client().log_batch(run_id, metrics=entries)


def log_pictures(run_id: str, pictures: Mapping[str, bytes]) -> None:
    """File name → content, as artefacts of the run below `pictures`. One of the same name is replaced."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in pictures.items():
            (Path(scratch) / name).write_bytes(content)
        client().log_artifacts(run_id, scratch, PICTURES)


def _history(run_id: str, metric: str) -> list[float]:
    """The metric's value at each step, in order; of a step that was logged again, the newest."""
    logged = sorted(client().get_metric_history(run_id, metric), key=lambda entry: entry.timestamp)
    by_step = {entry.step: entry.value for entry in logged}
    return [by_step[step] for step in sorted(by_step)]


def _description(use_case: UseCase, begun_by: str, run_id: str) -> str:
    """Markdown for the run's page."""
    return (
        f"{use_case.title}: {use_case.description.strip()}\n\n"
        f"{begun_by}\n\n"
        f"The same weights again, on any checkout of this commit: `roundtrip reproduce {run_id}`"
    )


def _experiment(name: str) -> str:
    """The id of the experiment of that name, created when it is missing (another process may be doing the same)."""
    while (found := client().get_experiment_by_name(name)) is None:
        try:
            return client().create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    return found.experiment_id


def _dataset(table: TableVersion) -> DatasetInput:
    """A table at its pinned version, as MLflow shows the inputs of a run."""
    source = json.dumps({"uri": table.uri, "version": table.version})
    profile = json.dumps({"num_rows": table.rows})
    dataset = Dataset(name=table.table, digest=f"version-{table.version}", source_type="delta_table", source=source, profile=profile)
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])
