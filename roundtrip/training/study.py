"""The Optuna study of a tuning, in PostgreSQL: the space that is searched, its trials, and which of them is the best.

It lies in the schema `tuning` of the release state's database (ROUNDTRIP_DATABASE_URL). An attempt that is killed leaves its running
trials there as RUNNING: the next one takes them up again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import optuna
import psycopg
import sqlalchemy
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from roundtrip.contracts.errors import ServiceUnavailable, TuningFailed
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import Between, OneOf, Recipe, UseCase
from roundtrip.training.training_record import fingerprint

SCHEMA = "tuning"
CONNECT_TIMEOUT_S = 5
DECLARED = 0
"""Number of the trial of the declared recipe."""
UNPRUNED_TRIALS = 5
"""Complete trials before any is pruned: the median of fewer says little."""
FIFTHS = 5
"""Parts of a training at whose ends trials are compared. Not epochs: the learning rate falls over the whole training, so a long one is
behind a short one of as many epochs, and ahead of it in the end."""
UNPRUNED_FIFTHS = 1
"""The first epochs are the warm-up of the learning rate."""
ERROR, EPOCH, RUN_ID, SECONDS = "error", "epoch", "mlflow_run_id", "seconds"
"""Attributes of trials (why it failed, `2 of 6`: the last epoch), and of the study (its MLflow run, what it took over all attempts)."""
_SCHEMA_LOCK = 7_251_604
"""Key of the advisory lock that lets one process at a time create the tables."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_name(use_case: UseCase, folder: RunFolder) -> str:
    """The same for the same run, snapshot, declaration and space: a tuning that is run again goes on with its study.

    `use_case`: as declared. Raises SnapshotUnusable when the run folder has no snapshot.
    """
    decisive = {
        "training": fingerprint(use_case, folder),
        "search": [asdict(entry) for entry in use_case.search],
        "validation_days": use_case.gate.held_out_days,
    }
    return f"{use_case.name}-{hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]}"


def create_study(name: str, use_case: UseCase) -> Study:
    """The study of that name, begun with the declared recipe if it is not there yet. Raises ServiceUnavailable."""
    _create_schema()
    study = optuna.create_study(storage=_storage(), study_name=name, direction="minimize", load_if_exists=True)
    # a sampler that began with the same seed again would propose the first attempt's recipes again
    study.sampler = TPESampler(seed=use_case.recipe.seed + len(study.get_trials(deepcopy=False)), constant_liar=True)
    declared = {entry.field: as_parameter(getattr(use_case.recipe, entry.field)) for entry in use_case.search}
    study.enqueue_trial(declared, skip_if_exists=True)
    return study


def load_study(name: str) -> Study:
    """The study of that name, for one of its trials. Raises ServiceUnavailable."""
    pruner = MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=UNPRUNED_FIFTHS, n_min_trials=2)
    return optuna.load_study(storage=_storage(), study_name=name, pruner=pruner)


def next_trial(study: Study, use_case: UseCase) -> int:
    """Number of a new trial, whose parameters are chosen by what the others found."""
    trial = study.ask()
    recipe_of_trial(trial, use_case)
    return trial.number


def running_trial(study: Study, number: int) -> Trial:
    """The trial of that number, to report to."""
    return Trial(study, frozen(study, number)._trial_id)


def recipe_of_trial(trial: Trial, use_case: UseCase) -> Recipe:
    """The declared recipe with the trial's parameters. The same whenever it is called: what is not chosen yet is chosen now."""
    values = {entry.field: _suggested(trial, entry, use_case.recipe) for entry in use_case.search}
    return replace(use_case.recipe, **values)  # type: ignore[arg-type]


def _suggested(trial: Trial, entry: Between | OneOf, recipe: Recipe) -> int | float | tuple[int, ...]:
    if isinstance(entry, OneOf):
        names = [as_parameter(choice) for choice in entry.choices]
        name = trial.suggest_categorical(entry.field, names)
        return next(choice for choice in entry.choices if as_parameter(choice) == name)
    if isinstance(getattr(recipe, entry.field), int):
        return trial.suggest_int(entry.field, int(entry.low), int(entry.high), log=entry.log)
    return trial.suggest_float(entry.field, entry.low, entry.high, log=entry.log)


def frozen(study: Study, number: int) -> FrozenTrial:
    """What is known of the trial now."""
    return next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)


def numbers_in(study: Study, *states: TrialState) -> list[int]:
    """Numbers of the trials in these states, in order."""
    return [trial.number for trial in study.get_trials(deepcopy=False, states=states)]


def fail_trial(study: Study, number: int, error: str) -> None:
    """Close the trial as failed, with what a person should read."""
    running_trial(study, number).set_user_attr(ERROR, error)
    study.tell(number, state=TrialState.FAIL)


def best_trial(study: Study) -> FrozenTrial:
    """The complete trial with the least MAE; raises TuningFailed when none is complete."""
    if complete := study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return min(complete, key=mae_of)
    ended = study.get_trials(deepcopy=False, states=(TrialState.FAIL, TrialState.PRUNED))
    last = f" The last one: {ended[-1].user_attrs.get(ERROR, 'ended early')}" if ended else ""
    raise TuningFailed(
        f"0 of {len(ended)} trials came to their end: there is no recipe to choose. Give it more minutes, or mend the declared recipe and "
        f"its search; with 0 trials the declared recipe is trained.{last}"
    )


def mae_of(trial: FrozenTrial) -> float:
    """Of a complete trial, or the last that one reported which was ended early; NaN before the first report. In the label's unit."""
    reported = trial.intermediate_values
    return trial.value if trial.value is not None else reported[max(reported)] if reported else math.nan


def as_parameter(value: float | tuple[int, ...]) -> float | str:
    """A value of the recipe as Optuna keeps it: layers as text, `256 x 128`."""
    return " x ".join(map(str, value)) if isinstance(value, tuple) else value


def trial_folder(study: str, number: int) -> Path:
    """Where a trial's checkpoints live, on this machine (`.roundtrip/checkpoints`)."""
    return study_folder(study) / f"trial-{number}"


def study_folder(study: str) -> Path:
    """Checkpoints and logs of a study's trials."""
    return settings().home_path / "checkpoints" / study


def _storage() -> RDBStorage:
    url = sqlalchemy.make_url(settings().database_url).set(drivername="postgresql+psycopg")
    arguments = {"options": f"-csearch_path={SCHEMA}", "connect_timeout": CONNECT_TIMEOUT_S}
    engine = {"connect_args": arguments, "pool_pre_ping": True}
    with _postgresql():
        return RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=engine)


def _create_schema() -> None:
    """The schema and Optuna's tables in it, where they are missing; several processes may do it at the same time."""
    with _postgresql(), psycopg.connect(settings().database_url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_SCHEMA_LOCK])  # until this connection ends
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        _storage()


@contextmanager
def _postgresql() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        reason = str(error).splitlines()[0]
        raise ServiceUnavailable(f"PostgreSQL does not answer for the study of a tuning: {reason}. See `roundtrip status`.") from error
