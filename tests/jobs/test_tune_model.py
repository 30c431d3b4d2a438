from dataclasses import replace

import pytest

from jobs import tune_model
from roundtrip.contracts.receipts import RunFolder
from roundtrip.training.chosen_recipe import ChosenRecipe, use_case_of_run
from use_cases import use_case_named

FLIGHTS = use_case_named("flight_eta")


@pytest.fixture
def folder(storage_root: str) -> RunFolder:
    """The run folder of a run that was tuned before."""
    run_folder = RunFolder(f"{storage_root}/runs/flight_eta.train_and_release/1")
    ChosenRecipe(recipe=replace(FLIGHTS.recipe, epochs=9)).save(run_folder)
    return run_folder


def tune(folder: RunFolder, *budget: str) -> None:
    tune_model.main(["--use-case", "flight_eta", "--run-dir", folder.uri, *budget])


def test_without_trials_the_declared_recipe_is_trained_and_the_receipt_says_so(folder: RunFolder) -> None:
    tune(folder)
    assert use_case_of_run(FLIGHTS, folder) == FLIGHTS
    assert folder.receipt("tune_model").figures == {"trials": 0, "recipe": "as declared"}


@pytest.mark.parametrize(("budget", "told"), [
    (["--trials", "-1"], "BadRequest: -1 trials"),
    (["--trials", "2", "--minutes", "0"], "BadRequest: 2 trials, 0 minutes"),
    (["--trials", "2"], r"python -m jobs.snapshot_dataset"),
])  # fmt: skip
def test_a_tuning_that_can_not_begin_fails_for_good(
    folder: RunFolder, budget: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        tune(folder, *budget)
    assert ended.value.code == 20
    assert told in capsys.readouterr().err
