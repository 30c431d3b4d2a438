"""How fresh each table is and what waits in its quarantine, from the tables' own logs: no row is read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Literal

from roundtrip.contracts.errors import TableMissing
from roundtrip.contracts.names import months_forward
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.definitions import SQL, TableDefinition, definition_of
from roundtrip.lakehouse.tables import PARTITION_COLUMN, open_table, table_uri

if TYPE_CHECKING:
    from deltalake import DeltaTable

READERS = 8
"""Tables opened at a time."""
REOPENED_S = 300.0
"""Seconds after which a log that was kept open is opened anew: a table that somebody removed and built again begins with version 0."""
QUARANTINE_MONTHS = 12
"""Newest months of which a page shows what waits."""

Freshness = Literal["fresh", "late", "not built"]


@dataclass(frozen=True, kw_only=True)
class TableState:
    """A table as its log has it."""

    table: str
    grain: str
    newest: str | None
    """Its newest month; None before it is built."""
    rows: int
    """Of the newest month."""
    age: timedelta | None
    """Since the newest month ended."""
    limit: timedelta
    """What the contract (schema.yaml) allows that to be."""
    waiting: Mapping[str, int]
    """Month → rows that wait in quarantine, of months in which any do."""

    @property
    def freshness(self) -> Freshness:
        if self.age is None:
            return "not built"
        return "late" if self.age > self.limit else "fresh"


def table_states(use_case: UseCase, *, now: datetime) -> list[TableState]:
    """Every table of the use case, in the order in which they are built.

    `now` counts, and not the newest month of any table, unless the use case replays a past (`UseCase.replayed`).
    """
    definitions = [_definition(use_case.name, table) for table in tables_in_order(use_case)]
    with ThreadPoolExecutor(READERS) as readers:
        rows = list(readers.map(lambda one: _rows_by_month(one.use_case_name, one.name), definitions))
        waiting = list(readers.map(_waiting, definitions))
    as_of = _as_of(use_case, [max(months) for months in rows if months], now)
    return [_state(*found, as_of) for found in zip(definitions, rows, waiting, strict=True)]


def tables_in_order(use_case: UseCase) -> list[str]:
    """The tables that the feeds build, stage by stage, then the predictions."""
    built = [table for feed in use_case.feeds for stage in feed.stages for table in stage]
    return [*built, use_case.predictions_table]


def ended(month: str) -> datetime:
    """The instant at which a month is over, UTC."""
    return datetime.fromisoformat(f"{months_forward(month, 1)[-1]}-01").replace(tzinfo=UTC)


def _definition(use_case_name: str, table: str) -> TableDefinition:
    """As its files are now; parsed anew only after a change: to parse a dozen takes half a second."""
    changed_at = tuple(path.stat().st_mtime_ns for path in sorted((SQL / use_case_name / table).iterdir()))
    return _definition_of(use_case_name, table, changed_at)


@lru_cache(maxsize=1000)
def _definition_of(use_case_name: str, table: str, changed_at: tuple[int, ...]) -> TableDefinition:
    return definition_of(use_case_name, table)


def _as_of(use_case: UseCase, newest: Sequence[str], now: datetime) -> datetime:
    return max(map(ended, newest), default=now) if use_case.replayed else now


def _state(definition: TableDefinition, rows: Mapping[str, int], waiting: Mapping[str, int], as_of: datetime) -> TableState:
    newest = max(rows, default=None)
    return TableState(
        table=definition.name,
        grain=definition.grain,
        newest=newest,
        rows=rows[newest] if newest else 0,
        age=as_of - ended(newest) if newest else None,
        limit=definition.freshness,
        waiting={month: waiting[month] for month in sorted(waiting)[-QUARANTINE_MONTHS:]},
    )


def _rows_by_month(use_case_name: str, table: str) -> dict[str, int]:
    return _log(table_uri(use_case_name, table), use_case_name, table).summed("num_records")


def _waiting(definition: TableDefinition) -> dict[str, int]:
    """Rows whose `replayed_in` is NULL (lakehouse/quarantine.py), as the files' statistics count them."""
    if definition.written_by:
        return {}
    name, table = definition.use_case_name, definition.quarantine
    found = _log(table_uri(name, table), name, table).summed("null_count.replayed_in")
    return {month: rows for month, rows in found.items() if rows}


@cache
def _log(uri: str, use_case_name: str, table: str) -> _Log:
    return _Log(use_case_name, table)


class _Log:
    """A table's log, kept open: to read on where it stood takes 3 ms, to open it anew 45 (SeaweedFS beside it, a busy machine)."""

    def __init__(self, use_case_name: str, table: str) -> None:
        self._name = use_case_name, table
        self._table: DeltaTable | None = None
        self._opened_at = 0.0
        self._lock = Lock()

    def summed(self, statistic: str) -> dict[str, int]:
        """Month → sum of a statistic over the table's files; empty for a table that was never built, or files without that statistic."""
        with self._lock:
            try:
                files = self._as_it_is().get_add_actions(flatten=True)
            except TableMissing:
                return {}
        if statistic not in files.schema.names:
            return {}
        months = files.column(f"partition.{PARTITION_COLUMN}").to_pylist()
        counts: dict[str, int] = {}
        for month, count in zip(months, files.column(statistic).to_pylist(), strict=True):
            counts[month] = counts.get(month, 0) + (count or 0)
        return counts

    def _as_it_is(self) -> DeltaTable:
        if self._table is None or time.monotonic() - self._opened_at > REOPENED_S:
            self._table, self._opened_at = None, time.monotonic()
            self._table = open_table(*self._name)
        else:
            self._table.update_incremental()
        return self._table
