"""Training-serving skew: what callers sent with a prediction's request against the features that the tables hold for the same key.

Both should come from one definition. Where a caller computes a feature by another one, or from other data, the model is asked about a row
that it never learned, and nothing that is measured on the tables shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import Input, UseCase
from roundtrip.lakehouse.tables import PARTITION_COLUMN, current_version, open_table, read_table
from roundtrip.monitoring.profile import BATCH_ROWS

_object = msgspec.json.Decoder(dict).decode

TABLE = "prediction_log"
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
    if current_version(use_case.name, TABLE) is None:
        return None
    columns = [*use_case.key, *(entry.name for entry in use_case.inputs)]
    features = read_table(
        use_case.name, use_case.features_table, version=features_version, partitions=[partition], columns=columns
    )  # fmt: skip
    month = f"{PARTITION_COLUMN} = '{checked_partition(partition)}'"
    logged = open_table(use_case.name, TABLE).to_pyarrow_dataset(file_pruning_predicate=month)
    asked = logged.to_batches(columns=["key", "inputs"], filter=pc.field(PARTITION_COLUMN) == partition, batch_size=BATCH_ROWS)
    return compare(use_case.inputs, features, use_case.key, asked)


def compare(inputs: Sequence[Input], features: pa.Table, key: Sequence[str], asked: Iterable[pa.RecordBatch]) -> Skew | None:
    """Batches with `key` (the key columns' values, joined by /) and `inputs` (a JSON object) against rows of features."""
    known = pc.binary_join_element_wise(*(pc.cast(features[name], pa.string()) for name in key), "/").combine_chunks()
    rows, differing = 0, dict.fromkeys((entry.name for entry in inputs), 0)
    for batch in asked:
        places = pc.index_in(batch.column("key"), known)
        found = pc.is_valid(places)
        sent = [_object(text) for text in batch.column("inputs").filter(found).to_pylist()]
        held = features.take(places.filter(found))
        rows += len(sent)
        for entry in inputs:
            differing[entry.name] += int(_differs(entry, held[entry.name], [row.get(entry.name) for row in sent]).sum())
    return Skew(rows=rows, features=differing) if rows else None


def _differs(entry: Input, held: pa.ChunkedArray, sent: list[object]) -> NDArray[np.bool_]:
    """Where the two differ, bool [n]. Missing on both sides is the same."""
    if entry.kind == "category":
        return np.array([before != now for before, now in zip(held.to_pylist(), sent, strict=True)], dtype=np.bool_)
    table = pc.cast(held, pa.float64()).to_numpy(zero_copy_only=False)
    request = np.array(sent, dtype=np.float64)
    same = np.isclose(table, request, rtol=SAME_WITHIN, atol=SAME_WITHIN, equal_nan=True)
    return ~same
