"""Lineage: from a snapshot's partitions through the commit that made each of them, down to the landed files.

What is followed is kept in the commits' metadata (publish.py), so the files of the versions in between may be gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow.dataset as ds

from roundtrip.contracts import storage
from roundtrip.contracts.errors import TableMissing, UnknownModelVersion, UnknownPrediction
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.dependents import snapshots_in_store
from roundtrip.lakehouse.logged_requests import TABLE as PREDICTION_LOG
from roundtrip.lakehouse.publish import Commit, Provenance, newest_of
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import history_of, open_table


@dataclass(frozen=True)
class LandedFile:
    """A file that a raw table's partition was read from, and whether the landing zone still holds just that one."""

    uri: str
    sha256: str
    now: Literal["the same", "changed", "gone"]


@dataclass(frozen=True, kw_only=True)
class MadePartition:
    """One content of a partition."""

    table: str
    partition: str
    version: int
    """The version that gave the partition this content; where that is unknown, the one at which it was read."""
    rows: int | None = None
    written_by: str = ""
    """Run folder and table of the build; empty when its writer does not say."""
    definition: str = ""
    """Digest of the table's definition and of the code that built it."""
    files: tuple[LandedFile, ...] = ()
    made_from: tuple[str, ...] = ()
    """Names of the partitions that it was made from."""

    @property
    def name(self) -> str:
        return f"{self.table} {self.partition} version {self.version}"

    @property
    def known(self) -> bool:
        """Whether it is told what it was made from."""
        return bool(self.definition)

    @property
    def holds(self) -> bool:
        """Whether it is known what it was made from, and that is still there where it was landed."""
        return self.known and all(file.now == "the same" for file in self.files)


@dataclass(frozen=True)
class Lineage:
    """Everything that a snapshot's rows came from."""

    snapshot: Snapshot
    pinned: tuple[str, ...]
    """Names of the features' and outcomes' partitions."""
    partitions: dict[str, MadePartition]
    """By name: the pinned ones and all before them."""


@dataclass(frozen=True)
class Prediction:
    """A line of the prediction log."""

    prediction_id: str
    model_version: str
    predicted_at: str
    key: str


def snapshot_of(use_case_name: str, model_version: str) -> Snapshot:
    """What the model version was trained on; raises UnknownModelVersion, naming those in the store."""
    found = snapshots_in_store(use_case_name)
    if model_version not in found:
        known = ", ".join(sorted(found, key=lambda version: (len(version), version))) or "none"
        raise UnknownModelVersion(
            f"no model version {model_version!r} of {use_case_name} in the store (there: {known}): ask for one of these."
        )
    return found[model_version]


def prediction_of(use_case_name: str, prediction_id: str) -> Prediction:
    """The prediction as it was logged; raises UnknownPrediction, or TableMissing when none was collected yet."""
    columns = ["prediction_id", "model_version", "predicted_at", "key"]
    log = open_table(use_case_name, PREDICTION_LOG).to_pyarrow_dataset()
    rows = log.to_table(columns=columns, filter=ds.field("prediction_id") == prediction_id).to_pylist()
    if not rows:
        raise UnknownPrediction(
            f"table {use_case_name}.{PREDICTION_LOG} has no prediction {prediction_id!r}: a fresh one is there after "
            "`roundtrip run-job collect_predictions`."
        )
    return Prediction(**rows[0] | {"predicted_at": rows[0]["predicted_at"].isoformat()})


def trace(use_case: UseCase, snapshot: Snapshot) -> Lineage:
    """Follow the snapshot's months to the landed files; each of these is read, to see whether it is still the same."""
    tracer = _Tracer(use_case.name)
    pinned = [
        tracer.follow(table.table, month, table.version) for table in snapshot.tables(use_case) for month in snapshot.partitions
    ]  # fmt: skip
    return Lineage(snapshot, tuple(pinned), tracer.found)


@dataclass
class _Tracer:
    use_case_name: str
    found: dict[str, MadePartition] = field(default_factory=dict)
    histories: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def follow(self, table: str, partition: str, version: int) -> str:
        """The name of what the partition held at `version`; it and all that it was made from are in `found` then."""
        made = self._commit(table, partition, version)
        if made is None:
            entry = MadePartition(table=table, partition=partition, version=version)
        else:
            at, commit = made
            entry = MadePartition(table=table, partition=partition, version=at, rows=commit.rows, written_by=commit.transaction)
            if entry.name not in self.found:
                entry = self._with_origin(entry, commit.provenance)
        return self.found.setdefault(entry.name, entry).name

    def _with_origin(self, entry: MadePartition, provenance: Provenance) -> MadePartition:
        files = tuple(LandedFile(uri, digest, self._now(uri, digest)) for uri, digest in provenance.files.items())
        before = tuple(self.follow(*_table_and_month(name), version) for name, version in provenance.tables.items())
        return replace(entry, definition=provenance.definition, files=files, made_from=before)

    def _commit(self, table: str, partition: str, version: int) -> tuple[int, Commit] | None:
        if table not in self.histories:
            self.histories[table] = _history(self.use_case_name, table)
        return newest_of(self.histories[table], [partition], version=version).get(partition)

    def _now(self, uri: str, digest: str) -> Literal["the same", "changed", "gone"]:
        if uri not in self.digests:
            self.digests[uri] = _digest(uri)
        found = self.digests[uri]
        return "the same" if found == digest else "changed" if found else "gone"


def _table_and_month(name: str) -> tuple[str, str]:
    table, _, month = name.partition(" ")
    return table, month


def _history(use_case_name: str, table: str) -> list[dict[str, object]]:
    """The table's commits, the newest first; none of a table that is gone."""
    try:
        return history_of(use_case_name, table)
    except TableMissing:
        return []


def _digest(uri: str) -> str:
    """The file's SHA-256, empty when it is gone."""
    try:
        return storage.sha256(uri)
    except FileNotFoundError:
        return ""
