"""The tuning of a run's recipe: trials side by side, each a process of its own, until trials or minutes are spent."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from roundtrip.contracts.errors import BadRequest, TuningFailed
from roundtrip.contracts.receipts import Figure, RunFolder
from roundtrip.contracts.use_cases import Between, OneOf, Recipe, UseCase
from roundtrip.evaluation.pictures import optimization_history, parameter_importance
from roundtrip.registry.mlflow_tuning import TuningRun, end_trial_run
from roundtrip.training.chosen_recipe import ChosenRecipe, Tuning
from roundtrip.training.study import (
    DECLARED,
    EPOCH,
    ERROR,
    RUN_ID,
    SECONDS,
    best_trial,
    create_study,
    fail_trial,
    frozen,
    mae_of,
    next_trial,
    numbers_in,
    recipe_of_trial,
    running_trial,
    study_folder,
    study_name,
)

LOOK_EVERY_S = 0.5
KEEP_TIME_EVERY_S = 5.0
"""How much of the minutes' count a kill -9 may lose."""
TRIES = 2
"""Processes that a trial gets in one attempt: one that was killed, or could not reach a service, goes on once from its checkpoint."""
END_OF_LOG = 600
"""Characters of a lost trial's log that its error shows."""
EXPLAINED_TRIALS = 5
"""Complete trials below which no parameter's importance can be told."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much a tuning may spend, over all its attempts."""

    trials: int
    """Trials that come to their end or are ended early; one that fails doesn't count, but as many as these end the tuning."""
    minutes: float
    """Trials that run when they are over are ended early."""
    parallel: int
    """Trials at a time."""

    def __post_init__(self) -> None:
        if self.trials < 1 or self.minutes <= 0 or self.parallel < 1:
            raise BadRequest(
                f"{self.trials} trials, {self.minutes:g} minutes, {self.parallel} at a time: ask for 1 trial at least, in more than 0 "
                "minutes, 1 at a time at least. 0 trials train the declared recipe."
            )


def tune(use_case: UseCase, folder: RunFolder, budget: Budget, *, command: Callable[[int], Sequence[str]]) -> ChosenRecipe:
    """Search the declared space, or go on with the search that an earlier attempt of this run began; gives the best recipe.

    `use_case`: as declared. `command`: what tries the recipe of the trial of that number, and ends with this process. Raises BadRequest
    where nothing is declared to be varied, TuningFailed when no trial came to its end, ServiceUnavailable, SnapshotUnusable.
    """
    if not use_case.search:
        raise BadRequest(f"use case {use_case.name} declares nothing that tuning may vary (search): declare it, or ask for 0 trials.")
    name = study_name(use_case, folder)
    study = create_study(name, use_case)
    run = TuningRun.open(use_case, study=name, run_folder=folder.uri, facts=_facts(use_case, budget))
    study.set_user_attr(RUN_ID, run.run_id)
    print(f"Study {name}: {budget.trials} trials, {budget.minutes:g} min, {budget.parallel} at a time. {run.url}", flush=True)
    _Attempt(study, use_case, budget, run, command).run()
    try:
        best = best_trial(study)
    except TuningFailed:
        run.fail()
        raise
    recipe, tuning = recipe_of_trial(running_trial(study, best.number), use_case), _tuning(study, best, run)
    run.finish(tuning, recipe, pictures_of(study, use_case, tuning), unit=use_case.outputs[0].unit)
    shutil.rmtree(study_folder(name), ignore_errors=True)
    declared = "failed" if tuning.declared_mae is None else f"{tuning.declared_mae:.3f}"
    print(f"Best: trial {best.number}, MAE {tuning.validation_mae:.3f}, declared recipe {declared}: {_told(best)}", flush=True)
    return ChosenRecipe(recipe=recipe, tuning=tuning)


class _Attempt:
    """The trials of one process of `tune_model`."""

    def __init__(self, study: Study, use_case: UseCase, budget: Budget, run: TuningRun, command: Callable[[int], Sequence[str]]) -> None:
        self._study, self._use_case, self._budget, self._run, self._command = study, use_case, budget, run, command
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._waiting = numbers_in(study, TrialState.RUNNING)
        """Trials that an earlier attempt left, and those that lost their process."""
        self._tries: Counter[int] = Counter()
        self._spent_before: float = study.user_attrs.get(SECONDS, 0.0)
        self._started = self._kept = time.monotonic()

    def run(self) -> None:
        """Until the budget is spent and no trial runs any more. Processes end with this one, however it goes."""
        try:
            while True:
                self._settle()
                if self._left_s() <= 0:
                    self._out_of_time()
                    return
                self._fill()
                if not self._processes:
                    return
                time.sleep(LOOK_EVERY_S)
        finally:
            self._kill()
            self._keep_time()

    def _fill(self) -> None:
        while len(self._processes) < self._budget.parallel and (self._waiting or self._another_wanted()):
            self._start(self._waiting.pop(0) if self._waiting else next_trial(self._study, self._use_case))

    def _another_wanted(self) -> bool:
        spent = len(numbers_in(self._study, TrialState.COMPLETE, TrialState.PRUNED)) + len(self._processes)
        return spent < self._budget.trials and len(numbers_in(self._study, TrialState.FAIL)) < self._budget.trials

    def _start(self, number: int) -> None:
        recipe_of_trial(running_trial(self._study, number), self._use_case)  # what was not chosen when it was killed
        trial = frozen(self._study, number)
        print(f"trial {number} {'goes on' if EPOCH in trial.user_attrs else 'begins'}: {_told(trial)}", flush=True)
        self._tries[number] += 1
        study_folder(self._study.study_name).mkdir(parents=True, exist_ok=True)
        with self._log(number).open("ab") as log:
            self._processes[number] = subprocess.Popen(
                self._command(number), env=os.environ | {"OMP_NUM_THREADS": "1"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _settle(self) -> None:
        """Tell of the trials that ended since the last look."""
        if time.monotonic() - self._kept > KEEP_TIME_EVERY_S:
            self._keep_time()
        for number, process in list(self._processes.items()):
            if process.poll() is None:
                continue
            del self._processes[number]
            if frozen(self._study, number).state == TrialState.RUNNING:
                self._lost(number, process.returncode)
            else:
                self._tell(number)

    def _lost(self, number: int, code: int) -> None:
        end = self._log(number).read_text(errors="replace")[-END_OF_LOG:].strip()
        error = f"its process ended with {code}; end of its log: {end}"
        if self._tries[number] < TRIES and code != BadRequest.exit_code:
            print(f"trial {number} is tried again: {error}", flush=True)
            self._waiting.insert(0, number)
            return
        fail_trial(self._study, number, error)
        end_trial_run(self._use_case.name, study=self._study.study_name, number=number, state="failed")
        self._tell(number)

    def _tell(self, number: int) -> None:
        print(progress(self._study, number, trials=self._budget.trials, left_s=self._left_s()), flush=True)
        if done := numbers_in(self._study, TrialState.COMPLETE):
            self._run.record(trials=len(done), best_mae=mae_of(best_trial(self._study)))

    def _out_of_time(self) -> None:
        self._kill()
        for number in numbers_in(self._study, TrialState.RUNNING):
            self._study.tell(number, state=TrialState.PRUNED)
            end_trial_run(self._use_case.name, study=self._study.study_name, number=number, state="pruned")
            self._tell(number)

    def _kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()

    def _left_s(self) -> float:
        return self._budget.minutes * 60 - self._spent_before - (time.monotonic() - self._started)

    def _keep_time(self) -> None:
        self._kept = time.monotonic()
        self._study.set_user_attr(SECONDS, self._spent_before + self._kept - self._started)

    def _log(self, number: int) -> Path:
        return study_folder(self._study.study_name) / f"trial-{number}.log"


def progress(study: Study, number: int, *, trials: int, left_s: float) -> str:
    """A line about a trial that ended: `7/20  trial 6  MAE 9.81  best 9.64 (trial 3)  12 min left`."""
    trial = frozen(study, number)
    done = len(numbers_in(study, TrialState.COMPLETE, TrialState.PRUNED))
    complete = numbers_in(study, TrialState.COMPLETE)
    best = f"best {mae_of(best_trial(study)):.2f} (trial {best_trial(study).number})" if complete else "no best yet"
    return f"{done}/{trials}  trial {number}  {_ended(trial)}  {best}  {max(left_s, 0) / 60:.0f} min left"


def _ended(trial: FrozenTrial) -> str:
    if trial.state == TrialState.FAIL:
        return f"failed: {trial.user_attrs.get(ERROR, '')}"
    if trial.state == TrialState.PRUNED and EPOCH not in trial.user_attrs:
        return "ended early before its first epoch was over"
    if trial.state == TrialState.PRUNED:
        return f"ended early after epoch {trial.user_attrs[EPOCH]}, MAE {mae_of(trial):.2f}"
    return f"MAE {mae_of(trial):.2f}"


def pictures_of(study: Study, use_case: UseCase, tuning: Tuning) -> dict[str, bytes]:
    """File name → PNG: the trials' MAE, and what it depends on where enough trials tell."""
    complete, pruned = (
        {trial.number: mae_of(trial) for trial in study.get_trials(deepcopy=False, states=(state,))}
        for state in (TrialState.COMPLETE, TrialState.PRUNED)
    )
    known = {number: mae for number, mae in pruned.items() if mae == mae}
    unit = use_case.outputs[0].unit
    drawn = {"optimization_history.png": optimization_history(complete, known, declared=tuning.declared_mae, unit=unit)}
    if len(set(complete.values())) >= EXPLAINED_TRIALS:
        importances = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=use_case.recipe.seed))
        drawn["parameter_importance.png"] = parameter_importance(importances)
    return drawn


def _tuning(study: Study, best: FrozenTrial, run: TuningRun) -> Tuning:
    states = {name: len(numbers_in(study, state)) for name, state in _STATES.items()}
    declared = frozen(study, DECLARED)
    return Tuning(
        study=study.study_name,
        **states,
        best_trial=best.number,
        validation_mae=mae_of(best),
        declared_mae=mae_of(declared) if declared.state == TrialState.COMPLETE else None,
        mlflow_run_id=run.run_id,
        mlflow_run_url=run.url,
    )


_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def _facts(use_case: UseCase, budget: Budget) -> dict[str, Figure]:
    """For the run's page."""
    space: dict[str, Figure] = {entry.field: _range(entry, use_case.recipe) for entry in use_case.search}
    limits: dict[str, Figure] = {"trials": budget.trials, "minutes": budget.minutes, "parallel": budget.parallel}
    return limits | {"validation_days": use_case.gate.held_out_days} | space


def _range(entry: Between | OneOf, recipe: Recipe) -> str:
    told = ", ".join(map(str, entry.choices)) if isinstance(entry, OneOf) else f"{entry.low:g} to {entry.high:g}{' (log)' * entry.log}"
    return f"{told}; declared: {getattr(recipe, entry.field)}"


def _told(trial: FrozenTrial) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.params.items())
