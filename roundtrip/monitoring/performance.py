"""How well the model did once outcomes arrived: skill against the baseline, and what of it was lost since the release."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundtrip.evaluation.skill import Skill, difference, skill_by_day


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


class DailyErrors:
    """Errors of a model and of the baseline, summed by day: performance is told from them, whatever the number of rows."""

    def __init__(self) -> None:
        self._days: dict[int, NDArray[np.float64]] = {}
        """Day → rows, absolute errors, those of the baseline, outcomes inside the interval."""

    def add(
        self, *, outcomes: NDArray[np.float64], predictions: NDArray[np.float64], baseline: NDArray[np.float64], days: NDArray[np.int64]
    ) -> None:
        """Count n rows: outcomes [n], predictions [n, 3] (median, low, high), baseline [n], days [n] (any day numbers)."""
        median, low, high = predictions.T
        inside = (outcomes >= low) & (outcomes <= high)
        found, place = np.unique(days, return_inverse=True)
        counted = (np.ones(len(outcomes)), np.abs(outcomes - median), np.abs(outcomes - baseline), inside)
        sums = np.stack([np.bincount(place, weights=values, minlength=len(found)) for values in counted])
        for day, column in zip(found.tolist(), sums.T, strict=True):
            self._days[day] = self._days.get(day, 0.0) + column

    def sums(self) -> NDArray[np.float64]:
        """Float [4, days], in the order of the days: rows, absolute errors, those of the baseline, outcomes inside the interval."""
        return np.stack([self._days[day] for day in sorted(self._days)], axis=1) if self._days else np.empty((4, 0))


def measure_performance(errors: DailyErrors, *, at_release: Skill) -> Performance | None:
    """Performance on the rows that were counted; None without rows.

    Fewer than two days give an interval of zero width, so the caller asks for a minimum of outcomes first.
    """
    sums = errors.sums()
    rows, absolute, of_baseline, inside = sums.sum(axis=1)
    if not rows:
        return None
    skill = skill_by_day(sums[1], sums[2])
    return Performance(
        rows=int(rows),
        mae=float(absolute / rows),
        baseline_mae=float(of_baseline / rows),
        coverage=float(inside / rows),
        skill=skill,
        at_release=at_release,
        loss=difference(at_release, skill),
    )
