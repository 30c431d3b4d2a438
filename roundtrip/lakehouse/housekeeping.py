"""Housekeeping: small files compacted, and files removed that neither a recent version nor a cited one needs; old run folders removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from urllib.parse import unquote

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.errors import TableMissing
from roundtrip.contracts.receipts import RunFolder, TableVersion
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.definitions import tables_of
from roundtrip.lakehouse.dependents import snapshots_in_store
from roundtrip.lakehouse.tables import PARTITION_COLUMN, open_table, spark_uri, table_uri

RETENTION_H = 168
"""Hours for which every version stays readable: a reader or writer that is at work may still need its files."""
RUNS_KEPT_DAYS = 400
"""Days for which a run folder stays after the last job wrote to it: a year's checks and reports can be opened, and a month more."""
_SMALL_BYTES = 1 << 30
"""Delta's OPTIMIZE puts files below 1 GiB together."""


@dataclass(frozen=True)
class KeptTable:
    """A table after housekeeping."""

    version: TableVersion
    compacted: bool
    removed_files: int
    cited: tuple[int, ...]
    """Versions that stay readable whatever their age."""


def keep_house(spark: SparkSession, use_case: UseCase, *, registered: Mapping[str, Collection[int]]) -> list[KeptTable]:
    """Compact every table of the use case that has been built, and remove the files that no version to be kept needs.

    Kept are the versions of the last RETENTION_H hours, those that the snapshot of a model version in the store cites, and
    `registered`: table → versions that the registry's models were trained on.
    """
    cited = _cited_versions(use_case, registered)
    kept = []
    for table in tables_of(use_case.name):
        try:
            opened = open_table(use_case.name, table)
        except TableMissing:
            continue
        kept.append(_keep_table(spark, use_case.name, table, opened, cited.get(table, set())))
    return kept


def remove_old_runs(use_case_name: str, *, now: datetime) -> list[str]:
    """Remove the run folders that nothing was written to for RUNS_KEPT_DAYS; gives their addresses.

    One whose run registered a model version stays: the registry's version names the model in it as its source.
    """
    root = storage.join(settings().storage_root, "runs")
    removed = []
    for run, objects in groupby(storage.list_objects(f"{root}/{use_case_name}."), key=lambda entry: _run_of(entry.uri, root)):
        found = list(objects)
        last = max(entry.changed_at for entry in found)
        registered = RunFolder(run).receipt_uri("register_model") in {entry.uri for entry in found}
        if now - last > timedelta(days=RUNS_KEPT_DAYS) and not registered:
            for entry in found:
                storage.delete(entry.uri)
            removed.append(run)
    return removed


def _run_of(uri: str, root: str) -> str:
    """The address of the run folder that the object lies in."""
    dag_id, run = uri.removeprefix(f"{root}/").split("/")[:2]
    return storage.join(root, dag_id, run)


def _cited_versions(use_case: UseCase, registered: Mapping[str, Collection[int]]) -> dict[str, set[int]]:
    cited = {table: set(versions) for table, versions in registered.items()}
    for snapshot in snapshots_in_store(use_case.name).values():
        for table in snapshot.tables(use_case):
            cited.setdefault(table.table, set()).add(table.version)
    return cited


def _keep_table(spark: SparkSession, use_case_name: str, table: str, opened: DeltaTable, cited: Collection[int]) -> KeptTable:
    uri, compacted = table_uri(use_case_name, table), _can_be_compacted(opened)
    if compacted:
        spark.sql(f"OPTIMIZE delta.`{spark_uri(uri)}`").collect()
        opened = open_table(use_case_name, table)
    # not Delta's VACUUM: it forgets after a week which files an older version needs, unless it keeps all that came after
    there = sorted(version for version in cited if version <= opened.version())
    unneeded = opened.vacuum(RETENTION_H, dry_run=True, enforce_retention_duration=False, full=True, keep_versions=there)
    for path in unneeded:
        storage.delete(storage.join(uri, unquote(path)))
    return KeptTable(TableVersion(table, uri, opened.version(), opened.count()), compacted, len(unneeded), tuple(there))


def _can_be_compacted(opened: DeltaTable) -> bool:
    """Whether a partition has several small files: starting OPTIMIZE costs seconds even where it finds nothing to do."""
    files = opened.get_add_actions(flatten=True)
    months, sizes = files.column(f"partition.{PARTITION_COLUMN}").to_pylist(), files.column("size_bytes").to_pylist()
    small = Counter(month for month, size in zip(months, sizes, strict=True) if size < _SMALL_BYTES)
    return any(count > 1 for count in small.values())
