import shutil
import sys
from pathlib import Path

import pytest

from roundtrip.cli import install, set_up
from roundtrip.cli.interpreter import Interpreter
from roundtrip.cli.set_up import STEPS, Step
from roundtrip.contracts.errors import SetUpFailed
from roundtrip.contracts.settings import REPOSITORY

INTERPRETER = Interpreter(path=sys.executable, version="3.11.0", makes_environments=True, library="libpython3.11.so")


class Recipe:
    """A step's work: counts its runs, fails as often as told, then makes its result."""

    def __init__(self, result: Path, *, failures: int = 0) -> None:
        self.result = result
        self.failures = failures
        self.runs = 0

    def __call__(self, _: Interpreter) -> None:
        self.runs += 1
        if self.runs <= self.failures:
            raise SetUpFailed("the network is away")
        self.result.write_text("made")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(set_up, "INSTALLED", tmp_path)
    return tmp_path


def step(name: str, recipe: Recipe, *, after: tuple[str, ...] = ()) -> Step:
    return Step(name=name, run=recipe, inputs=("Makefile",), results=(recipe.result.name,), after=after)


def do_what_is_missing(*steps: Step) -> int:
    return set_up.do_steps([each for each in steps if not set_up.is_done(each, INTERPRETER)], INTERPRETER)


def test_a_second_run_does_nothing(installed: Path) -> None:
    recipe = Recipe(installed / "a")
    assert do_what_is_missing(step("a", recipe)) == 0
    assert do_what_is_missing(step("a", recipe)) == 0
    assert recipe.runs == 1


def test_a_failed_step_is_done_again_and_only_that(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = Recipe(installed / "first"), Recipe(installed / "second", failures=1)
    steps = (step("first", first), step("second", second, after=("first",)))
    assert do_what_is_missing(*steps) == 1
    assert "the network is away" in capsys.readouterr().out
    assert do_what_is_missing(*steps) == 0
    assert (first.runs, second.runs) == (1, 2)


def test_a_step_waits_for_those_it_needs(installed: Path) -> None:
    first, second = Recipe(installed / "first", failures=1), Recipe(installed / "second")
    assert do_what_is_missing(step("second", second, after=("first",)), step("first", first)) == 1
    assert second.runs == 0


def test_a_result_that_was_deleted_is_made_again(installed: Path) -> None:
    recipe = Recipe(installed / "a")
    do_what_is_missing(step("a", recipe))
    recipe.result.unlink()
    do_what_is_missing(step("a", recipe))
    assert recipe.runs == 2


def test_another_python_or_place_is_another_digest() -> None:
    other = Interpreter(path="/usr/bin/python3.12", version="3.12.0", makes_environments=True, library="libpython3.12.so")
    assert set_up.digest(STEPS[0], INTERPRETER) != set_up.digest(STEPS[0], other)


def test_every_pin_is_in_the_repository() -> None:
    assert [name for each in STEPS for name in each.inputs if not (REPOSITORY / name).is_file()] == []


@pytest.mark.parametrize("fault", ["added", "changed", "missing"])
def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path: Path, fault: str) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for path in install.JARS.iterdir():
        (jars / path.name).symlink_to(path)
    install.check_jars(jars)
    victim = sorted(jars.iterdir())[0]
    match fault:
        case "added":
            shutil.copy(victim, jars / "surprise.jar")
        case "changed":
            victim.unlink()
            victim.write_bytes(b"not a jar")
        case "missing":
            victim.unlink()
    with pytest.raises(SetUpFailed, match=r"surprise\.jar" if fault == "added" else victim.name):
        install.check_jars(jars)
