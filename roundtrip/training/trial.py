"""One trial of a tuning: its recipe is trained on the older training rows and judged on the last of them.

The gate's held-out rows are never looked at: a recipe that was chosen on the rows that judge it would be flattered by them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from optuna import TrialPruned
from optuna.trial import Trial, TrialState

from roundtrip.contracts.errors import BadRequest, SnapshotUnusable
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import Recipe, UseCase
from roundtrip.lakehouse.snapshot import Snapshot, SnapshotRows, load_rows, split_at
from roundtrip.registry.mlflow_tuning import TrialRun
from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import single_rank
from roundtrip.training.loop import Epoch, train
from roundtrip.training.rows import training_data
from roundtrip.training.study import (
    DECLARED,
    EPOCH,
    FIFTHS,
    RUN_ID,
    fail_trial,
    frozen,
    load_study,
    recipe_of_trial,
    running_trial,
    study_name,
    trial_folder,
)


class TrialJournal:
    """Tells the study and MLflow about each epoch of a trial, and ends it early where it falls behind the others."""

    def __init__(self, trial: Trial, run: TrialRun) -> None:
        self._trial, self._run = trial, run

    def record(self, epoch: Epoch) -> None:
        """Raises TrialPruned when the trial is not worth its remaining epochs. That of the declared recipe, to compare with, always is."""
        print(epoch, flush=True)
        self._run.record(epoch)
        self._trial.set_user_attr(EPOCH, f"{epoch.number} of {epoch.of}")
        fifths = FIFTHS * epoch.number // epoch.of
        if fifths not in frozen(self._trial.study, self._trial.number).intermediate_values:  # by an attempt that was killed
            self._trial.report(epoch.held_out_mae, fifths)
        if self._trial.number != DECLARED and epoch.number < epoch.of and self._trial.should_prune():
            raise TrialPruned


def run_trial(use_case: UseCase, folder: RunFolder, number: int) -> None:
    """Train the trial of that number in the run folder's study as the only rank, from its newest checkpoint if it has one, and tell the
    study how it ended.

    `use_case`: as declared. Raises what a trial failed with, once the study knows: BadRequest where it would fail again.
    """
    name = study_name(use_case, folder)
    study = load_study(name)
    trial = running_trial(study, number)
    recipe = alone(recipe_of_trial(trial, use_case))
    run = TrialRun.open(use_case, study=name, number=number, parent=study.user_attrs[RUN_ID], parameters=trial.params)
    try:
        mae = _trained(use_case, folder, recipe, TrialJournal(trial, run), trial_folder(name, number))
    except TrialPruned:
        run.end("pruned")
        study.tell(number, state=TrialState.PRUNED)
    except BadRequest as error:
        run.end("failed")
        fail_trial(study, number, f"{type(error).__name__}: {error}")
        raise
    else:
        run.end("complete")
        study.tell(number, mae)


def alone(recipe: Recipe) -> Recipe:
    """The recipe for one rank: every strategy learns the same (docs/training.md), and a trial a core is the better use of cores."""
    return replace(recipe, ranks=1, strategy="data_parallel")


def validation_rows(use_case: UseCase, train: pa.Table) -> SnapshotRows:
    """The training rows of a snapshot, the last `gate.held_out_days` of them held out. Raises SnapshotUnusable when that is all of them."""
    last = pc.max(train[use_case.prediction_time]).as_py()
    rows = split_at(train, use_case.prediction_time, last - timedelta(days=use_case.gate.held_out_days))
    if not rows.train.num_rows:
        raise SnapshotUnusable(
            f"{use_case.name}: the training rows cover no more than the {use_case.gate.held_out_days} days that validate a trial: pin more "
            "months, or train the declared recipe (0 trials)."
        )
    return rows


def _trained(use_case: UseCase, folder: RunFolder, recipe: Recipe, journal: TrialJournal, checkpoints: Path) -> float:
    """MAE of the validation rows, in the label's unit."""
    rows = validation_rows(use_case, load_rows(use_case, Snapshot.load(folder.uri)).train)
    data = training_data(use_case, rows.train, rows.held_out)
    with single_rank(recipe):
        _, last = train(data, recipe, checkpoints=Checkpoints(checkpoints), journal=journal)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return last.held_out_mae
