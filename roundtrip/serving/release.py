"""The release document: which version of a use case serves. One row a use case in PostgreSQL, changed only by compare-and-swap.

A candidate is *staged* (loaded, no traffic), then in the *shadow* (it gets copies, callers get nothing of it), then *canary* (it answers a
share of the requests), then *live*; or it is *rolled back*, or *paused*: too little was seen of it, and it waits without traffic. Every
change raises the generation by one and leaves a line of history: who, when, why, and the digest of the version it was about.

A candidate gets traffic only while a job watches it (`watch`): the document says until when, and a job that was killed no longer renews it.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Literal, Self

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from roundtrip.contracts.errors import ReleaseConflict, ServiceUnavailable
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.settings import settings
from roundtrip.serving.traffic import Counts

CONNECT_TIMEOUT_S = 5

WATCH_S = 10
"""Seconds for which a look at a candidate's traffic counts as watching it."""

_ROW = "use_case, generation, document, coalesce(watched_until > now(), false)"
READ_ALL = f"SELECT {_ROW} FROM release ORDER BY use_case"
TELL_TRAFFIC = """
INSERT INTO release_traffic (use_case, generation, gateway, candidate, live) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (use_case, generation, gateway) DO UPDATE SET candidate = EXCLUDED.candidate, live = EXCLUDED.live, at = now()
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS release (
    use_case text PRIMARY KEY, generation bigint NOT NULL, document jsonb NOT NULL, changed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS release_history (
    use_case text NOT NULL, generation bigint NOT NULL, stage text NOT NULL, version text NOT NULL, digest text NOT NULL,
    who text NOT NULL, why text NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (use_case, generation));
ALTER TABLE release ADD COLUMN IF NOT EXISTS watched_until timestamptz;
CREATE TABLE IF NOT EXISTS release_traffic (
    use_case text NOT NULL, generation bigint NOT NULL, gateway text NOT NULL, candidate jsonb NOT NULL, live jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (use_case, generation, gateway));
"""
_SCHEMA_LOCK = 7_251_603
"""Key of the advisory lock that lets one process at a time create the schema: CREATE … IF NOT EXISTS is not safe against itself."""


KEPT_GENERATIONS = 50
"""Generations whose counts of traffic are kept; what a release found is in its receipts."""
_VERSIONS = ("live", "previous", "candidate")
Stage = Literal["staged", "shadow", "canary", "paused"]
"""Of a candidate: what it gets of the traffic."""


@dataclass(frozen=True, kw_only=True)
class ReleasedVersion:
    """A model version as the gateway finds it: the registry's number, the digest of its folder, Triton's name of its model."""

    version: str
    digest: str
    triton_model: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """The release document of one use case at one generation (0: nothing was ever staged)."""

    use_case: str
    generation: int = 0
    live: ReleasedVersion | None = None
    previous: ReleasedVersion | None = None
    """What was live before: stays loaded, so a roll back moves traffic at once."""
    candidate: ReleasedVersion | None = None
    """Not live yet."""
    stage: Stage = "staged"
    """Of the candidate; `staged` where there is none."""
    share: int = 0
    """Percent of the requests that the candidate answers: more than 0 in the canary only."""
    watched: bool = False
    """Whether a job watches the candidate's traffic just now; not part of the document."""

    def to_document(self) -> dict[str, Figure]:
        """The JSON document: all but the row's own columns."""
        values = asdict(self)
        return {name: values[name] for name in (*_VERSIONS, "stage", "share")}

    @classmethod
    def from_row(cls, use_case: str, generation: int, document: Mapping[str, Any], watched: bool = False) -> Self:
        """From a row of the table. Members that this code does not know are passed over: a later release may have written them."""
        versions = {name: ReleasedVersion(**document[name]) if document.get(name) else None for name in _VERSIONS}
        stage, share = document.get("stage", "staged"), document.get("share", 0)
        return cls(use_case=use_case, generation=generation, stage=stage, share=share, watched=watched, **versions)

    @property
    def candidate_among_traffic(self) -> ReleasedVersion | None:
        """The candidate, where it is in the shadow or the canary of a live version."""
        return self.candidate if self.live is not None and self.stage in ("shadow", "canary") else None

    @property
    def candidate_to_show(self) -> ReleasedVersion | None:
        """The same, where a gateway may show it requests just now: somebody watches."""
        return self.candidate_among_traffic if self.watched else None

    def staged(self, candidate: ReleasedVersion) -> Release:
        """The document with `candidate` staged."""
        return replace(self, candidate=candidate, stage="staged", share=0)

    def at(self, stage: Stage, *, share: int = 0) -> Release:
        """The document with its candidate at that stage, answering `share` percent."""
        return replace(self, stage=stage, share=share)

    def promoted(self) -> Release:
        """The document with the candidate live and the live version as the one to roll back to."""
        return replace(self, live=self.candidate, previous=self.live, candidate=None, stage="staged", share=0)

    def without(self, version: str) -> Release:
        """The document with `version` rolled back: no candidate, or, if it was live already, the previous version live again."""
        if self.live is not None and self.live.version == version:
            return replace(self, live=self.previous, previous=None)
        if self.candidate is not None and self.candidate.version == version:
            return replace(self, candidate=None, stage="staged", share=0)
        return self

    @property
    def kept(self) -> tuple[ReleasedVersion, ...]:
        """Versions that must stay loaded."""
        return tuple(entry for entry in (self.live, self.previous, self.candidate) if entry is not None)


@dataclass(frozen=True)
class HistoryEntry:
    """One change of a release document."""

    generation: int
    stage: str
    version: str
    digest: str
    who: str
    why: str
    at: datetime


def read_release(use_case_name: str) -> Release:
    """The document of a use case; generation 0 when nothing was ever staged."""
    with _connection() as connection:
        row = connection.execute(f"SELECT {_ROW} FROM release WHERE use_case = %s", [use_case_name]).fetchone()
    return Release.from_row(*row) if row else Release(use_case=use_case_name)


def live_version(use_case_name: str) -> str | None:
    """The version that serves, None when there is none."""
    live = read_release(use_case_name).live
    return live.version if live else None


def history(use_case_name: str) -> list[HistoryEntry]:
    """Every change of the document, oldest first."""
    query = "SELECT generation, stage, version, digest, who, why, at FROM release_history WHERE use_case = %s ORDER BY generation"
    with _connection() as connection, connection.cursor(row_factory=class_row(HistoryEntry)) as cursor:
        return cursor.execute(query, [use_case_name]).fetchall()


def change(release: Release, *, expected_generation: int, stage: str, about: ReleasedVersion, why: str) -> Release:
    """Write `release` if the document still has `expected_generation`; gives it with its new generation.

    Raises ReleaseConflict when it has another: somebody released meanwhile, and nothing was changed.
    """
    generation = expected_generation + 1
    with _connection() as connection:
        if expected_generation == 0:
            swap = "INSERT INTO release (document, generation, use_case) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
            swapped = connection.execute(swap, [Jsonb(release.to_document()), generation, release.use_case])
        else:
            swap = "UPDATE release SET document = %s, generation = %s, changed_at = now() WHERE use_case = %s AND generation = %s"
            swapped = connection.execute(swap, [Jsonb(release.to_document()), generation, release.use_case, expected_generation])
        if swapped.rowcount != 1:
            raise ReleaseConflict(
                f"the release document of {release.use_case} is no longer at generation {expected_generation}: somebody else changed it, "
                f"version {about.version} is not {stage}. Look at its history, then run train_and_release again."
            )
        entry = [release.use_case, generation, stage, about.version, about.digest, _who(), why]
        connection.execute(
            "INSERT INTO release_history (use_case, generation, stage, version, digest, who, why) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            entry,
        )
        forget = "DELETE FROM release_traffic WHERE use_case = %s AND generation <= %s"
        connection.execute(forget, [release.use_case, generation - KEPT_GENERATIONS])
    return replace(release, generation=generation)


def watch(use_case_name: str, generation: int) -> tuple[Counts, Counts]:
    """Say that somebody watches the candidate's traffic, for WATCH_S; gives what all gateways counted at this generation: of the candidate,
    and of the live version meanwhile.

    Raises ReleaseConflict when the document is at another generation.
    """
    renew = "UPDATE release SET watched_until = now() + make_interval(secs => %s) WHERE use_case = %s AND generation = %s"
    counts = "SELECT candidate, live FROM release_traffic WHERE use_case = %s AND generation = %s"
    with _connection() as connection:
        if connection.execute(renew, [WATCH_S, use_case_name, generation]).rowcount != 1:
            raise ReleaseConflict(
                f"the release document of {use_case_name} is no longer at generation {generation}: somebody else changed it. The candidate "
                "gets no more traffic from here; see `roundtrip releases`."
            )
        found = connection.execute(counts, [use_case_name, generation]).fetchall()
    candidate, live = (Counts.summed(Counts(**row[side]) for row in found) for side in (0, 1))
    return candidate, live


@contextmanager
def _connection() -> Iterator[psycopg.Connection]:
    """One transaction. Raises ServiceUnavailable when PostgreSQL is away."""
    try:
        create_schema(settings().database_url)
        with psycopg.connect(settings().database_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise ServiceUnavailable(f"PostgreSQL does not answer for the release document: {error}. See `roundtrip status`.") from error


@cache
def create_schema(database_url: str) -> None:
    """Create the tables where they are missing, once a process; several processes may do it at the same time."""
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
        connection.execute(_SCHEMA)


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
