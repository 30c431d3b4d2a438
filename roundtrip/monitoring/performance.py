"""How well the model did once outcomes arrived: skill against the baseline, and what of it was lost since the release.

Skill is 1 − MAE / MAE of the baseline on the same rows, so a hard month, which is hard for both, does not look like decay.
Intervals are paired bootstraps over days: rows of one day share weather and congestion, so resampling single rows would give
intervals several times too narrow (block bootstrap: Künsch, Annals of Statistics 17, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Bootstrap draws: the ends of a 95 % interval then move by about 1 % of its width between seeds."""
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True, kw_only=True)
class Skill:
    """Skill with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Errors in minutes (the unit of the label) and skills (fractions) on the rows of a partition that have an outcome."""

    rows: int
    mae: float
    baseline_mae: float
    coverage: float
    """Share of outcomes inside the predicted interval."""
    skill: Skill
    at_release: Skill
    loss: Skill
    """Skill at release − skill: positive when the model does worse than when it was released."""


def measure_performance(
    *,
    outcomes: NDArray[np.float64],
    predictions: NDArray[np.float64],
    baseline: NDArray[np.float64],
    days: NDArray[np.int64],
    at_release: Skill,
) -> Performance | None:
    """Performance on n rows: outcomes [n], predictions [n, 3] (median, low, high), baseline [n], days [n] (any day numbers).

    None without rows. Fewer than two days give an interval of zero width, so the caller asks for a minimum of outcomes first.
    """
    if len(outcomes) == 0:
        return None
    median, low, high = predictions.T
    errors, baseline_errors = np.abs(outcomes - median), np.abs(outcomes - baseline)
    skill = skill_with_interval(errors, baseline_errors, days)
    return Performance(
        rows=len(outcomes),
        mae=float(errors.mean()),
        baseline_mae=float(baseline_errors.mean()),
        coverage=float(np.mean((outcomes >= low) & (outcomes <= high))),
        skill=skill,
        at_release=at_release,
        loss=difference(at_release, skill),
    )


def skill_with_interval(errors: NDArray[np.float64], baseline_errors: NDArray[np.float64], days: NDArray[np.int64]) -> Skill:
    """Skill of absolute errors [n] against those of the baseline on the same rows [n], resampled by whole days."""
    day_of_row = np.unique(days, return_inverse=True)[1]
    by_day = np.stack([np.bincount(day_of_row, weights=values) for values in (errors, baseline_errors)])
    generator = np.random.default_rng(seed=20130101)
    drawn = generator.integers(by_day.shape[1], size=(RESAMPLES, by_day.shape[1]))
    sums = by_day[:, drawn].sum(axis=2)
    low, high = np.quantile(1 - sums[0] / sums[1], [LOW, HIGH])
    return Skill(value=float(1 - errors.sum() / baseline_errors.sum()), low=float(low), high=float(high))


def difference(first: Skill, second: Skill) -> Skill:
    """first − second of two independent estimates, its interval recovered from theirs (MOVER: Zou and Donner, 2008)."""
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    return Skill(value=value, low=float(low), high=float(high))
