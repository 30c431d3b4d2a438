"""`roundtrip reproduce`: train a model again from what its MLflow run kept, and compare the weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from roundtrip.cli.demo.replay import load_use_case
from roundtrip.cli.stack import environment
from roundtrip.cli.stack.layout import load_stack, repository_path
from roundtrip.contracts.errors import NotReproducible, RunFailed
from roundtrip.contracts.receipts import RunFolder

if TYPE_CHECKING:
    from roundtrip.registry.mlflow_run import FinishedTraining
    from roundtrip.training.training_record import TrainingRecord


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A training done again."""

    original: str
    """MLflow run."""
    run: str
    """MLflow run that did it again."""
    original_sha256: str
    """Of the weights."""
    sha256: str
    differences: list[str]
    """What was not as it was the first time."""

    @property
    def same(self) -> bool:
        return self.sha256 == self.original_sha256


def reproduce(
    run_id: Annotated[str, typer.Argument(help="The training's MLflow run, e.g. from its page.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Train also where code, environment or declaration are not the same.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Train a run's model again on its snapshot and compare the weights' SHA-256. Exit code 1: they are not the same."""
    from roundtrip.registry.mlflow_run import finished_training_of, tag_reproduction

    console = Console(stderr=as_json)
    os.environ.update(environment.addresses(load_stack()))
    original = finished_training_of(run_id)
    found = differences_here(original)
    if found and not anyway:
        raise not_reproducible(original, found)
    for difference in found:
        console.print(f"not the same: {difference}", markup=False, highlight=False, soft_wrap=True)
    record = train_again(original)
    done = Reproduction(
        original=run_id,
        run=record.mlflow_run_id,
        original_sha256=original.weights_sha256,
        sha256=record.weights_sha256,
        differences=found,
    )
    tag_reproduction(done.run, original=done.original, same=done.same)
    if as_json:
        print(json.dumps(asdict(done) | {"same": done.same}, indent=2))
    else:
        console.print(told(done), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if done.same else 1)


def differences_here(original: FinishedTraining) -> list[str]:
    """What is not as it was for `original`, in this checkout and on this machine. Not the recipe: the one that was kept is trained."""
    from roundtrip.training.origin import Origin, differences

    then = original.origin
    use_case = load_use_case(then.use_case).with_recipe(then.recipe)
    return differences(then, Origin.here(use_case, then.snapshot, ranks=then.ranks))


def not_reproducible(original: FinishedTraining, found: list[str]) -> NotReproducible:
    """The error that names these differences."""
    return NotReproducible(
        f"{len(found)} things are not as they were for run {original.run_id}: {'; '.join(found)}. Check out "
        f"{original.origin.code_commit} and run `make setup`, or train with what is here: --anyway."
    )


def train_again(original: FinishedTraining) -> TrainingRecord:
    """Run the job `train_model` with the kept recipe in a run folder of its own; raises RunFailed when it does not end well."""
    from roundtrip.training.chosen_recipe import ChosenRecipe
    from roundtrip.training.training_record import read_record

    then = original.origin
    folder = RunFolder.of(f"{then.use_case}.reproduce", f"{original.run_id}_{datetime.now(UTC):%Y%m%dT%H%M%S}")
    then.snapshot.save(folder.uri)
    ChosenRecipe(recipe=then.recipe).save(folder)
    job = [sys.executable, "-m", "jobs.train_model", "--use-case", then.use_case, "--run-dir", folder.uri, "--ranks", str(then.ranks)]
    variables = environment.inherited() | environment.addresses(load_stack())
    finished = subprocess.run(job, env=variables, cwd=repository_path(), stdout=sys.stderr, check=False)
    if finished.returncode != 0:
        raise RunFailed(f"training ended with {finished.returncode}; what it said is above, its receipt in {folder.uri}.")
    return read_record(folder)


def told(done: Reproduction) -> str:
    """The result, for people."""
    if done.same:
        return f"The same weights: SHA-256 {done.sha256}. Run {done.run} did again what run {done.original} had done."
    return f"Other weights: SHA-256 {done.sha256} of run {done.run}, {done.original_sha256} of run {done.original}."
