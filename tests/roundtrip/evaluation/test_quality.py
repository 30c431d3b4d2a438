import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.evaluation.quality import Evaluation, HeldOut, YardstickQuality, quality
from roundtrip.evaluation.skill import Excess
from roundtrip.evaluation.slices import SliceFigures, SliceFound

ROWS, DAYS = 4000, 20


def held_out(seed: int = 1) -> HeldOut:
    """Labels that the baseline misses by a mean of 8 minutes."""
    generator = np.random.default_rng(seed)
    labels = generator.normal(0, 30, ROWS)
    return HeldOut(labels=labels, baseline=labels + generator.normal(0, 10, ROWS), days=np.arange(ROWS) * DAYS // ROWS)


def predictions(rows: HeldOut, error: float, width: float = 10.0) -> np.ndarray:
    median = rows.labels + np.random.default_rng(2).normal(0, error, ROWS)
    return np.stack([median, median - width, median + width], axis=1).astype(np.float32)


def test_a_model_as_good_as_the_baseline_has_no_skill_and_its_interval_holds_zero() -> None:
    rows = held_out()
    found = quality(predictions(rows, error=10.0), rows)
    assert found.skill_low < 0 < found.skill_high
    assert found.skill == pytest.approx(0, abs=0.05)


def test_skill_is_one_less_the_ratio_of_errors() -> None:
    rows = held_out()
    answers = predictions(rows, error=5.0)
    found = quality(answers, rows)
    mae = np.abs(rows.labels - answers[:, 0]).mean()
    assert found.mae == pytest.approx(mae)
    assert found.skill == pytest.approx(1 - mae / np.abs(rows.labels - rows.baseline).mean())
    assert 0.4 < found.skill_low < found.skill < found.skill_high < 0.6


@given(st.integers(0, 1000))
def test_the_interval_holds_the_skill_and_is_the_same_each_time(seed: int) -> None:
    rows = held_out(seed)
    found = quality(predictions(rows, error=8.0), rows)
    assert found.skill_low <= found.skill <= found.skill_high
    assert quality(predictions(rows, error=8.0), rows) == found


def test_coverage_counts_labels_on_the_ends_of_the_interval() -> None:
    rows = HeldOut(labels=np.array([0.0, 1, 2, 3]), baseline=np.full(4, 9.0), days=np.arange(4))
    answers = np.tile(np.array([1.0, 0, 2], dtype=np.float32), (4, 1))
    assert quality(answers, rows).coverage == 0.75


@pytest.mark.parametrize("with_champion", [True, False])
def test_an_evaluation_reads_back_from_its_receipt(with_champion: bool) -> None:
    rows = held_out()
    found = quality(predictions(rows, error=5.0), rows)
    excess = Excess(value=-0.1, low=-0.2, high=0.0) if with_champion else None
    figures_of_slice = SliceFigures(mae=1.0, baseline_mae=2.0, champion_mae=1.1 if with_champion else None, excess=excess)
    evaluation = Evaluation(
        held_out_rows=ROWS,
        baseline_mae=8.0,
        candidate=found,
        champion=found if with_champion else None,
        champion_version="3" if with_champion else None,
        excess=excess,
        nominal_coverage=0.8,
        slices=(
            SliceFound(input="origin", value="EWR", rows=400, days=14, figures=figures_of_slice),
            SliceFound(input="origin", value="JFK", rows=4, days=2, figures=None),
        ),
        yardstick=YardstickQuality(mae=7.0, skill=0.125, skill_low=0.1, skill_high=0.15, seconds=3.5),
    )
    figures = json.loads(json.dumps(evaluation.figures(), allow_nan=False))
    assert Evaluation.from_figures(figures) == evaluation
    assert ({"champion_mae", "excess_low"} <= set(evaluation.metrics())) is with_champion


def test_a_receipt_from_before_the_yardstick_reads_back_without_one() -> None:
    found = quality(predictions(held_out(), error=5.0), held_out())
    evaluation = Evaluation(
        held_out_rows=ROWS,
        baseline_mae=8.0,
        candidate=found,
        champion=None,
        champion_version=None,
        excess=None,
        nominal_coverage=0.8,
        slices=(),
    )
    figures = evaluation.figures()
    del figures["yardstick"]
    assert Evaluation.from_figures(figures) == evaluation
    assert not [name for name in evaluation.metrics() if name.startswith("yardstick")]
