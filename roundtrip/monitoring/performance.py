"""How well the model did once outcomes arrived: skill against the baseline, and what of it was lost since the release."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundtrip.evaluation.skill import Skill, difference, skill_with_interval


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
