"""The quarantine as people see it: which rows wait there, and which months a mended contract may let pass.

A replay is an ingest of those months without a new file: the tables whose contract changed are built from their input again, and rows that
pass now move from the quarantine to the table (build.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from roundtrip.contracts.errors import NothingToReplay, TableMissing
from roundtrip.contracts.use_cases import Feed, UseCase
from roundtrip.lakehouse.definitions import SQL, TableDefinition, definition_of
from roundtrip.lakehouse.publish import last_commits
from roundtrip.lakehouse.tables import PARTITION_COLUMN, read_table


@dataclass(frozen=True, kw_only=True)
class QuarantinedPartition:
    """What the quarantine holds of one table and month."""

    table: str
    partition: str
    waiting: int
    """Rows that break the contract."""
    replayed: int
    """Rows that broke an earlier contract and have passed since."""
    first_reason: str
    """Of the waiting row that comes first in its file; empty when none waits."""
    mended: bool
    """Whether the table's definition, or the code that builds it, changed since the rows were judged."""


def quarantined(use_case: UseCase, feed: Feed, *, root: Path = SQL) -> list[QuarantinedPartition]:
    """Every month of the feed's tables that has rows in quarantine, in the order of the stages."""
    definitions = [definition_of(use_case.name, table, root=root) for stage in feed.stages for table in stage]
    return [found for definition in definitions for found in _months_of(definition)]


def rows_in_quarantine(definition: TableDefinition, partitions: Collection[str] | None = None) -> pa.Table:
    """The quarantine table's rows (its columns: quarantine.py), ordered by month and line; none when nothing was ever quarantined."""
    try:
        rows = read_table(
            definition.use_case_name, definition.quarantine, partitions=None if partitions is None else list(partitions)
        )  # fmt: skip
    except TableMissing:
        return pa.table({name: pa.array([], pa.string()) for name in (PARTITION_COLUMN, "line", "reason", "replayed_in")})
    return rows.sort_by([(PARTITION_COLUMN, "ascending"), ("line", "ascending")])


def months_to_replay(use_case: UseCase, feed: Feed, *, partitions: Collection[str] | None = None, root: Path = SQL) -> list[str]:
    """Months (of `partitions`, if given) in which rows wait that were judged by another definition than the present one; sorted.

    Raises NothingToReplay when there is none.
    """
    held = [
        found for found in quarantined(use_case, feed, root=root) if found.waiting and (not partitions or found.partition in partitions)
    ]
    mended = sorted({found.partition for found in held if found.mended})
    if not mended:
        waiting = sum(found.waiting for found in held)
        raise NothingToReplay(
            f"{use_case.name}.{feed.name}: {waiting:,} rows wait in quarantine, each judged by the contract as it is now: "
            f"mend schema.yaml in sql/{use_case.name}/ (`roundtrip quarantine list` names table and reason), then replay."
        )
    return mended


def _months_of(definition: TableDefinition) -> Iterator[QuarantinedPartition]:
    rows = rows_in_quarantine(definition)
    months = sorted(pc.unique(rows[PARTITION_COLUMN]).to_pylist())
    commits = last_commits(definition.use_case_name, definition.quarantine, months) if months else {}
    for month in months:
        of_month = rows.filter(pc.equal(rows[PARTITION_COLUMN], month))
        waits = of_month.filter(pc.is_null(of_month["replayed_in"]))
        yield QuarantinedPartition(
            table=definition.name,
            partition=month,
            waiting=waits.num_rows,
            replayed=of_month.num_rows - waits.num_rows,
            first_reason=waits["reason"][0].as_py() if waits.num_rows else "",
            mended=month not in commits or commits[month][1].provenance.definition != definition.digest,
        )
