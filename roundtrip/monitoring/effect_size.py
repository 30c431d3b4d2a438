"""How far a column's values moved from the reference's, as an effect size: population stability index, corrected for chance.

PSI = Σ (q − p) ln(q / p) over bins, p and q the shares of the reference and of the current rows: 0 is the same, below 0.1 little,
above 0.25 a lot (Siddiqi, Credit Risk Scorecards, 2006). Without any drift its expectation is (bins − 1)(1/n + 1/m)
(Yurdakul and Naranjo, Statistical properties of the population stability index, 2020): that is taken off, so that small partitions
raise no alarm. A p-value would call every difference significant at 30,000 rows a month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DRIFT_LIMIT = 0.25
"""PSI from which a column counts as drifted."""
MINIMUM_ROWS = 200
"""Rows, on either side, below which no effect is stated."""
NUMBER_BINS = 10
"""Bins of equal reference share; a number of at most so many values has one bin a value."""
RARE_SHARE = 0.01
"""Categories with a smaller share of the reference are one bin."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What was found for one column. `effect` is None where nothing can be stated; `note` then says why."""

    effect: float | None
    drifted: bool
    note: str = ""
    missing: float = 0.0
    """Share of the current rows without a value."""
    reference_missing: float = 0.0
    """Share of the reference rows without a value."""
    measure: str = "psi"


def number_drift(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> Drift:
    """Drift of a number; NULL and NaN count as missing and have a bin of their own."""
    known = [_numbers(side) for side in (reference, current)]
    edges, exact = _bin_edges(known[0])
    counts = [_bin_counts(values, edges, exact=exact) for values in known]
    return _drift(counts, [len(reference), len(current)], _number_notes(*known))


def category_drift(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> Drift:
    """Drift of a category; values that the reference lacks, rare ones and missing ones have a bin each."""
    shares = [_value_counts(side) for side in (reference, current)]
    total = sum(shares[0].values())
    common = [value for value, count in sorted(shares[0].items()) if count >= RARE_SHARE * total]
    counts = []
    for side in shares:
        new = sum(count for value, count in side.items() if value not in shares[0])
        in_common = [side.get(value, 0) for value in common]
        counts.append(np.array([*in_common, sum(side.values()) - sum(in_common) - new, new], dtype=np.float64))
    return _drift(counts, [len(reference), len(current)], _category_notes(*shares))


def stability_index(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """PSI of two vectors of bin counts, less its expectation by chance, never below 0. Bins empty on both sides don't count.

    Half a row is added to each bin (Jeffreys' prior), so that an empty bin costs much and not infinitely much.
    """
    used = (reference + current) > 0
    reference, current = reference[used], current[used]
    bins = len(reference)
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * bins) for counts in (reference, current))
    by_chance = (bins - 1) * (1 / reference.sum() + 1 / current.sum())
    return float(max(0.0, np.sum((q - p) * np.log(q / p)) - by_chance))


def _drift(known_counts: Sequence[NDArray[np.float64]], rows: Sequence[int], note: str) -> Drift:
    """The drift of two sides, from counts of their known values by bin and their rows with missing values included."""
    missing = [side_rows - counts.sum() for counts, side_rows in zip(known_counts, rows, strict=True)]
    shares = [float(lacking / side_rows) if side_rows else 0.0 for lacking, side_rows in zip(missing, rows, strict=True)]
    if min(rows) < MINIMUM_ROWS:
        note = f"{rows[1]:,} rows against {rows[0]:,}: nothing is stated below {MINIMUM_ROWS}"
        return Drift(effect=None, drifted=False, note=note, missing=shares[1], reference_missing=shares[0])
    counts = [np.append(known, lacking) for known, lacking in zip(known_counts, missing, strict=True)]
    effect = round(stability_index(counts[0], counts[1]), 4)
    return Drift(effect=effect, drifted=effect >= DRIFT_LIMIT, note=note, missing=shares[1], reference_missing=shares[0])


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The known values of a column, float64 [k]."""
    if pa.types.is_null(column.type):
        return np.empty(0)
    values = pc.drop_null(pc.cast(column, pa.float64())).to_numpy(zero_copy_only=False)
    return values[~np.isnan(values)]


def _bin_edges(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Edges of the bins and whether they are the values themselves (few distinct ones) instead of quantiles."""
    distinct = np.unique(values)
    if len(distinct) <= NUMBER_BINS:
        return distinct, True
    return np.unique(np.quantile(values, np.linspace(0, 1, NUMBER_BINS + 1)[1:-1])), False


def _bin_counts(values: NDArray[np.float64], edges: NDArray[np.float64], *, exact: bool) -> NDArray[np.float64]:
    """Rows by bin: between quantiles, or one bin for each exact value and one for any other value."""
    places = np.searchsorted(edges, values, side="left" if exact else "right")
    if exact:
        is_edge = np.isin(values, edges)
        places = np.where(is_edge, places, len(edges))
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def _value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    if pa.types.is_null(column.type):
        return {}
    counts = pc.value_counts(pc.drop_null(pc.cast(column, pa.string()))).to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}


def _number_notes(reference: NDArray[np.float64], current: NDArray[np.float64]) -> str:
    if len(current) == 0:
        return "every value is missing"
    if np.ptp(current) == 0 and len(reference) and np.ptp(reference) > 0:
        return f"constant {current[0]:g}"
    return ""


def _category_notes(reference: dict[str, int], current: dict[str, int]) -> str:
    if not current:
        return "every value is missing"
    new = {value: count for value, count in current.items() if value not in reference}
    if not new:
        return ""
    named = ", ".join(sorted(new, key=lambda value: -new[value])[:3])
    return f"{len(new)} new: {named} ({sum(new.values()) / sum(current.values()):.1%} of the known values)"
