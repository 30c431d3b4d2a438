"""Batch scoring: the live version's predictions for a partition, as rows of the predictions table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from roundtrip.contracts.errors import NoChampion, SnapshotUnusable
from roundtrip.contracts.receipts import TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.tables import open_table, read_table, table_uri
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.real_rows import input_columns
from roundtrip.serving.release import read_release
from roundtrip.serving.scoring import Scorer

MODEL_VERSION = "model_version"
THREADS = 2
"""Cores for one call: a partition of 28,000 rows takes under a second."""


@dataclass(frozen=True)
class ScoredPartition:
    """Rows of the predictions table, and what they were made from."""

    rows: pa.Table
    version: str
    features: TableVersion


def score_partition(use_case: UseCase, partition: str) -> ScoredPartition:
    """Predict every row of the partition's features with the live version.

    Raises NoChampion when no version is live, SnapshotUnusable when the features hold no row of the partition, DigestMismatch.
    """
    live = read_release(use_case.name).live
    if live is None:
        raise NoChampion(f"{use_case.name} has no live version to score {partition} with: run its train_and_release first.")
    table = use_case.features_table
    pinned = open_table(use_case.name, table).version()
    features = read_table(use_case.name, table, version=pinned, partitions=[partition])
    if features.num_rows == 0:
        raise SnapshotUnusable(f"{use_case.name}.{table} holds no row of {partition}: run ingest for it first.")
    scorer = Scorer(fetch(use_case.name, live.version, digest=live.digest), threads=THREADS)
    return ScoredPartition(
        rows=predicted_rows(use_case, features, scorer, version=live.version),
        version=live.version,
        features=TableVersion(table, table_uri(use_case.name, table), pinned, features.num_rows),
    )


def predicted_rows(use_case: UseCase, features: pa.Table, scorer: Scorer, *, version: str) -> pa.Table:
    """features [n rows] → key columns, outputs (double) and model_version, in the features' order."""
    predictions = scorer.predict(input_columns(features, scorer.contract)).astype(np.float64)
    columns = {name: features.column(name) for name in use_case.key}
    columns |= {output.name: pa.array(predictions[:, place]) for place, output in enumerate(scorer.contract.outputs)}
    return pa.table(columns | {MODEL_VERSION: pa.array([version] * features.num_rows)})
