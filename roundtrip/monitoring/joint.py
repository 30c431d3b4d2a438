"""How the inputs go together: what no look at one input after the other can see, such as rows joined to the wrong rows.

Every pair of inputs is compared by Spearman's correlation, in the reference and now; the effect is Cohen's q = |artanh r − artanh s|:
0.1 is small, 0.3 medium, 0.5 large (Cohen, Statistical Power Analysis, 1988). It comes from sums over all rows, so memory does not grow,
it has an interval in closed form (Fisher's z: variance 1/(n − 3)), and it names the pair. A classifier that tells the reference from
the partition would see every input that moves by itself once more, need a sample and a fit, and name nothing.

Numbers enter by the middle rank of their bin, categories by whether they have one of their most frequent values. Inputs that drift by
nature are left out: how the temperature goes with the hour is the season's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.bins import Bins, CategoryBins

SHARE_OF_A_VALUE = 0.05
"""Share of the reference from which a category's value is looked at."""
VALUES_AT_MOST = 4
"""Values looked at of one category."""
Z = 3.29
"""Of a 99.9 % interval: some three hundred pairs are looked at in each partition."""
NEARLY_ONE = 0.999
"""Largest correlation that is told from 1: beyond it artanh has no bounds."""
FEWEST_ROWS = 200
"""Rows, on either side, with both values, below which a pair is not compared."""


@dataclass(frozen=True)
class Moments:
    """Sums over the rows in which both columns have a value, each [d, d]: rows, first column, its square, product of both."""

    rows: NDArray[np.float64]
    first: NDArray[np.float64]
    squares: NDArray[np.float64]
    products: NDArray[np.float64]

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.rows + other.rows, self.first + other.first, self.squares + other.squares, self.products + other.products)

    def correlations(self) -> NDArray[np.float64]:
        """[d, d]; NaN where there are too few rows, or a column is constant."""
        with np.errstate(divide="ignore", invalid="ignore"):
            means = self.first / self.rows
            spreads = np.sqrt(np.maximum(self.squares / self.rows - means**2, 0.0))
            found = (self.products / self.rows - means * means.T) / (spreads * spreads.T)
        enough = (self.rows >= FEWEST_ROWS) & (spreads > 1e-6) & (spreads.T > 1e-6)
        return np.clip(np.where(enough, found, np.nan), -NEARLY_ONE, NEARLY_ONE)


@dataclass(frozen=True, kw_only=True)
class JointPlan:
    """The columns that pairs are made of, and the score of each of their bins."""

    names: tuple[str, ...]
    """Of each column its input."""
    labels: tuple[str, ...]
    """Of each column what it is called: the input, or `input=value`."""
    scores: tuple[NDArray[np.float64], ...]
    """Of each column the score by bin, NaN where it has none."""

    @classmethod
    def of(cls, inputs: tuple[Input, ...], bins: Mapping[str, Bins], places: Mapping[str, NDArray[np.int64]]) -> JointPlan:
        """By the bins of a sample's rows."""
        columns = [
            (entry.name, *column)
            for entry in inputs
            if not entry.drifts_by_nature
            for column in _columns(entry, bins[entry.name], np.bincount(places[entry.name], minlength=bins[entry.name].size))
        ]
        names, labels, scores = zip(*columns, strict=True) if columns else ((), (), ())
        return cls(names=names, labels=labels, scores=scores)

    def moments(self, places: Mapping[str, NDArray[np.int64]]) -> Moments:
        """The sums of n rows, by the bins of their inputs [n]."""
        rows = len(next(iter(places.values()), ()))
        values = np.empty((rows, len(self.names)))
        for column, (name, scores) in enumerate(zip(self.names, self.scores, strict=True)):
            values[:, column] = scores[places[name]]
        known = (~np.isnan(values)).astype(np.float64)
        values = np.nan_to_num(values, copy=False)
        return Moments(known.T @ known, values.T @ known, (values**2).T @ known, values.T @ values)


@dataclass(frozen=True, kw_only=True)
class JointDrift:
    """The pair of inputs whose relation moved most beyond what it does by itself. `effect` is None where nothing can be stated."""

    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    limit: float | None = None
    """Effect from which it counts as drifted: its low end must reach it."""
    drifted: bool = False
    pair: tuple[str, str] | None = None
    correlation: float | None = None
    reference_correlation: float | None = None
    pairs: int = 0
    """Pairs compared."""
    rows: int
    note: str = ""


def pair_effects(plan: JointPlan, first: Moments, second: Moments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cohen's q of each pair, and half the width of its interval: [d, d] each, NaN where the pair can't be compared."""
    correlations = first.correlations(), second.correlations()
    effects = np.abs(np.arctanh(correlations[0]) - np.arctanh(correlations[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        widths = Z * np.sqrt(1 / (first.rows - 3) + 1 / (second.rows - 3))
    names = np.array(plan.names)
    compared = np.triu(names[:, None] != names[None, :], k=1) if len(names) else np.zeros((0, 0), np.bool_)
    return np.where(compared, effects, np.nan), np.where(compared, widths, np.nan)


def _columns(entry: Input, bins: Bins, counts: NDArray[np.int64]) -> list[tuple[str, NDArray[np.float64]]]:
    known = counts[:-1].astype(np.float64)
    total = known.sum()
    if total == 0:
        return []
    if isinstance(bins, CategoryBins):
        often = sorted(range(len(bins.common)), key=lambda place: -known[place])[:VALUES_AT_MOST]
        return [
            (f"{entry.name}={bins.common[place]}", _indicator(bins, place)) for place in often if known[place] >= SHARE_OF_A_VALUE * total
        ]
    return [(entry.name, _ranks(known, exact=bins.exact))]


def _indicator(bins: CategoryBins, place: int) -> NDArray[np.float64]:
    scores = np.zeros(bins.size)
    scores[place], scores[-1] = 1.0, np.nan
    return scores


def _ranks(known: NDArray[np.float64], *, exact: bool) -> NDArray[np.float64]:
    """The middle rank of each bin of a number, as a share; what is beyond the sample's range ranks first and last, any other value not."""
    inner = known[:-1] if exact else known[:-2]
    middles = (np.cumsum(inner) - inner / 2) / inner.sum()
    return np.array([*middles, np.nan, np.nan] if exact else [*middles, 0.0, 1.0, np.nan])
