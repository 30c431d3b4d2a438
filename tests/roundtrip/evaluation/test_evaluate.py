from dataclasses import replace

import numpy as np
import pytest

from roundtrip.contracts.use_cases import Gate, UseCase
from roundtrip.evaluation.evaluate import Champion, Columns, Predict, ask, evaluate
from roundtrip.evaluation.quality import Evaluation
from roundtrip.evaluation.yardstick import TreesAnswer
from tests.roundtrip.training.tiny import TINY, tiny_rows

HELD_OUT = tiny_rows(500)


def always_off_by(minutes: float) -> Predict:
    """A model that misses every label by so much."""

    def predict(columns: Columns) -> np.ndarray:
        labels = HELD_OUT["late"].to_numpy()
        assert len(columns["start"]) == len(labels)
        return np.stack([labels + minutes, labels - 20, labels + 20], axis=1).astype(np.float32)

    return predict


def evaluated(
    gain: float = 0.0,
    champion: Champion | None = None,
    yardstick: TreesAnswer | None = None,
    use_case: UseCase = TINY,
    off_by: float = 1.0,
) -> Evaluation:
    """With a candidate that misses by so many minutes."""
    answers = ask(use_case, HELD_OUT, candidate=always_off_by(off_by), gain=gain, champion=champion, yardstick=yardstick)
    return evaluate(use_case, HELD_OUT, answers)


def test_all_are_measured_on_the_same_rows() -> None:
    trees = TreesAnswer(median=HELD_OUT["late"].to_numpy() + 3.0, seconds=2.5)
    found = evaluated(gain=5.0, champion=Champion("7", always_off_by(-2.0)), yardstick=trees)
    assert found.champion is not None and found.yardstick is not None
    assert (found.held_out_rows, found.champion_version) == (500, "7")
    assert found.candidate.mae == pytest.approx(1.0, rel=1e-4)
    assert found.champion.mae == pytest.approx(2.0, rel=1e-4)
    assert found.yardstick.mae == pytest.approx(3.0)
    assert found.yardstick.skill == pytest.approx(1 - 3.0 / found.baseline_mae)
    assert found.metrics().items() >= {"yardstick_mae": found.yardstick.mae, "yardstick_seconds": 2.5}.items()
    missed = np.abs(HELD_OUT["late"].to_numpy() - HELD_OUT["start"].to_numpy() - 5.0)
    assert found.baseline_mae == pytest.approx(missed.mean())
    assert found.candidate.coverage == 1.0


def test_before_the_first_release_there_is_no_champion() -> None:
    found = evaluated()
    assert found.champion is None
    assert found.figures()["champion"] is None


def test_slices_are_those_that_the_use_case_declares_and_hold_every_row() -> None:
    found = evaluated()
    values = {name: [entry.value for entry in found.slices if entry.input == name] for name in ("colour", "wind")}
    assert values == {
        "colour": ["(missing)", "blue", "red"],
        "wind": ["below 10 mph", "10 to 20 mph", "20 mph and above", "(missing)"],
    }
    for name in values:
        assert sum(entry.rows for entry in found.slices if entry.input == name) == 500


def test_the_candidate_is_paired_with_the_champion_on_the_whole_and_on_each_slice() -> None:
    use_case = replace(TINY, gate=Gate(minimum_slice_rows=50, minimum_slice_days=3))
    found = evaluated(champion=Champion("7", always_off_by(1.0)), use_case=use_case, off_by=1.1)
    assert found.excess is not None
    assert found.excess.value == pytest.approx(0.1, abs=1e-3)
    red = next(entry.figures for entry in found.slices if entry.value == "red")
    assert red is not None and red.excess is not None
    assert (red.mae, red.champion_mae) == pytest.approx((1.1, 1.0), rel=1e-4)
    assert red.excess.low == pytest.approx(0.1, abs=1e-3)
    assert found.nominal_coverage == pytest.approx(0.8)


def test_the_log_names_each_that_was_measured_and_no_other() -> None:
    assert [line.split()[0] for line in evaluated().lines("min")] == ["500", "candidate", "baseline"]
    trees = TreesAnswer(median=HELD_OUT["late"].to_numpy() + 3.0, seconds=2.5)
    lines = evaluated(champion=Champion("7", always_off_by(-2.0)), yardstick=trees).lines("min")
    assert [line.split()[0] for line in lines] == ["500", "candidate", "champion", "yardstick", "baseline"]
    assert "MAE 3.000 min" in lines[3]
