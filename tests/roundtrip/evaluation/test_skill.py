from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.evaluation.skill import Skill, difference, excess_with_interval, skill_with_interval


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


def test_an_excess_is_how_much_larger_the_error_is_with_its_ends_in_order() -> None:
    draw = np.random.default_rng(3)
    others, days = draw.exponential(10, 3000), draw.integers(0, 14, 3000)
    always_worse = excess_with_interval(others * 1.1, others, days)
    np.testing.assert_allclose([always_worse.low, always_worse.value, always_worse.high], 0.1, atol=1e-9)
    noisy = excess_with_interval(draw.exponential(10, 3000), others, days)
    assert noisy.low < noisy.value < noisy.high
