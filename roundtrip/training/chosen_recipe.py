"""The recipe of a run: the one that tuning chose for it, or that a training is reproduced with, else the declared one. Light to import.

It is left in the run folder as `recipe.json`, and every job that asks about the recipe asks `use_case_of_run`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.receipts import Figure, RunFolder
from roundtrip.contracts.use_cases import Recipe, UseCase

RECIPE_FILE = "recipe.json"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a recipe was chosen by."""

    study: str
    """Name of the Optuna study."""
    complete: int
    """Trials that trained to their end."""
    pruned: int
    """Trials that were ended early."""
    failed: int
    best_trial: int
    """Number of the trial whose recipe was chosen, from 0, which is the declared recipe."""
    validation_mae: float
    """Of the chosen recipe, on the last days of the training rows, in the label's unit."""
    declared_mae: float | None
    """Of the declared recipe on the same rows; None where its trial failed."""
    mlflow_run_id: str
    mlflow_run_url: str

    @property
    def trials(self) -> int:
        """Complete and pruned ones: what a budget counts."""
        return self.complete + self.pruned

    def figures(self) -> dict[str, Figure]:
        """For the receipt of `tune_model`."""
        return asdict(self) | {"trials": self.trials}


@dataclass(frozen=True, kw_only=True)
class ChosenRecipe:
    """A recipe that a run trains instead of the declared one."""

    recipe: Recipe
    tuning: Tuning | None = None
    """What chose it; None where a training is done again."""

    @classmethod
    def load(cls, folder: RunFolder) -> ChosenRecipe | None:
        """What `save` left in the run folder, None where nothing was chosen."""
        try:
            values = json.loads(storage.read_bytes(folder.file(RECIPE_FILE)))
        except FileNotFoundError:
            return None
        return cls(recipe=recipe_of(values["recipe"]), tuning=Tuning(**values["tuning"]) if values["tuning"] else None)

    def save(self, folder: RunFolder) -> None:
        storage.write_bytes(folder.file(RECIPE_FILE), json.dumps(asdict(self), indent=2).encode())


def forget_choice(folder: RunFolder) -> None:
    """From here on the run's recipe is the declared one."""
    storage.delete(folder.file(RECIPE_FILE))


def use_case_of_run(use_case: UseCase, folder: RunFolder) -> UseCase:
    """The use case as this run trains it: with the recipe that was chosen for the run, if one was."""
    chosen = ChosenRecipe.load(folder)
    return use_case.with_recipe(chosen.recipe) if chosen else use_case


def recipe_of(values: Mapping[str, Figure]) -> Recipe:
    """A recipe that was kept as JSON; a field that came later has its default. Raises BadRequest for a field that recipes don't have."""
    known = {entry.name for entry in fields(Recipe)}
    if unknown := sorted(values.keys() - known):
        raise BadRequest(f"a recipe with {', '.join(unknown)}, unknown to this version of Roundtrip: check out the one that kept it.")
    hidden = values.get("hidden", Recipe.hidden)
    return Recipe(**{**values, "hidden": tuple(hidden)})  # type: ignore[arg-type]
