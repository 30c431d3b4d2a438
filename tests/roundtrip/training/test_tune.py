"""Tunings with real trials, really killed: PostgreSQL and MLflow of the stack, tables in a folder of the test."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import optuna
import psutil
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.entities import Run
from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from PIL import Image

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.errors import BadRequest, TuningFailed
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.snapshot import load_rows, take_snapshot
from roundtrip.lakehouse.tables import table_uri
from roundtrip.registry.mlflow_run import client
from roundtrip.training.checkpoints import complete_epochs
from roundtrip.training.chosen_recipe import ChosenRecipe
from roundtrip.training.study import (
    DECLARED,
    ERROR,
    SECONDS,
    as_parameter,
    best_trial,
    create_study,
    fail_trial,
    next_trial,
    recipe_of_trial,
    running_trial,
    study_name,
    trial_folder,
)
from roundtrip.training.trial import validation_rows
from roundtrip.training.tune import Budget, progress, tune
from tests.roundtrip.training.test_ranks import gone
from tests.roundtrip.training.tiny import TINY, tiny_rows
from tests.roundtrip.training.tune_tiny import DIVERGES, GOOD, HOPELESS, NARROW, VALIDATION_DAYS, WIDE, tiny

REPOSITORY = Path(__file__).parents[3]
EPOCHS = TINY.recipe.epochs


@pytest.fixture
def use_case(stack: Stack, storage_root: str) -> Iterator[UseCase]:
    """A tiny use case of its own name, with its tables; experiment and study are removed afterwards."""
    named = tiny(f"tiny_{uuid.uuid4().hex[:8]}")
    rows = tiny_rows().append_column("event_month", pa.array(["2013-01"] * 2000))
    tables = {"features": ["row", "colour", "start", "wind", "at", "event_month"], "outcomes": ["row", "late", "event_month"]}
    for table, columns in tables.items():
        uri = table_uri(named.name, table)
        Path(uri.removeprefix("file://")).mkdir(parents=True)
        write_deltalake(uri, rows.select(columns), partition_by=["event_month"])
    yield named
    if experiment := client().get_experiment_by_name(named.name):
        client().delete_experiment(experiment.experiment_id)


@pytest.fixture
def folder(use_case: UseCase, storage_root: str) -> RunFolder:
    """A run folder with a snapshot."""
    run_folder = RunFolder(f"{storage_root}/runs/{use_case.name}/1")
    take_snapshot(use_case, "..2013-01").save(run_folder.uri)
    return run_folder


@pytest.fixture
def study(use_case: UseCase, folder: RunFolder) -> Iterator[Study]:
    """The run's study, which holds nothing but the declared recipe that waits."""
    created = create_study(study_name(use_case, folder), use_case)
    yield created
    optuna.delete_study(study_name=created.study_name, storage=created._storage)


def command(folder: RunFolder, use_case: UseCase, trials: int, step_s: float = 0.0) -> list[str]:
    job = ["tune", use_case.name, folder.uri, str(trials), f"--step-s={step_s}"]
    return [sys.executable, "-m", "tests.roundtrip.training.tune_tiny", *job]


def parameters(learning_rate: float, hidden: tuple[int, ...] = WIDE) -> dict[str, float | str]:
    return {"learning_rate": learning_rate, "hidden": as_parameter(hidden)}


def complete(mae: float, rate: float = GOOD, hidden: tuple[int, ...] = WIDE) -> FrozenTrial:
    """A trial that found this MAE in its first epoch."""
    rates, layers = ([GOOD, HOPELESS, DIVERGES], [as_parameter(hidden) for hidden in (WIDE, NARROW)])
    return optuna.create_trial(
        params=parameters(rate, hidden),
        distributions={"learning_rate": CategoricalDistribution(rates), "hidden": CategoricalDistribution(layers)},
        value=mae,
        intermediate_values=dict.fromkeys(range(6), mae),
    )


def runs_of(use_case: UseCase) -> dict[str, Run]:
    """The runs of the use case's experiment, by name."""
    experiment = client().get_experiment_by_name(use_case.name)
    assert experiment is not None
    return {run.info.run_name: run for run in client().search_runs([experiment.experiment_id])}


def wait_for(condition: object, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_tuning_goes_on_with_the_same_trials_where_they_were(study: Study, use_case: UseCase, folder: RunFolder) -> None:
    study.enqueue_trial(parameters(GOOD, NARROW))
    checkpoints = trial_folder(study.study_name, DECLARED) / "network-0"
    first = subprocess.Popen(command(folder, use_case, 2, step_s=0.05), cwd=REPOSITORY)
    wait_for(lambda: complete_epochs(checkpoints)[:1] >= [2])
    trials = [child.pid for child in psutil.Process(first.pid).children()]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert len(trials) == 2
    wait_for(lambda: all(gone(pid) for pid in trials), seconds=10)
    kept = complete_epochs(checkpoints)[0]
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING] * 2

    second = subprocess.run(command(folder, use_case, 2), cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "trial 0 goes on: learning_rate 0.002, hidden 16 x 8" in second.stdout
    assert "2/2  trial" in second.stdout
    found = study.get_trials()
    assert [(trial.state, trial.params) for trial in found] == [
        (TrialState.COMPLETE, parameters(GOOD)),
        (TrialState.COMPLETE, parameters(GOOD, NARROW)),
    ]
    runs = runs_of(use_case)
    assert sorted(runs) == ["trial 0", "trial 1", "tuning of 1"]
    steps = [entry.step for entry in client().get_metric_history(runs["trial 0"].info.run_id, "validation_mae")]
    assert set(steps) == set(range(1, EPOCHS + 1))
    assert [steps.count(epoch) for epoch in range(1, kept + 1)] == [1] * kept  # not trained again
    chosen = ChosenRecipe.load(folder)
    assert chosen is not None and chosen.tuning is not None
    best = min(found, key=lambda trial: trial.value or 0.0)
    assert (chosen.tuning.best_trial, chosen.tuning.validation_mae) == (best.number, best.value)
    assert chosen.recipe.hidden == (WIDE, NARROW)[best.number]
    assert not checkpoints.parents[1].exists()


def test_a_trial_that_falls_behind_is_ended_early_and_one_that_fails_stops_nothing(
    study: Study, use_case: UseCase, folder: RunFolder, tmp_path: Path
) -> None:
    study.tell(next_trial(study, use_case), 0.5)  # the declared recipe
    study.add_trials([complete(0.2, GOOD, NARROW), complete(0.3, HOPELESS, WIDE), complete(0.4, DIVERGES, WIDE), complete(0.6)])
    for rate in (DIVERGES, HOPELESS):
        study.enqueue_trial(parameters(rate))
    ended = subprocess.run(command(folder, use_case, 6), cwd=REPOSITORY, capture_output=True, text=True, check=True)
    failed, pruned = study.get_trials()[5:]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs[ERROR].startswith("TrainingDiverged: epoch 1/6")
    assert "trial 5  failed: TrainingDiverged: epoch 1/6" in ended.stdout
    assert pruned.state == TrialState.PRUNED
    assert "6/6  trial 6  ended early after epoch 2 of 6, MAE " in ended.stdout
    assert "best 0.20 (trial 1)" in ended.stdout
    runs = runs_of(use_case)
    states = {name: run.data.tags.get("roundtrip.trial_state") for name, run in runs.items()}
    assert states == {"tuning of 1": None, "trial 5": "failed", "trial 6": "pruned"}
    parent = runs["tuning of 1"]
    assert all(runs[name].data.tags["mlflow.parentRunId"] == parent.info.run_id for name in ("trial 5", "trial 6"))
    assert runs["trial 6"].data.params == {"learning_rate": "1e-09", "hidden": "16 x 8"}
    assert (parent.info.status, parent.data.tags["roundtrip.best_trial"]) == ("FINISHED", "1")
    chosen = ChosenRecipe.load(folder)
    assert chosen is not None and chosen.tuning is not None
    assert (chosen.tuning.complete, chosen.tuning.pruned, chosen.tuning.failed) == (5, 1, 1)
    assert (chosen.tuning.validation_mae, chosen.tuning.declared_mae) == (0.2, 0.5)
    for name in ("optimization_history.png", "parameter_importance.png"):
        path = client().download_artifacts(parent.info.run_id, f"pictures/{name}", str(tmp_path))
        assert Image.open(BytesIO(Path(path).read_bytes())).format == "PNG"


def test_the_minutes_of_all_attempts_count(study: Study, use_case: UseCase, folder: RunFolder) -> None:
    study.tell(next_trial(study, use_case), 0.5)
    study.set_user_attr(SECONDS, 601.0)
    chosen = tune(use_case, folder, Budget(trials=9, minutes=10, parallel=1), command=lambda number: ["false"])
    assert chosen.tuning is not None and chosen.tuning.trials == 1
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 1


def test_when_every_trial_fails_the_last_error_is_named(study: Study, use_case: UseCase, folder: RunFolder) -> None:
    broken = [sys.executable, "-c", "raise SystemExit('out of luck')"]
    with pytest.raises(TuningFailed, match=r"0 of 1 trials .* ended with 1; end of its log: out of luck"):
        tune(use_case, folder, Budget(trials=1, minutes=10, parallel=1), command=lambda number: broken)
    assert runs_of(use_case)["tuning of 1"].info.status == "FAILED"


def test_tuning_never_sees_the_rows_that_the_gate_judges_on(use_case: UseCase, folder: RunFolder) -> None:
    snapshot = take_snapshot(use_case, "..2013-01")
    rows = validation_rows(use_case, load_rows(use_case, snapshot).train)
    last, first = (max(np.asarray(rows.held_out["at"])), min(np.asarray(rows.held_out["at"])))
    assert last < np.datetime64(datetime.fromisoformat(snapshot.held_out_from))
    assert last - first == np.timedelta64(timedelta(days=VALIDATION_DAYS))
    assert max(np.asarray(rows.train["at"])) < first


def test_another_space_or_declaration_is_another_study(use_case: UseCase, folder: RunFolder) -> None:
    others = [replace(use_case, search=use_case.search[:1]), replace(use_case, recipe=replace(use_case.recipe, seed=2))]
    assert len({study_name(each, folder) for each in (use_case, *others)}) == 3


def test_what_was_not_chosen_when_a_tuning_was_killed_is_chosen_once(study: Study, use_case: UseCase) -> None:
    study.ask()  # killed before any parameter of the declared recipe was kept
    assert recipe_of_trial(running_trial(study, DECLARED), use_case) == use_case.recipe
    number = next_trial(study, use_case)
    drawn = recipe_of_trial(running_trial(study, number), use_case)
    assert recipe_of_trial(running_trial(study, number), use_case) == drawn


def test_a_line_says_how_a_trial_ended_and_what_is_left() -> None:
    study = optuna.create_study()
    study.add_trials([complete(mae) for mae in (9.81, 9.64)])
    study.ask()
    fail_trial(study, 2, "TrainingDiverged: no number")
    assert progress(study, 0, trials=20, left_s=700) == "2/20  trial 0  MAE 9.81  best 9.64 (trial 1)  12 min left"
    assert progress(study, 2, trials=20, left_s=-1).startswith("2/20  trial 2  failed: TrainingDiverged: no number  best 9.64")
    assert best_trial(study).number == 1


@pytest.mark.parametrize("limits", [{"trials": 0}, {"minutes": 0}, {"parallel": 0}])
def test_a_budget_for_nothing_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(BadRequest, match="ask for 1 trial at least"):
        Budget(**{"trials": 1, "minutes": 1, "parallel": 1, **limits})
