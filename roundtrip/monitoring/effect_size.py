"""How far a column's values moved from the reference's, as an effect size: population stability index, corrected for chance.

PSI = Σ (q − p) ln(q / p) over bins, p and q the shares of the reference and of the current rows: 0 is the same, below 0.1 little,
above 0.25 a lot (Siddiqi, Credit Risk Scorecards, 2006). Without any drift its expectation is (bins − 1)(1/n + 1/m)
(Yurdakul and Naranjo, Statistical properties of the population stability index, 2020): that is taken off, so that small partitions
raise no alarm. A p-value would call every difference significant at 30,000 rows a month.

The interval is in closed form from the counts (a bootstrap would draw these same multinomials): by the delta method where the shares
differ, by the χ² distribution of the index where they don't. It says how certain the effect is in these rows, taken one by one. How
much rows of another month would differ by themselves is another question: the limit answers it (inputs.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINIMUM_ROWS = 200
"""Rows, on either side, below which no effect is stated."""
Z = 3.29
"""Of a 99.9 % interval, two-sided: some twenty inputs are looked at in each partition."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What was found for one column. `effect` is None where nothing can be stated; `note` then says why."""

    effect: float | None
    effect_low: float | None = None
    effect_high: float | None = None
    limit: float | None = None
    """Effect from which it counts as drifted: its low end must reach it."""
    drifted: bool
    rows: int
    """Current rows."""
    reference_rows: int
    note: str = ""
    missing: float = 0.0
    """Share of the current rows without a value."""
    reference_missing: float = 0.0
    """Share of the reference rows without a value."""
    usual_missing: float = 0.0
    """The same of that part of the reference in which it was largest."""
    measure: str = "psi"


@dataclass(frozen=True)
class Effect:
    """A stability index with its interval, none of them below 0."""

    value: float
    low: float
    high: float


def stability_index(reference: NDArray[np.float64], current: NDArray[np.float64]) -> Effect:
    """PSI of two vectors of bin counts, less its expectation by chance. Bins empty on both sides don't count.

    Half a row is added to each bin (Jeffreys' prior), so that an empty bin costs much and not infinitely much.
    """
    used = (reference + current) > 0
    reference, current = reference[used], current[used]
    freedom = len(reference) - 1
    if freedom < 1:
        return Effect(0.0, 0.0, 0.0)
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (reference, current))
    logs, ratios = np.log(q / p), q / p
    chance = float(1 / reference.sum() + 1 / current.sum())
    index = float(np.sum((q - p) * logs) - freedom * chance)
    slopes = (-logs + 1 - ratios, p), (logs + 1 - 1 / ratios, q)
    variance: float = sum(
        (np.sum(shares * slope**2) - np.sum(shares * slope) ** 2) / counts.sum()
        for (slope, shares), counts in zip(slopes, (reference, current), strict=True)
    )
    spread = Z * float(np.sqrt(variance))
    by_chance = (_chi_square(freedom, Z) - freedom) * chance
    width = float(np.hypot(spread, by_chance))
    return Effect(max(0.0, index), max(0.0, index - width), max(0.0, index + width))


def _chi_square(freedom: int, z: float) -> float:
    """Quantile of the χ² distribution, by that of the normal distribution (Wilson and Hilferty, PNAS 17, 1931)."""
    ninth = 2 / (9 * freedom)
    return float(freedom * (1 - ninth + z * np.sqrt(ninth)) ** 3)
