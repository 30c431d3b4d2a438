"""The MLflow runs of a tuning: one for it all, and below it one for each trial. Found again by the study's name and the trial's number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from mlflow.entities import Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import Recipe, UseCase
from roundtrip.registry.mlflow_run import RUN_FOLDER_TAG, client, create_run, found_run, log_metrics, log_pictures, run_url, tags_of_job
from roundtrip.training.chosen_recipe import Tuning

if TYPE_CHECKING:
    from roundtrip.training.loop import Epoch

STATE_TAG, BEST_TAG = "roundtrip.trial_state", "roundtrip.best_trial"
_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class TuningRun:
    """The run of a tuning."""

    def __init__(self, run: Run) -> None:
        self.run_id: str = run.info.run_id
        self.url = run_url(run)

    @classmethod
    def open(cls, use_case: UseCase, *, study: str, run_folder: str, facts: Mapping[str, Figure]) -> TuningRun:
        """The run that an earlier attempt began, or a new one with `facts` as its parameters."""
        if found := found_run(use_case.name, study):
            return cls(found)
        name = f"tuning of {run_folder.rstrip('/').rsplit('/', 1)[-1]}"
        run = create_run(use_case.name, name=name, tags=tags_of_job("tune_model", study) | {RUN_FOLDER_TAG: run_folder})
        client().log_batch(run.info.run_id, params=[Param(name, str(value)) for name, value in facts.items()])
        return cls(run)

    def record(self, *, trials: int, best_mae: float) -> None:
        """The least MAE (validation rows, the label's unit) that so many trials found."""
        log_metrics(self.run_id, {"best_validation_mae": best_mae}, step=trials)

    def finish(self, tuning: Tuning, recipe: Recipe, pictures: Mapping[str, bytes], *, unit: str) -> None:
        """Show the chosen recipe, and close the run. `unit`: of the label."""
        log_pictures(self.run_id, pictures)
        counts = {name: float(getattr(tuning, name)) for name in ("complete", "pruned", "failed")}
        declared = {} if tuning.declared_mae is None else {"declared_validation_mae": tuning.declared_mae}
        log_metrics(self.run_id, counts | declared)
        client().set_tag(self.run_id, BEST_TAG, str(tuning.best_trial))
        client().set_tag(self.run_id, "mlflow.note.content", _description(tuning, recipe, unit))
        client().set_terminated(self.run_id, status="FINISHED")

    def fail(self) -> None:
        """Close the run as failed."""
        client().set_terminated(self.run_id, status="FAILED")


class TrialRun:
    """The run of one trial."""

    def __init__(self, run: Run) -> None:
        self.run_id: str = run.info.run_id

    @classmethod
    def open(cls, use_case: UseCase, *, study: str, number: int, parent: str, parameters: Mapping[str, float | str]) -> TrialRun:
        """The run that an earlier attempt began, or a new one below the run `parent`, with the trial's parameters."""
        if found := found_run(use_case.name, f"{study}-{number}"):
            return cls(found)
        tags = tags_of_job("run_trial", f"{study}-{number}") | {MLFLOW_PARENT_RUN_ID: parent}
        run = create_run(use_case.name, name=f"trial {number}", tags=tags)
        client().log_batch(run.info.run_id, params=[Param(name, str(value)) for name, value in parameters.items()])
        return cls(run)

    def record(self, epoch: Epoch) -> None:
        """Log the epoch, whose held-out rows are the validation span."""
        names = ("loss", "learning_rate", "samples_per_second")
        log_metrics(self.run_id, {name: getattr(epoch, name) for name in names} | {"validation_mae": epoch.held_out_mae}, step=epoch.number)

    def end(self, state: str) -> None:
        """Close the run: `complete`, `pruned` or `failed`."""
        client().set_tag(self.run_id, STATE_TAG, state)
        client().set_terminated(self.run_id, status=_STATUS[state])


def end_trial_run(use_case_name: str, *, study: str, number: int, state: str) -> None:
    """Close the run of a trial whose process is gone; none is no error."""
    if found := found_run(use_case_name, f"{study}-{number}"):
        TrialRun(found).end(state)


def _description(tuning: Tuning, recipe: Recipe, unit: str) -> str:
    """Markdown for the run's page."""
    declared = "the declared recipe's trial failed" if tuning.declared_mae is None else f"declared recipe {tuning.declared_mae:.3f} {unit}"
    rows = "\n".join(f"| {name} | {value} |" for name, value in asdict(recipe).items())
    return (
        f"Trial {tuning.best_trial} of {tuning.trials} is the best: MAE **{tuning.validation_mae:.3f} {unit}** on the validation rows, "
        f"{declared}. {tuning.pruned} were ended early, {tuning.failed} failed.\n\n| recipe | |\n|-|-|\n{rows}"
    )
