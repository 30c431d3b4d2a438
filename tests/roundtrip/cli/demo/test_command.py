"""Which months can be replayed, and that two demos never run at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.cli.demo.command import calendar_of, the_only_demo
from roundtrip.cli.demo.replay import load_replay
from roundtrip.contracts.errors import BadName, BadRequest, UnknownUseCase


class Year:
    """A use case's replay with three months to train on and two to replay."""

    TRAINING_MONTHS: tuple[str, ...] = ("2013-01", "2013-02", "2013-03")
    REPLAYED_MONTHS: tuple[str, ...] = ("2013-04", "2013-05")

    def land_month(self, feed: str, month: str) -> None:
        raise AssertionError(f"a calendar lands nothing: {feed} {month}")

    def landed_months(self, feed: str) -> set[str]:
        raise AssertionError(f"a calendar looks at nothing: {feed}")


def test_months_count_from_the_first_month_of_training() -> None:
    assert calendar_of(Year(), 4).replayed == ("2013-04",)
    assert calendar_of(Year(), 5).replayed == ("2013-04", "2013-05")


@pytest.mark.parametrize("months", [-1, 0, 3, 6])
def test_months_that_leave_nothing_to_replay_or_do_not_exist_are_refused(months: int) -> None:
    with pytest.raises(BadRequest, match=f"MONTHS={months} is not from 4 to 5"):
        calendar_of(Year(), months)


def test_a_second_demo_is_refused_while_the_first_runs_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from roundtrip.cli.demo.command import the_only_demo\n"
    code += "with the_only_demo(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BadRequest, match="another demo is under way"), the_only_demo(tmp_path):
            pass
        other.kill()
    with the_only_demo(tmp_path):
        pass


def test_a_use_case_that_is_not_declared_is_refused_and_one_without_a_replay_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownUseCase, match="no use case 'nothing_here' is declared"):
        load_replay("nothing_here")
    with pytest.raises(BadName):
        load_replay("../etc")
    monkeypatch.setitem(sys.modules, "use_cases.flight_eta.replay", None)
    with pytest.raises(UnknownUseCase, match=r"it has no use_cases/flight_eta/replay\.py"):
        load_replay("flight_eta")
