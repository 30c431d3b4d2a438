"""Skill, its interval and its loss: an interval that covers the truth, excludes zero on true decay and not on a hard month."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from roundtrip.monitoring.performance import Performance, Skill, difference, measure_performance, skill_with_interval

AT_RELEASE = Skill(value=0.20, low=0.18, high=0.22)


def performance(
    *, model_error: float, baseline_error: float, rows: int = 6000, seed: int = 1, at_release: Skill = AT_RELEASE
) -> Performance:
    """A month of `rows` flights whose model and baseline err by these Laplace scales (minutes)."""
    draw = np.random.default_rng(seed)
    outcomes = draw.normal(10, 30, rows)
    median = outcomes + draw.laplace(0, model_error, rows)
    found = measure_performance(
        outcomes=outcomes,
        predictions=np.column_stack([median, median - 20, median + 20]),
        baseline=outcomes + draw.laplace(0, baseline_error, rows),
        days=draw.integers(0, 30, rows),
        at_release=at_release,
    )
    assert found is not None
    return found


def test_a_decayed_model_loses_skill_and_the_interval_excludes_zero() -> None:
    found = performance(model_error=12, baseline_error=12)
    assert found.loss.value > 0.15
    assert found.loss.low > 0
    assert found.loss.low < found.loss.value < found.loss.high


def test_a_hard_month_is_no_decay() -> None:
    easy, hard = (performance(model_error=8 * times, baseline_error=10 * times) for times in (1, 3))
    assert hard.mae > 2.5 * easy.mae
    assert hard.loss.low < 0 < hard.loss.high


def test_few_rows_give_an_interval_too_wide_to_be_certain() -> None:
    narrow, wide = (performance(model_error=9, baseline_error=10, rows=rows) for rows in (20_000, 150))
    assert wide.loss.high - wide.loss.low > 3 * (narrow.loss.high - narrow.loss.low)


def test_without_outcomes_there_is_no_performance() -> None:
    empty: NDArray[np.float64] = np.empty(0)
    none = measure_performance(
        outcomes=empty, predictions=np.empty((0, 3)), baseline=empty, days=np.empty(0, dtype=np.int64), at_release=AT_RELEASE
    )
    assert none is None


def test_coverage_is_the_share_of_outcomes_inside_the_interval() -> None:
    outcomes = np.arange(10, dtype=np.float64)
    found = measure_performance(
        outcomes=outcomes,
        predictions=np.column_stack([outcomes, outcomes - 1, np.where(outcomes < 8, outcomes + 1, outcomes - 1)]),
        baseline=outcomes + 1,
        days=np.arange(10),
        at_release=AT_RELEASE,
    )
    assert found is not None
    assert found.coverage == 0.8
    assert found.mae == 0
    assert found.skill.value == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), ratio=st.floats(0.5, 1.5))
def test_the_interval_holds_the_measured_skill_and_perfect_pairs_have_none(seed: int, ratio: float) -> None:
    draw = np.random.default_rng(seed)
    baseline_errors = draw.exponential(12, 2000)
    days = draw.integers(0, 30, 2000)
    skill = skill_with_interval(baseline_errors * draw.uniform(0.5, 1.5, 2000), baseline_errors, days)
    assert skill.low <= skill.value <= skill.high
    paired = skill_with_interval(baseline_errors * ratio, baseline_errors, days)
    np.testing.assert_allclose([paired.low, paired.value, paired.high], 1 - ratio, atol=1e-9)


def test_a_bad_day_widens_the_interval_that_single_rows_would_hide() -> None:
    draw = np.random.default_rng(1)
    days = np.repeat(np.arange(30), 500)
    weather = draw.exponential(10, 30)[days]
    errors, baseline_errors = draw.exponential(8, 15_000) + weather, draw.exponential(10, 15_000) + weather / 2
    by_day = skill_with_interval(errors, baseline_errors, days)
    by_row = skill_with_interval(errors, baseline_errors, np.arange(15_000))
    assert by_day.high - by_day.low > 3 * (by_row.high - by_row.low)


def test_a_difference_is_as_uncertain_as_both_of_its_sides() -> None:
    loss = difference(Skill(value=0.20, low=0.17, high=0.24), Skill(value=0.10, low=0.07, high=0.14))
    np.testing.assert_allclose([loss.low, loss.value, loss.high], [0.10 - 0.05, 0.10, 0.10 + 0.05])
