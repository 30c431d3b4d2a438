"""Restatement: which months a corrected month makes stale, and which models were trained on what it replaced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from roundtrip.contracts import storage
from roundtrip.contracts.names import months_apart, months_forward
from roundtrip.contracts.receipts import SNAPSHOT_FILE
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import Feed, UseCase
from roundtrip.lakehouse.definitions import SQL, definition_of
from roundtrip.lakehouse.landing import land_again
from roundtrip.lakehouse.publish import last_commits
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import partitions_of


def dependents(use_case: UseCase, feed: Feed, partitions: Collection[str], *, root: Path = SQL) -> list[str]:
    """Months that are built and look back into one of `partitions`, which are left out themselves; sorted.

    A month is here when its tables may read the others, not only when they do: building it again from the same is no work.
    """
    definitions = [[definition_of(use_case.name, table, root=root) for table in stage] for stage in feed.stages]
    reach = sum(max((back for definition in stage for back in definition.reads.values()), default=0) for stage in definitions)
    built = {month for table in feed.stages[-1] for month in partitions_of(use_case.name, table)}
    behind = {month for month in built for origin in partitions if 0 < months_apart(origin, month) <= reach}
    return sorted(behind - set(partitions))


def ask_other_feeds(use_case: UseCase, table: str, partition: str, *, root: Path = SQL) -> list[str]:
    """Have what other feeds make of the table's partition built again, and gives it: `outcomes 2013-04`.

    Their months that look into it and have landed get their marker again, so that their own ingest builds them, and all that follows. So a
    month of theirs that failed because this one was not there yet is made up for too. Once more is the same as once.
    """
    asked = []
    for feed in use_case.feeds:
        stages = [[definition_of(use_case.name, name, root=root) for name in stage] for stage in feed.stages]
        if any(definition.name == table for stage in stages for definition in stage):
            continue
        reach = [definition.reads[table] for stage in stages for definition in stage if table in definition.reads]
        if reach:
            asked += [f"{feed.name} {month}" for month in land_again(use_case.name, feed, months_forward(partition, max(reach)))]
    return asked


def superseded(use_case: UseCase, partition: str) -> dict[str, str]:
    """Model version → what changed, for each that was trained on a content of the partition that is no longer the present one."""
    snapshots = {version: pinned for version, pinned in snapshots_in_store(use_case.name).items() if partition in pinned.partitions}
    tables = (use_case.features_table, use_case.outcomes_table) if snapshots else ()
    commits = {table: last_commits(use_case.name, table, [partition]).get(partition) for table in tables}
    now = {table: commit[0] for table, commit in commits.items() if commit is not None}
    found = {version: _changes(use_case, snapshot, now) for version, snapshot in snapshots.items()}
    return {version: changes for version, changes in found.items() if changes}


def _changes(use_case: UseCase, snapshot: Snapshot, now: Mapping[str, int]) -> str:
    """`features 3 → 9` for each pinned table whose partition was replaced since; empty when none was."""
    pinned = {table.table: table.version for table in snapshot.tables(use_case)}
    return ", ".join(f"{table} {pinned[table]} → {version}" for table, version in now.items() if version > pinned[table])


def snapshots_in_store(use_case_name: str) -> dict[str, Snapshot]:
    """Model version → what it was trained on, for every version folder in the store."""
    folder = storage.join(settings().storage_root, "models", use_case_name) + "/"
    places = [entry.uri[len(folder) :].split("/") for entry in storage.list_objects(folder)]
    versions = sorted(place[0] for place in places if place[1:] == [SNAPSHOT_FILE])
    return {version: Snapshot.from_json(storage.read_bytes(storage.join(folder, version, SNAPSHOT_FILE))) for version in versions}
