"""Bins of an input: where they part is said by a sample of the reference, what lies in them is counted on all rows, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.use_cases import Input

NUMBER_BINS = 10
"""Bins of equal share of the reference; a number of at most so many values has one bin a value."""
RARE_SHARE = 0.01
"""Categories with a smaller share of the reference are one bin."""


@dataclass(frozen=True, kw_only=True)
class NumberBins:
    """Bins of a number. The last one is for missing values; NaN is missing.

    Between two edges whole numbers have a bin of their own: a scale or a unit that changed leaves counts, minutes and means of a few of
    them with other fractions than they had, where it moves the shape itself less than a week does.
    """

    edges: NDArray[np.float64]
    """Where the bins part, rising; the values themselves where `exact`."""
    exact: bool
    low: float
    high: float
    """Least and greatest value of the sample: what lies outside has bins of its own, so that a scaled column is seen in its tails."""

    @classmethod
    def of(cls, sample: pa.ChunkedArray) -> NumberBins:
        values = _numbers(sample)
        values = values[~np.isnan(values)]
        distinct = np.unique(values)
        if len(distinct) <= NUMBER_BINS:
            low, high = (float(distinct[0]), float(distinct[-1])) if len(distinct) else (0.0, 0.0)
            return cls(edges=distinct, exact=True, low=low, high=high)
        edges = np.unique(np.quantile(values, np.linspace(0, 1, NUMBER_BINS + 1)[1:-1]))
        return cls(edges=edges, exact=False, low=float(distinct[0]), high=float(distinct[-1]))

    @property
    def size(self) -> int:
        """Bins, that of missing values included."""
        return len(self.edges) + 2 if self.exact else self._inner + 3

    @property
    def _inner(self) -> int:
        """Bins within the sample's range, where not `exact`."""
        return 2 * (len(self.edges) + 1)

    def places(self, column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """The bin of each of n values, int64 [n]."""
        values = _numbers(column)
        if self.exact:
            places = np.searchsorted(self.edges, values)
            known = self.edges[np.minimum(places, len(self.edges) - 1)] == values if len(self.edges) else np.zeros(len(values), np.bool_)
            places = np.where(known, places, len(self.edges))
        else:
            places = 2 * np.searchsorted(self.edges, values, side="right") + (values == np.rint(values))
            places = np.where(values < self.low, self._inner, np.where(values > self.high, self._inner + 1, places))
        return np.where(np.isnan(values), self.size - 1, places).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class CategoryBins:
    """Bins of a category: one for each common value, one for those that are rare, one for new ones, one for missing ones."""

    common: tuple[str, ...]

    @classmethod
    def of(cls, sample: pa.ChunkedArray) -> CategoryBins:
        counts = value_counts(sample)
        known = sum(counts.values())
        return cls(common=tuple(value for value, count in sorted(counts.items()) if count >= RARE_SHARE * known))

    @property
    def size(self) -> int:
        """Bins, that of missing values included."""
        return len(self.common) + 3

    def places(self, column: pa.Array | pa.ChunkedArray, known: frozenset[str] | None) -> NDArray[np.int64]:
        """The bin of each of n values, int64 [n]. `known`: the reference's values; None: all are, as the reference's own are."""
        values = _texts(column)
        places = pc.fill_null(pc.index_in(values, pa.array(self.common, pa.string())), len(self.common)).to_numpy(zero_copy_only=False)
        places = places.astype(np.int64)
        if known is not None:
            old = pc.is_in(values, pa.array(sorted(known), pa.string())).to_numpy(zero_copy_only=False)
            places[~old] = len(self.common) + 1
        places[pc.is_null(values).to_numpy(zero_copy_only=False)] = self.size - 1
        return places


Bins = NumberBins | CategoryBins


def bins_of(entry: Input, sample: pa.ChunkedArray) -> Bins:
    """The bins of an input, by a sample of the reference's values."""
    return NumberBins.of(sample) if entry.kind == "number" else CategoryBins.of(sample)


def value_counts(column: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Category → rows, without missing ones."""
    counts = pc.value_counts(pc.drop_null(_texts(column))).to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}


def _texts(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pc.cast(whole, pa.string())


def _numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """float64 [n], NaN where missing."""
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
