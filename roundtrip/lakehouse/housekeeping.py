"""Housekeeping: small files compacted, files that no kept version needs removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.receipts import SNAPSHOT_FILE, TableVersion
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.definitions import tables_of
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import current_version, open_table, spark_uri, table_uri

SHORTEST_RETENTION_H = 168
"""Hours for which every version stays readable. Delta refuses less: a reader or writer that is at work may still need the files."""


@dataclass(frozen=True)
class KeptTable:
    """A table after housekeeping, and for how many hours back its versions stay readable."""

    version: TableVersion
    retention_h: int


def keep_house(spark: SparkSession, use_case: UseCase) -> list[KeptTable]:
    """Optimize and vacuum every table of the use case that has been built.

    A version that the snapshot of any model version in the store cites stays readable.
    """
    cited = _cited_versions(use_case)
    kept = []
    for table in tables_of(use_case.name):
        if current_version(use_case.name, table) is None:
            continue
        uri = table_uri(use_case.name, table)
        retention = _retention_h(use_case.name, table, cited.get(table, set()))
        spark.sql(f"OPTIMIZE delta.`{spark_uri(uri)}`").collect()
        spark.sql(f"VACUUM delta.`{spark_uri(uri)}` RETAIN {retention} HOURS").collect()
        kept.append(KeptTable(TableVersion(table, uri, open_table(use_case.name, table).version(), 0), retention))
    return kept


def _cited_versions(use_case: UseCase) -> dict[str, set[int]]:
    """Table → versions that a model version's snapshot.json names."""
    cited: dict[str, set[int]] = {use_case.features_table: set(), use_case.outcomes_table: set()}
    for entry in storage.list_objects(storage.join(settings().storage_root, "models", use_case.name) + "/"):
        if entry.uri.endswith(f"/{SNAPSHOT_FILE}"):
            snapshot = Snapshot.from_json(storage.read_bytes(entry.uri))
            cited[use_case.features_table].add(snapshot.features_version)
            cited[use_case.outcomes_table].add(snapshot.outcomes_version)
    return cited


def _retention_h(use_case_name: str, table: str, cited: set[int]) -> int:
    """Hours back to the commit after which the oldest cited version's files began to be replaced, one hour added."""
    if not cited:
        return SHORTEST_RETENTION_H
    commits = open_table(use_case_name, table).history()
    oldest = min(int(entry["timestamp"]) for entry in commits if int(entry["version"]) >= min(cited))
    age = datetime.now(UTC) - datetime.fromtimestamp(oldest / 1000, UTC)
    return max(SHORTEST_RETENTION_H, int(age.total_seconds() // 3600) + 1)
