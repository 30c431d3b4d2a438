"""The loss of skill: its interval excludes zero on true decay and not on a hard month."""

from __future__ import annotations

import numpy as np

from roundtrip.evaluation.skill import Skill
from roundtrip.monitoring.performance import DailyErrors, Performance, measure_performance

AT_RELEASE = Skill(value=0.20, low=0.18, high=0.22)


def performance(
    *, model_error: float, baseline_error: float, rows: int = 6000, seed: int = 1, at_release: Skill = AT_RELEASE
) -> Performance:
    """A month of `rows` flights whose model and baseline err by these Laplace scales (minutes)."""
    draw = np.random.default_rng(seed)
    outcomes = draw.normal(10, 30, rows)
    median = outcomes + draw.laplace(0, model_error, rows)
    errors = DailyErrors()
    errors.add(
        outcomes=outcomes,
        predictions=np.column_stack([median, median - 20, median + 20]),
        baseline=outcomes + draw.laplace(0, baseline_error, rows),
        days=draw.integers(0, 30, rows),
    )
    found = measure_performance(errors, at_release=at_release)
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
    errors, empty = DailyErrors(), np.empty(0)
    assert measure_performance(errors, at_release=AT_RELEASE) is None
    errors.add(outcomes=empty, predictions=np.empty((0, 3)), baseline=empty, days=np.empty(0, dtype=np.int64))
    assert measure_performance(errors, at_release=AT_RELEASE) is None


def test_rows_that_come_in_parts_and_in_any_order_of_days_count_as_they_do_together() -> None:
    draw = np.random.default_rng(1)
    outcomes, days = draw.normal(10, 30, 1000), draw.integers(0, 30, 1000)
    whole, parts = DailyErrors(), DailyErrors()
    for errors, chosen in ((whole, [np.arange(1000)]), (parts, np.array_split(draw.permutation(1000), 7))):
        for rows in chosen:
            of_rows = outcomes[rows]
            errors.add(
                outcomes=of_rows, predictions=np.stack([of_rows + 5, of_rows - 1, of_rows + 9], axis=1), baseline=of_rows - 9,
                days=days[rows],
            )  # fmt: skip
    np.testing.assert_allclose(parts.sums(), whole.sums())
    assert whole.sums().sum(axis=1).tolist() == [1000, 5000, 9000, 1000]


def test_coverage_is_the_share_of_outcomes_inside_the_interval() -> None:
    outcomes = np.arange(10, dtype=np.float64)
    errors = DailyErrors()
    errors.add(
        outcomes=outcomes,
        predictions=np.column_stack([outcomes, outcomes - 1, np.where(outcomes < 8, outcomes + 1, outcomes - 1)]),
        baseline=outcomes + 1,
        days=np.arange(10),
    )
    found = measure_performance(errors, at_release=AT_RELEASE)
    assert found is not None
    assert found.coverage == 0.8
    assert found.mae == 0
    assert found.skill.value == 1
