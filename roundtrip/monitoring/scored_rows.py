"""A partition as drift is measured on it: features, what was predicted, and the outcome where it has arrived. Batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from numpy.typing import NDArray

from roundtrip.contracts.columns import day_numbers
from roundtrip.contracts.errors import NothingPredicted, SnapshotUnusable, TableMissing
from roundtrip.contracts.receipts import TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.joined import Side, joined_rows, read_query
from roundtrip.lakehouse.tables import PARTITION_COLUMN, identifier, literal, open_table, rows_in, table_uri
from roundtrip.monitoring.profile import Batches
from roundtrip.serving.score_partition import MODEL_VERSION

OUTCOME = "outcome"
"""The label as it arrived; a prediction has the same name as the label."""


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows that were predicted."""

    batches: Batches
    """Inputs, outputs, `outcome` (NULL where it has not arrived), prediction time; read and joined anew at each call."""
    model_version: str
    read: tuple[TableVersion, ...]


def scored_rows(use_case: UseCase, partition: str) -> ScoredRows:
    """The partition's rows. Raises SnapshotUnusable when nothing predicted it, or more than one model version did.

    NothingPredicted where outcomes come late: then a partition's outcomes start a look at it, those of months before the first model too.
    """
    names = use_case.predictions_table, use_case.features_table, use_case.outcomes_table
    predictions, features, outcomes = (_opened(use_case, table, partition) for table in names)
    asked = map(identifier, (use_case.prediction_time, *(entry.name for entry in use_case.inputs)))
    sides = [
        _side(use_case, partition, predictions, *(identifier(output.name) for output in use_case.outputs)),
        _side(use_case, partition, features, *asked),
        _side(use_case, partition, outcomes, f"{identifier(use_case.label)} AS {OUTCOME}", join="left outer"),
    ]
    if not sides[0].rows:
        raise _nothing_predicted(use_case, partition)
    read = [
        TableVersion(name, table_uri(use_case.name, name), side.table.version(), side.rows) for name, side in zip(names, sides, strict=True)
    ]
    version = _one_version(predictions, partition)
    return ScoredRows(batches=lambda: joined_rows(use_case.key, sides), model_version=version, read=tuple(read))


def with_outcome(rows: pa.Table) -> pa.Table:
    """Rows whose outcome has arrived."""
    return rows.filter(pc.is_valid(rows.column(OUTCOME)))


def matrix(table: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns of numbers as float64 [n, len(names)], NaN where missing."""
    columns = [pc.cast(table.column(name), pa.float64()).to_numpy(zero_copy_only=False) for name in names]
    return np.column_stack(columns)


def days(table: pa.Table, prediction_time: str) -> NDArray[np.int64]:
    """Day number of each row's prediction time (UTC), int64 [n]."""
    return day_numbers(table.column(prediction_time))


def _side(
    use_case: UseCase, partition: str, table: DeltaTable, *columns: str, join: Literal["inner", "left outer"] = "inner"
) -> Side:  # fmt: skip
    query = f"SELECT {', '.join((*map(identifier, use_case.key), *columns))} FROM side WHERE {PARTITION_COLUMN} = {literal(partition)}"
    return Side(table=table, query=query, rows=rows_in(table, [partition]), join=join)


def _opened(use_case: UseCase, table: str, partition: str) -> DeltaTable:
    try:
        return open_table(use_case.name, table)
    except TableMissing:
        if table == use_case.predictions_table:
            raise _nothing_predicted(use_case, partition) from None
        raise SnapshotUnusable(f"{use_case.name} has no table {table} yet: run ingest for a partition first.") from None


def _nothing_predicted(use_case: UseCase, partition: str) -> NothingPredicted | SnapshotUnusable:
    if use_case.outcomes_come_late:
        return NothingPredicted(f"no version predicted {partition} of {use_case.name}: its outcomes came before a model was live.")
    return SnapshotUnusable(f"no version predicted {partition} of {use_case.name}: run score_batch for it first.")


def _one_version(predictions: DeltaTable, partition: str) -> str:
    distinct = f"SELECT DISTINCT {identifier(MODEL_VERSION)} FROM side WHERE {PARTITION_COLUMN} = {literal(partition)}"
    versions = sorted(str(version) for version in read_query(predictions, distinct).read_all()[MODEL_VERSION].to_pylist())
    if len(versions) != 1:
        raise SnapshotUnusable(
            f"{partition} was predicted by {len(versions)} model versions ({', '.join(versions)}), not by one: run score_batch for it."
        )
    return versions[0]
