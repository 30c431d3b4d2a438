"""Drift of the model's inputs: a partition against the rows that the model was trained on."""

from __future__ import annotations

import pyarrow as pa

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.effect_size import Drift, category_drift, number_drift

UNUSABLE_MISSING = 0.95
"""Share of missing values from which an input is broken and not drifted, when training had less than half of that."""


def input_drifts(inputs: tuple[Input, ...], *, reference: pa.Table, current: pa.Table) -> dict[str, Drift]:
    """The drift of each input by name. A column that a table lacks counts as missing in every row."""
    return {entry.name: _drift(entry, _column(reference, entry.name), _column(current, entry.name)) for entry in inputs}


def inputs_drifted(inputs: tuple[Input, ...], drifts: dict[str, Drift]) -> list[str]:
    """Inputs that raise an alarm, strongest first: those drifted, without those that must drift (season, calendar, weather)."""
    by_nature = {entry.name for entry in inputs if entry.drifts_by_nature}
    alarms = [name for name, drift in drifts.items() if drift.drifted and name not in by_nature]
    return sorted(alarms, key=lambda name: -(drifts[name].effect or 0.0))


def inputs_broken(drifts: dict[str, Drift]) -> list[str]:
    """Inputs that arrive empty although training knew their values: a fault of the data, which no retrain mends."""
    return sorted(
        name for name, drift in drifts.items()
        if drift.missing >= UNUSABLE_MISSING and drift.reference_missing < UNUSABLE_MISSING / 2
    )  # fmt: skip


def _drift(entry: Input, reference: pa.ChunkedArray, current: pa.ChunkedArray) -> Drift:
    return (number_drift if entry.kind == "number" else category_drift)(reference, current)


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name in table.column_names:
        return table.column(name)
    return pa.chunked_array([pa.nulls(table.num_rows)])
