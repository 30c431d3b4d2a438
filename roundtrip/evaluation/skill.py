"""Skill: how much better than the baseline, with an interval. Judging a candidate and watching a live model use the same figure.

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


def skill_with_interval(errors: NDArray[np.float64], baseline_errors: NDArray[np.float64], days: NDArray[np.int64]) -> Skill:
    """Skill of absolute errors [n] against those of the baseline on the same rows [n], resampled by whole days."""
    day_of_row = np.unique(days, return_inverse=True)[1]
    return skill_by_day(*(np.bincount(day_of_row, weights=values).astype(np.float64) for values in (errors, baseline_errors)))


def skill_by_day(errors: NDArray[np.float64], baseline_errors: NDArray[np.float64]) -> Skill:
    """The same, of the sums of each day's absolute errors: [d] and [d]."""
    generator = np.random.default_rng(seed=20130101)
    drawn = generator.integers(len(errors), size=(RESAMPLES, len(errors)))
    low, high = np.quantile(1 - errors[drawn].sum(axis=1) / baseline_errors[drawn].sum(axis=1), [LOW, HIGH])
    return Skill(value=float(1 - errors.sum() / baseline_errors.sum()), low=float(low), high=float(high))


@dataclass(frozen=True, kw_only=True)
class Excess:
    """MAE above that of another model on the same rows, as a fraction of it, with its 95 % interval: negative where it is smaller."""

    value: float
    low: float
    high: float


def excess_with_interval(errors: NDArray[np.float64], others_errors: NDArray[np.float64], days: NDArray[np.int64]) -> Excess:
    """Excess of absolute errors [n] over those of another model on the same rows [n]: paired, resampled by whole days."""
    skill = skill_with_interval(errors, others_errors, days)
    return Excess(value=-skill.value, low=-skill.high, high=-skill.low)


def difference(first: Skill, second: Skill) -> Skill:
    """first − second of two independent estimates, its interval recovered from theirs (MOVER: Zou and Donner, 2008)."""
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    return Skill(value=value, low=float(low), high=float(high))
