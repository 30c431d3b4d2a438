"""A partition as drift is measured on it: features, what was predicted, and the outcome where it has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.errors import NothingPredicted, SnapshotUnusable
from roundtrip.contracts.receipts import TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.tables import current_version, read_table, table_uri
from roundtrip.serving.score_partition import MODEL_VERSION

OUTCOME = "outcome"
"""The label as it arrived; a prediction has the same name as the label."""
MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows that were predicted: inputs, outputs, `outcome` (NULL where it has not arrived), prediction time."""

    table: pa.Table
    model_version: str
    read: tuple[TableVersion, ...]


def scored_rows(use_case: UseCase, partition: str) -> ScoredRows:
    """The partition's rows. Raises SnapshotUnusable when nothing predicted it, or more than one model version did.

    NothingPredicted where outcomes come late: then a partition's outcomes start a look at it, those of months before the first model too.
    """
    key = list(use_case.key)
    wanted = {
        use_case.predictions_table: [*key, MODEL_VERSION, *(output.name for output in use_case.outputs)],
        use_case.features_table: [*key, use_case.prediction_time, *(entry.name for entry in use_case.inputs)],
        use_case.outcomes_table: [*key, use_case.label],
    }
    pinned = {table: _pinned(use_case, table, partition) for table in wanted}
    predictions, features, outcomes = (
        read_table(use_case.name, table, version=pinned[table], partitions=[partition], columns=columns)
        for table, columns in wanted.items()
    )
    if not predictions.num_rows:
        raise _nothing_predicted(use_case, partition)
    outcomes = outcomes.rename_columns([*key, OUTCOME])
    joined = predictions.join(features, keys=key, join_type="inner").join(outcomes, keys=key, join_type="left outer")
    read = tuple(
        TableVersion(table, table_uri(use_case.name, table), pinned[table], rows.num_rows)
        for table, rows in zip(wanted, (predictions, features, outcomes), strict=True)
    )
    return ScoredRows(table=joined, model_version=_one_version(joined, partition), read=read)


def with_outcome(rows: pa.Table) -> pa.Table:
    """Rows whose outcome has arrived."""
    return rows.filter(pc.is_valid(rows.column(OUTCOME)))


def matrix(table: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns of numbers as float64 [n, len(names)], NaN where missing."""
    columns = [pc.cast(table.column(name), pa.float64()).to_numpy(zero_copy_only=False) for name in names]
    return np.column_stack(columns)


def days(table: pa.Table, prediction_time: str) -> NDArray[np.int64]:
    """Day number of each row's prediction time (UTC), int64 [n]."""
    instants = pc.cast(pc.cast(table.column(prediction_time), pa.timestamp("us", tz="UTC")), pa.int64())
    return instants.to_numpy(zero_copy_only=False) // MICROSECONDS_A_DAY


def _pinned(use_case: UseCase, table: str, partition: str) -> int:
    version = current_version(use_case.name, table)
    if version is None and table == use_case.predictions_table:
        raise _nothing_predicted(use_case, partition)
    if version is None:
        raise SnapshotUnusable(f"{use_case.name} has no table {table} yet: run ingest for a partition first.")
    return version


def _nothing_predicted(use_case: UseCase, partition: str) -> NothingPredicted | SnapshotUnusable:
    if use_case.outcomes_come_late:
        return NothingPredicted(f"no version predicted {partition} of {use_case.name}: its outcomes came before a model was live.")
    return SnapshotUnusable(f"no version predicted {partition} of {use_case.name}: run score_batch for it first.")


def _one_version(rows: pa.Table, partition: str) -> str:
    versions = sorted(str(version) for version in pc.unique(rows.column(MODEL_VERSION)).to_pylist())
    if len(versions) != 1:
        found = ", ".join(versions) or "none"
        raise SnapshotUnusable(
            f"{partition} was predicted by {len(versions)} model versions ({found}), not by one: run score_batch for it."
        )
    return versions[0]
