import subprocess
import sys
from dataclasses import replace

import pytest

from roundtrip.cli import reproduce
from roundtrip.cli.reproduce import Reproduction, differences_here, not_reproducible, told
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.use_cases import UseCase
from roundtrip.registry.mlflow_run import FinishedTraining
from roundtrip.training.origin import Origin
from tests.roundtrip.training.tiny import TINY, TINY_SNAPSHOT

COMMIT = "36f0b9500000"


def training(use_case: UseCase = TINY) -> FinishedTraining:
    origin = Origin.here(use_case, TINY_SNAPSHOT, ranks=2)
    return FinishedTraining("a1b2", replace(origin, code_commit=COMMIT), "ab" * 32)


def test_a_declaration_that_changed_since_is_refused_with_both_values_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "load_use_case", lambda _: replace(TINY, label="later"))
    found = differences_here(training())
    assert "label: was late, is later" in found
    said = str(not_reproducible(training(), found))
    assert "label: was late, is later" in said
    assert f"Check out {COMMIT}" in said and "--anyway" in said


def test_a_recipe_that_was_tuned_or_changed_since_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the run kept is trained."""
    monkeypatch.setattr(reproduce, "load_use_case", lambda _: replace(TINY, recipe=replace(TINY.recipe, seed=2)))
    assert not [difference for difference in differences_here(training()) if difference.startswith("recipe.")]


def test_the_result_gives_both_digests_unless_they_are_the_same() -> None:
    same = Reproduction(original="a1b2", run="c3d4", original_sha256="ab" * 32, sha256="ab" * 32, differences=[])
    assert same.same and told(same).startswith("The same weights")
    other = replace(same, sha256="cd" * 32)
    assert not other.same
    assert "ab" * 32 in told(other) and "cd" * 32 in told(other)


def test_a_run_that_is_not_there_is_wrong_use(stack: Stack) -> None:
    finished = subprocess.run([sys.executable, "-m", "roundtrip.cli", "reproduce", "0" * 32], capture_output=True, text=True, check=False)
    assert finished.returncode == 2, finished.stderr
    assert f"holds no run '{'0' * 32}'" in finished.stderr
