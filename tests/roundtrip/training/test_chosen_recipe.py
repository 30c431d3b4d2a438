from dataclasses import replace

import pytest

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.receipts import RunFolder
from roundtrip.training.chosen_recipe import ChosenRecipe, Tuning, forget_choice, recipe_of, use_case_of_run
from tests.roundtrip.training.tiny import TINY

TUNING = Tuning(
    study="tiny-ab12", complete=12, pruned=8, failed=1, best_trial=3, validation_mae=9.64, declared_mae=9.81, mlflow_run_id="a1",
    mlflow_run_url="http://mlflow/#/experiments/1/runs/a1",
)  # fmt: skip
CHOSEN = ChosenRecipe(recipe=replace(TINY.recipe, hidden=(32,), learning_rate=4e-3), tuning=TUNING)


def test_a_run_trains_what_was_chosen_for_it_until_that_is_forgotten(storage_root: str) -> None:
    folder = RunFolder(f"{storage_root}/runs/1")
    assert use_case_of_run(TINY, folder) == TINY
    CHOSEN.save(folder)
    assert ChosenRecipe.load(folder) == CHOSEN
    assert use_case_of_run(TINY, folder) == replace(TINY, recipe=CHOSEN.recipe)
    forget_choice(folder)
    assert use_case_of_run(TINY, folder) == TINY


def test_a_recipe_of_another_version_is_refused_if_it_says_what_this_one_does_not_know() -> None:
    assert recipe_of({"epochs": 7, "hidden": [4, 2]}).hidden == (4, 2)
    with pytest.raises(BadRequest, match="a recipe with warmth, unknown to this version"):
        recipe_of({"warmth": 1})


def test_a_budget_counts_complete_and_pruned_trials() -> None:
    assert TUNING.trials == TUNING.figures()["trials"] == 20
