"""What is counted of rows to tell drift: by input and bin, and how the inputs go together. Batch by batch, so memory does not grow.

The reference is counted week by week. How far its own weeks lie apart is what an input does by nature: drift is what goes beyond that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.bins import Bins, CategoryBins, NumberBins, bins_of, value_counts
from roundtrip.monitoring.joint import JointPlan, Moments

Batches = Callable[[], Iterable[pa.RecordBatch]]
"""Gives the rows anew at each call: the reference is read twice."""

SAMPLE_ROWS = 100_000
"""Rows of the reference, drawn evenly, that say where bins part: an edge then lies within 0.3 % of its share."""
SPARE = 1.25
"""How many times its rows a reservoir holds before it drops those that have lost their place."""
MICROSECONDS_A_WEEK = 7 * 86_400_000_000
NEW_VALUES_NAMED = 1000
"""New values of a category that are remembered by name; all are counted."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How rows are counted: fixed by a sample of the reference."""

    inputs: tuple[Input, ...]
    bins: dict[str, Bins]
    joint: JointPlan
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    """Category input → the reference's values; empty while the reference itself is counted."""

    @classmethod
    def of(cls, inputs: tuple[Input, ...], sample: pa.Table) -> Plan:
        bins = {entry.name: bins_of(entry, column_or_nulls(sample, entry.name)) for entry in inputs}
        places = {name: _places(entry_bins, column_or_nulls(sample, name), None) for name, entry_bins in bins.items()}
        return cls(inputs=inputs, bins=bins, joint=JointPlan.of(inputs, bins, places))

    def only(self, inputs: tuple[Input, ...]) -> Plan:
        """The same for some of its inputs, without their relations."""
        return replace(self, inputs=inputs, joint=JointPlan(names=(), labels=(), scores=()))


class Profile:
    """Counts of rows: by week, input and bin."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rows = 0
        self.counts: dict[str, dict[int, NDArray[np.float64]]] = {entry.name: {} for entry in plan.inputs}
        """Input → week → rows by bin."""
        self.moments: dict[int, Moments] = {}
        """Week → how the inputs go together."""
        self.values: dict[str, Counter[str]] = {entry.name: Counter() for entry in plan.inputs if entry.kind == "category"}
        """Category input → rows of values that the plan does not know, by value."""
        self.ranges: dict[str, tuple[float, float]] = {}
        """Number input → its least and greatest value."""
        self.sums: dict[str, float] = {}
        """Number input → the sum of its values."""

    def add(self, batch: pa.RecordBatch | pa.Table, weeks: NDArray[np.int64] | None = None) -> None:
        """Count n rows, of the weeks [n] (any week numbers), or all as of one. A column that the batch lacks is missing in every row."""
        self.rows += batch.num_rows
        weeks = np.zeros(batch.num_rows, dtype=np.int64) if weeks is None else weeks
        places = {}
        for entry in self.plan.inputs:
            column = column_or_nulls(batch, entry.name)
            places[entry.name] = _places(self.plan.bins[entry.name], column, self.plan.known.get(entry.name))
            self._note(entry, column)
        for week in np.unique(weeks).tolist():
            inside = weeks == week
            for name, place in places.items():
                counted = np.bincount(place[inside], minlength=self.plan.bins[name].size).astype(np.float64)
                self.counts[name][week] = self.counts[name].get(week, 0.0) + counted
            found = self.plan.joint.moments({name: place[inside] for name, place in places.items()})
            self.moments[week] = self.moments[week] + found if week in self.moments else found

    def total(self, name: str, weeks: Iterable[int] | None = None) -> NDArray[np.float64]:
        """Rows by bin of an input, of all weeks or of some; zeros without rows."""
        chosen = self.counts[name] if weeks is None else {week: self.counts[name][week] for week in weeks}
        return np.sum([*chosen.values()], axis=0) if chosen else np.zeros(self.plan.bins[name].size)

    def mean(self, name: str) -> float | None:
        """Of a number's known values; None without one."""
        known = self.total(name)[:-1].sum()
        return self.sums[name] / float(known) if known else None

    def weeks(self) -> list[int]:
        """Weeks that rows lie in, in order."""
        return sorted(self.moments)

    def _note(self, entry: Input, column: pa.Array | pa.ChunkedArray) -> None:
        if entry.kind == "number":
            numbers = pc.cast(column, pa.float64())
            values = numbers.filter(pc.invert(pc.is_nan(numbers)))
            found = pc.min_max(values).as_py()
            if found["min"] is not None:
                low, high = self.ranges.get(entry.name, (np.inf, -np.inf))
                self.ranges[entry.name] = min(low, found["min"]), max(high, found["max"])
                self.sums[entry.name] = self.sums.get(entry.name, 0.0) + pc.sum(values).as_py()
            return
        known, kept = self.plan.known.get(entry.name, frozenset()), self.values[entry.name]
        for value, count in value_counts(column).items():
            if value not in known and (not self.plan.known or value in kept or len(kept) < NEW_VALUES_NAMED):
                kept[value] += count


@dataclass(frozen=True, kw_only=True)
class ReferenceProfile:
    """The reference, counted, and how its partition is to be counted."""

    profile: Profile
    plan: Plan
    """That of the reference, and the values that the reference holds."""
    sample: pa.Table
    """Rows of it, drawn evenly, in their order."""


def profile_reference(
    inputs: tuple[Input, ...], batches: Batches, *, time: str, with_more: Callable[[pa.Table], pa.Table] | None = None
) -> ReferenceProfile:
    """Count the reference's rows, in two passes. `time`: the column of prediction times. `with_more` adds the columns of inputs that the
    rows lack: predictions, which are made anew.
    """
    add = with_more or (lambda table: table)
    sample = add(sample_of(batches(), SAMPLE_ROWS))
    profile = Profile(Plan.of(inputs, sample))
    for batch in batches():
        rows = add(pa.Table.from_batches([batch]))
        profile.add(rows, weeks_of(rows, time))
    known = {name: frozenset(values) for name, values in profile.values.items()}
    return ReferenceProfile(profile=profile, plan=replace(profile.plan, known=known), sample=sample)


def profile_rows(plan: Plan, batches: Iterable[pa.RecordBatch]) -> Profile:
    """Count a partition's rows as its reference was counted, all of them as of one week."""
    profile = Profile(plan)
    for batch in batches:
        profile.add(batch)
    return profile


class Reservoir:
    """So many of the rows that it is shown, drawn evenly, in their order; all of them where there are fewer. The same each time."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._draw = np.random.default_rng(seed=1)
        self._kept: list[pa.Table] = []
        self._keys = np.empty(0)
        self._limit = 1.0
        """Greatest key that still has a place."""

    def add(self, rows: pa.Table) -> None:
        fresh = self._draw.random(rows.num_rows)
        chosen = np.flatnonzero(fresh <= self._limit)
        self._kept.append(rows.take(pa.array(chosen)))
        self._keys = np.concatenate([self._keys, fresh[chosen]])
        if len(self._keys) > SPARE * self._rows:
            self._drop()

    def table(self) -> pa.Table:
        """The rows; a table without columns before any was added."""
        self._drop()
        return pa.concat_tables(self._kept)

    def _drop(self) -> None:
        """Leave the rows with the smallest keys."""
        kept = pa.concat_tables(self._kept) if self._kept else pa.table({})
        if len(self._keys) > self._rows:
            chosen = np.sort(np.argpartition(self._keys, self._rows)[: self._rows])
            kept, self._keys = kept.take(pa.array(chosen)).combine_chunks(), self._keys[chosen]
            self._limit = self._keys.max()
        self._kept = [kept]


def sample_of(batches: Iterable[pa.RecordBatch], rows: int) -> pa.Table:
    """So many of the rows, as a reservoir draws them."""
    reservoir = Reservoir(rows)
    for batch in batches:
        reservoir.add(pa.Table.from_batches([batch]))
    return reservoir.table()


def weeks_of(rows: pa.RecordBatch | pa.Table, time: str) -> NDArray[np.int64]:
    """Week number of each row's time, int64 [n]."""
    instants = pc.cast(pc.cast(rows.column(time), pa.timestamp("us", tz="UTC")), pa.int64())
    return instants.to_numpy(zero_copy_only=False) // MICROSECONDS_A_WEEK


def column_or_nulls(rows: pa.RecordBatch | pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """The column; NULL in every row where there is none."""
    return rows.column(name) if name in rows.schema.names else pa.nulls(rows.num_rows)


def _places(bins: Bins, column: pa.Array | pa.ChunkedArray, known: frozenset[str] | None) -> NDArray[np.int64]:
    if isinstance(bins, NumberBins):
        return bins.places(column)
    assert isinstance(bins, CategoryBins)
    return bins.places(column, known)
