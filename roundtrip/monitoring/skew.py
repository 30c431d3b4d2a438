"""Training-serving skew: what callers sent with a prediction's request against the features that the tables hold for the same key.

Both should come from one definition. Where a caller computes a feature by another one, or from other data, the model is asked about a row
that it never learned, and nothing that is measured on the tables shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.errors import TableMissing
from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import Input, UseCase
from roundtrip.lakehouse.joined import Side, joined_rows
from roundtrip.lakehouse.logged_requests import INPUTS, KEY, TABLE, inputs_sent, keyed_side
from roundtrip.lakehouse.tables import PARTITION_COLUMN, identifier, literal, open_table, rows_in

SAME_WITHIN = 1e-9
"""Relative difference of two numbers that are the same: JSON carries a double whole."""
SKEWED = 0.01
"""Share of the rows that must differ in a feature for the partition to be watched."""


@dataclass(frozen=True, kw_only=True)
class Skew:
    """Predictions whose key is in the features table, and by feature how many of them were asked for with another value."""

    rows: int
    features: dict[str, int]

    @property
    def skewed(self) -> bool:
        return any(count >= SKEWED * self.rows for count in self.features.values() if count)

    def figures(self) -> dict[str, Figure]:
        return {"rows": self.rows, "features": {**self.features}}


def skew_of(use_case: UseCase, partition: str, *, features_version: int) -> Skew | None:
    """The skew of the partition's logged predictions; None when none is logged with the key of a row that the features hold."""
    try:
        logged = open_table(use_case.name, TABLE)
    except TableMissing:
        return None
    features = open_table(use_case.name, use_case.features_table, version=features_version)
    of_partition = f"{PARTITION_COLUMN} = {literal(checked_partition(partition))}"
    held = ", ".join(identifier(entry.name) for entry in use_case.inputs)
    sides = [
        Side(
            table=logged,
            query=f"SELECT key AS {KEY}, inputs AS {INPUTS} FROM side WHERE {of_partition} AND key IS NOT NULL",
            rows=rows_in(logged, [partition]),
        ),
        keyed_side(use_case, features, held, where=of_partition, months=[partition]),
    ]
    return compare(use_case.inputs, joined_rows([KEY], sides))


def compare(inputs: Sequence[Input], rows: Iterable[pa.RecordBatch]) -> Skew | None:
    """What was sent (a JSON object) beside the inputs as the features hold them."""
    count, differing = 0, dict.fromkeys((entry.name for entry in inputs), 0)
    for batch in rows:
        sent = inputs_sent(batch)
        count += len(sent)
        for entry in inputs:
            differing[entry.name] += int(_differs(entry, batch.column(entry.name), [row.get(entry.name) for row in sent]).sum())
    return Skew(rows=count, features=differing) if count else None


def _differs(entry: Input, held: pa.Array, sent: Sequence[Value]) -> NDArray[np.bool_]:
    """Where the two differ, bool [n]. Missing on both sides is the same."""
    if entry.kind == "category":
        return np.array([before != now for before, now in zip(held.to_pylist(), sent, strict=True)], dtype=np.bool_)
    table = pc.cast(held, pa.float64()).to_numpy(zero_copy_only=False)
    request = np.array(sent, dtype=np.float64)
    same = np.isclose(table, request, rtol=SAME_WITHIN, atol=SAME_WITHIN, equal_nan=True)
    return ~same
