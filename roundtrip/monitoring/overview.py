"""What a person sees of a use case: one frozen object a page, and nothing in it that a template would have to look up.

A part whose service is away is left out, and `unknown` says so in a sentence: the page is there when it is needed most.

What grows: decisions, tables' months and releases, by tens a year. A page reads the newest twelve months (one listing, two small objects
each), the log of each table and its quarantine, and two queries of PostgreSQL; no run folder is listed and no row of a table is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from deltalake.exceptions import DeltaError
from msgspec import MsgspecError

from roundtrip.contracts.errors import RoundtripError
from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.months import Month, newest_months
from roundtrip.monitoring.table_states import TableState, table_states
from roundtrip.serving.release import HistoryEntry, Release, history, read_release

MONTHS = 12
"""Newest months that a page shows: the year."""
USE_CASES_AT_A_TIME = 4
"""Read whole, each by up to twenty readers."""
PATIENCE_S = 8.0
"""Seconds after which a page does without what has not been read by then."""
_UNREADABLE = (RoundtripError, BotoCoreError, ClientError, DeltaError, MsgspecError, OSError)
"""A service that is away or slow (TimeoutError is an OSError), a document that can't be read."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class LiveChange:
    """A change of what serves."""

    entry: HistoryEntry
    live: str | None
    """The version that serves from then on; None: none does."""
    rolled_back: bool
    """Whether it went back to the version before."""


@dataclass(frozen=True, kw_only=True)
class UseCaseOverview:
    """The page of a use case."""

    use_case: UseCase
    release: Release | None
    """None where PostgreSQL did not answer."""
    changes: tuple[HistoryEntry, ...]
    """Every change of the release document, oldest first."""
    months: tuple[Month, ...]
    tables: tuple[TableState, ...]
    unknown: tuple[str, ...]
    """What could not be read, a sentence each."""

    @property
    def newest(self) -> Month | None:
        return self.months[-1] if self.months else None

    @property
    def late(self) -> tuple[TableState, ...]:
        return tuple(table for table in self.tables if table.freshness == "late")

    @property
    def waiting(self) -> int:
        """Rows in quarantine."""
        return sum(sum(table.waiting.values()) for table in self.tables)

    @property
    def live_changes(self) -> tuple[LiveChange, ...]:
        """The changes of what serves, oldest first."""
        return tuple(live_changes(self.changes))


@dataclass(frozen=True, kw_only=True)
class UseCaseSummary:
    """A use case's line on the index."""

    use_case: UseCase
    release: Release | None
    newest: Month | None
    """The newest month measured."""
    unknown: tuple[str, ...]


def overview_of(use_case: UseCase, *, now: datetime) -> UseCaseOverview:
    """The page of a use case as it is now."""
    readers = _Readers()
    release = readers.read("Which version is live", lambda: read_release(use_case.name))
    changes = readers.read("Earlier releases", lambda: history(use_case.name))
    months = readers.read("The months measured", lambda: newest_months(use_case.name, MONTHS))
    tables = readers.read("The tables", lambda: table_states(use_case, now=now))
    return UseCaseOverview(
        use_case=use_case,
        release=release(),
        changes=tuple(changes() or ()),
        months=tuple(months() or ()),
        tables=tuple(tables() or ()),
        unknown=tuple(readers.unknown),
    )


def overviews_of(use_cases: Sequence[UseCase], *, now: datetime) -> list[UseCaseOverview]:
    """The pages of several use cases, read a few at a time."""
    with ThreadPoolExecutor(max_workers=USE_CASES_AT_A_TIME) as threads:
        return list(threads.map(lambda use_case: overview_of(use_case, now=now), use_cases))


def summaries_of(use_cases: Sequence[UseCase]) -> list[UseCaseSummary]:
    """The index: every use case's line, read at the same time."""
    with ThreadPoolExecutor(max_workers=max(1, len(use_cases))) as threads:
        return list(threads.map(_summary, use_cases))


def live_changes(changes: Iterable[HistoryEntry]) -> list[LiveChange]:
    """Of all changes of a release document, oldest first, those of what serves: promotions, and rollbacks of what was live."""
    found: list[LiveChange] = []
    live = before = None
    for entry in changes:
        if entry.stage == "live" and entry.version != live:
            live, before = entry.version, live
            found.append(LiveChange(entry, live, rolled_back=False))
        elif entry.stage == "rolled back" and entry.version == live:
            live, before = before, None
            found.append(LiveChange(entry, live, rolled_back=True))
    return found


def _summary(use_case: UseCase) -> UseCaseSummary:
    readers = _Readers()
    release = readers.read("Which version is live", lambda: read_release(use_case.name))
    months = readers.read("The newest month", lambda: newest_months(use_case.name, 1))
    newest = months()
    return UseCaseSummary(
        use_case=use_case, release=release(), newest=newest[-1] if newest else None, unknown=tuple(readers.unknown)
    )  # fmt: skip


class _Readers:
    """Reads parts of a page at the same time; one that its service keeps waiting, or refuses, becomes None and a sentence in `unknown`."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._deadline = time.monotonic() + PATIENCE_S

    def read(self, what: str, part: Callable[[], Part]) -> Callable[[], Part | None]:
        """Begin to read; the answer waits for it."""
        thread = ThreadPoolExecutor(max_workers=1)
        future = thread.submit(part)
        thread.shutdown(wait=False)

        def answer() -> Part | None:
            try:
                return future.result(max(0.0, self._deadline - time.monotonic()))
            except _UNREADABLE as error:
                told = str(error) or f"no answer within {PATIENCE_S:g} s"
                self.unknown.append(f"{what}: not known just now. {told}")
                return None

        return answer
