"""A snapshot: the table versions and months that a model was trained on, and the rows they give, today and in a year."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from roundtrip.contracts import storage
from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.names import checked_partition, checked_partitions
from roundtrip.contracts.receipts import SNAPSHOT_FILE, TableVersion, code_commit
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.content_hash import content_sha256
from roundtrip.lakehouse.joined import Side, joined_rows
from roundtrip.lakehouse.tables import PARTITION_COLUMN, current_version, identifier, in_partitions, open_table, rows_in, rows_of, table_uri

Pinned = tuple[DeltaTable, DeltaTable]
"""Features and outcomes, each open at a version."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a model was, or is to be, trained and judged on."""

    use_case: str
    partitions: tuple[str, ...]
    features_version: int
    outcomes_version: int
    rows: int
    """Rows with a label, held-out ones included."""
    held_out_from: str
    """ISO timestamp (UTC): rows whose prediction time is not before it are judged on, never trained on."""
    features_rows: int = 0
    """Rows of the months in the features table, with a label or without."""
    outcomes_rows: int = 0
    """Rows of the months in the outcomes table."""
    content_sha256: str = ""
    """Of all rows (sha256_of_months). Empty in a snapshot from before this was recorded: its rows can't be checked."""
    code_commit: str = ""
    """What the checkout stood at, with `+` for uncommitted changes."""

    @classmethod
    def from_json(cls, content: bytes | str) -> Snapshot:
        return _decoded(content)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode()

    @classmethod
    def load(cls, run_folder: str) -> Snapshot:
        """The snapshot of a run, by its folder's URI; raises SnapshotUnusable when the run has taken none."""
        uri = storage.join(run_folder, SNAPSHOT_FILE)
        try:
            return cls.from_json(storage.read_bytes(uri))
        except FileNotFoundError:
            raise SnapshotUnusable(f"no {uri}: run `python -m jobs.snapshot_dataset` with this --run-dir first.") from None

    def save(self, run_folder: str) -> None:
        storage.write_bytes(storage.join(run_folder, SNAPSHOT_FILE), self.to_json())

    def tables(self, use_case: UseCase) -> list[TableVersion]:
        """The pinned tables, features first."""
        pinned = [
            (use_case.features_table, self.features_version, self.features_rows),
            (use_case.outcomes_table, self.outcomes_version, self.outcomes_rows),
        ]
        return [TableVersion(table, table_uri(self.use_case, table), version, rows) for table, version, rows in pinned]


_decoded = msgspec.json.Decoder(Snapshot).decode


@dataclass(frozen=True)
class SnapshotRows:
    """Features and label, month by month, a month's rows ordered by prediction time and key."""

    train: pa.Table
    held_out: pa.Table


def take_snapshot(use_case: UseCase, partitions: str) -> Snapshot:
    """Pin the features and outcomes as they are now, for `2013-01..2013-03`, a list, or `..2013-06` (all built up to it).

    The held-out span is the last `gate.held_out_days` before the last labelled row. Raises SnapshotUnusable when a month
    is in only one of the tables, or when there is nothing to train on.
    """
    pinned = features, outcomes = open_table(use_case.name, use_case.features_table), open_table(use_case.name, use_case.outcomes_table)
    months = _months(use_case, partitions, pinned)
    rows, digests = 0, {}
    moments: list[datetime] = []
    for month in months:
        known = _labelled_rows(use_case, month, pinned)
        rows += known.num_rows
        if known.num_rows:
            moments += pc.min_max(known[use_case.prediction_time]).as_py().values()
        digests[month] = content_sha256(known)
    if not rows:
        raise SnapshotUnusable(f"{use_case.name}: no row of {months[0]}..{months[-1]} has a {use_case.label}: ingest the outcomes first.")
    held_out_from = max(moments) - timedelta(days=use_case.gate.held_out_days)
    if min(moments) >= held_out_from:
        days = use_case.gate.held_out_days
        raise SnapshotUnusable(f"{use_case.name}: {', '.join(months)} cover no more than the {days} held-out days: ask for more months.")
    return Snapshot(
        use_case=use_case.name,
        partitions=tuple(months),
        features_version=features.version(),
        outcomes_version=outcomes.version(),
        rows=rows,
        held_out_from=held_out_from.isoformat(),
        features_rows=rows_in(features, months),
        outcomes_rows=rows_in(outcomes, months),
        content_sha256=sha256_of_months(digests),
        code_commit=code_commit(),
    )


def load_rows(use_case: UseCase, snapshot: Snapshot) -> SnapshotRows:
    """All of the snapshot's rows in memory: all feature columns and the label, split at held_out_from. The same whenever it is called.

    Raises SnapshotUnusable when a pinned version is gone, or gives other rows than those that were pinned.
    """
    months = list(rows_by_month(use_case, snapshot))
    return SnapshotRows(pa.concat_tables(month.train for month in months), pa.concat_tables(month.held_out for month in months))


def rows_by_month(use_case: UseCase, snapshot: Snapshot) -> Iterator[SnapshotRows]:
    """The same rows a month at a time, for a set that memory doesn't hold at once. Other rows than those pinned raise after the last."""
    pinned, digests, rows = _open(use_case, snapshot), {}, 0
    for month in snapshot.partitions:
        known = _labelled_rows(use_case, month, pinned)
        digests[month] = content_sha256(known)
        rows += known.num_rows
        yield _split(use_case, snapshot, known)
    found = sha256_of_months(digests)
    if snapshot.content_sha256 and found != snapshot.content_sha256:
        pinned_content = f"{snapshot.rows:,} rows with SHA-256 {snapshot.content_sha256}"
        raise _changed(use_case, snapshot, f"{rows:,} rows with SHA-256 {found}", pinned_content)


def batches_to_train_on(use_case: UseCase, snapshot: Snapshot) -> Iterator[pa.RecordBatch]:
    """The rows to train on in batches, in any order, for a set of which memory doesn't hold a month. They are counted, not hashed."""
    rows = 0
    for batch in _labelled_batches(use_case, snapshot.partitions, _open(use_case, snapshot)):
        rows += batch.num_rows
        yield from _split(use_case, snapshot, pa.Table.from_batches([batch])).train.to_batches()
    if rows != snapshot.rows:
        raise _changed(use_case, snapshot, f"{rows:,} rows", f"{snapshot.rows:,} rows")


def categories_by_month(use_case: UseCase, snapshot: Snapshot) -> Iterator[pa.Table]:
    """The category columns of the rows to train on, a month at a time."""
    pinned = _open(use_case, snapshot)
    columns = [use_case.prediction_time, *use_case.key, *(entry.name for entry in use_case.categories)]
    for month in snapshot.partitions:
        yield _split(use_case, snapshot, _labelled_rows(use_case, month, pinned, columns=columns)).train


def recent_labelled_rows(
    use_case: UseCase, *, before: str, at_most: int, features_version: int, outcomes_version: int
) -> list[pa.Table]:  # fmt: skip
    """The last `at_most` labelled rows of the months before `before`, a table a month, by prediction time and key.

    Reads no more months than it needs, and holds no more of a month than twice what it gives of it.
    """
    features = _open_at(use_case, use_case.features_table, features_version)
    outcomes = _open_at(use_case, use_case.outcomes_table, outcomes_version)
    found: list[pa.Table] = []
    wanted = at_most
    for month in sorted((month for month in _labelled_months((features, outcomes)) if month < before), reverse=True):
        if wanted <= 0:
            break
        latest: list[pa.Table] = []
        for batch in _labelled_batches(use_case, [month], (features, outcomes)):
            latest.append(pa.Table.from_batches([batch]))
            if sum(rows.num_rows for rows in latest) > 2 * wanted:
                latest = [_last(use_case, latest, wanted)]
        if latest:
            found.insert(0, _last(use_case, latest, wanted))
            wanted -= found[0].num_rows
    return found


def labelled_by_month(use_case: UseCase) -> Iterator[tuple[str, pa.Table]]:
    """Each month that both tables hold, with its labelled rows as they are now; raises TableMissing."""
    opened = open_table(use_case.name, use_case.features_table), open_table(use_case.name, use_case.outcomes_table)
    for month in sorted(_labelled_months(opened)):
        yield month, _labelled_rows(use_case, month, opened)


def sha256_of_months(digests: Mapping[str, str]) -> str:
    """The SHA-256 of a whole snapshot from those of its months' rows (content_hash.py)."""
    return hashlib.sha256("".join(f"{month} {digests[month]}\n" for month in sorted(digests)).encode()).hexdigest()


def _split(use_case: UseCase, snapshot: Snapshot, rows: pa.Table) -> SnapshotRows:
    return split_at(rows, use_case.prediction_time, datetime.fromisoformat(snapshot.held_out_from))


def split_at(rows: pa.Table, column: str, moment: datetime) -> SnapshotRows:
    """The rows whose time in `column` is before the moment to train on, the others held out; both in their order."""
    late = pc.greater_equal(rows[column], pa.scalar(moment, type=rows[column].type))
    return SnapshotRows(rows.filter(pc.invert(late)), rows.filter(late))


def _months(use_case: UseCase, partitions: str, pinned: Pinned) -> list[str]:
    if partitions.startswith(".."):
        last = checked_partition(partitions.removeprefix(".."))
        months = sorted(month for month in _labelled_months(pinned) if month <= last)
        if not months:
            raise SnapshotUnusable(f"{use_case.name}: no month up to {last} has features and outcomes: ingest both feeds first.")
        return months
    months, built = checked_partitions(partitions), [_held(table) for table in pinned]
    for month in months:
        for table, held in zip((use_case.features_table, use_case.outcomes_table), built, strict=True):
            if month not in held:
                raise SnapshotUnusable(f"{use_case.name}: table {table} holds no {month}: ingest it, or leave the month out.")
    return months


def _labelled_months(pinned: Pinned) -> set[str]:
    """Months that both tables hold."""
    features, outcomes = map(_held, pinned)
    return features & outcomes


def _held(table: DeltaTable) -> set[str]:
    return {entry[PARTITION_COLUMN] for entry in table.partitions()}


def _labelled_rows(use_case: UseCase, month: str, pinned: Pinned, columns: Sequence[str] | None = None) -> pa.Table:
    """Features of the month joined by key with their label, which lies in the same month of the outcomes, by prediction time and key.

    Rows without a label are left out.
    """
    features = _pinned_rows(use_case, use_case.features_table, month, pinned[0], columns)
    outcomes = _pinned_rows(use_case, use_case.outcomes_table, month, pinned[1], [*use_case.key, use_case.label])
    labels = outcomes.filter(pc.is_valid(outcomes[use_case.label]))
    joined = features.join(labels, keys=list(use_case.key), join_type="inner")
    return _in_order(use_case, joined)


def _labelled_batches(use_case: UseCase, months: Sequence[str], pinned: Pinned) -> Iterator[pa.RecordBatch]:
    """The same rows of some months, in any order, however many they are. Raises SnapshotUnusable where a file of them is gone."""
    of_months = in_partitions(months)
    key, label = [*use_case.key, PARTITION_COLUMN], identifier(use_case.label)
    labels = f"SELECT {', '.join(map(identifier, key))}, {label} FROM side WHERE {of_months} AND {label} IS NOT NULL"
    features, outcomes = pinned
    sides = [
        Side(table=features, query=f"SELECT * FROM side WHERE {of_months}", rows=rows_in(features, months)),
        Side(table=outcomes, query=labels, rows=rows_in(outcomes, months)),
    ]
    try:
        yield from joined_rows(key, sides)
    except pa.ArrowInvalid as error:  # an outage of the store reads the same but for these words
        told = str(error).splitlines()[0]
        if "not found" not in told:
            raise
        of_outcomes = f"/{use_case.outcomes_table}/" in told
        table, opened = (use_case.outcomes_table, outcomes) if of_outcomes else (use_case.features_table, features)
        raise _unreadable(use_case, table, opened.version(), told) from error


def _in_order(use_case: UseCase, rows: pa.Table) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in (use_case.prediction_time, *use_case.key)])


def _last(use_case: UseCase, parts: Sequence[pa.Table], count: int) -> pa.Table:
    """The last so many of labelled rows, in their order."""
    rows = _in_order(use_case, pa.concat_tables(parts))
    return rows.slice(max(0, rows.num_rows - count)).combine_chunks()


def _open(use_case: UseCase, snapshot: Snapshot) -> Pinned:
    """Both tables at their pinned versions. Raises SnapshotUnusable for a version that a table does not have."""
    features, outcomes = (_open_at(use_case, table.table, table.version) for table in snapshot.tables(use_case))
    return features, outcomes


def _open_at(use_case: UseCase, table: str, version: int) -> DeltaTable:
    try:
        return open_table(use_case.name, table, version=version)
    except DeltaError as error:
        newest = current_version(use_case.name, table)
        if newest is None or version <= newest:
            raise
        raise _unreadable(use_case, table, version, f"its newest version is {newest}") from error


def _pinned_rows(use_case: UseCase, table: str, month: str, opened: DeltaTable, columns: Sequence[str] | None) -> pa.Table:
    try:
        return rows_of(opened, partitions=[month], columns=columns)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise _unreadable(use_case, table, opened.version(), f"{month}: {str(error).splitlines()[0]}") from error


def _changed(use_case: UseCase, snapshot: Snapshot, found: str, expected: str) -> SnapshotUnusable:
    tables = ", ".join(f"{table.table} version {table.version}" for table in snapshot.tables(use_case))
    return SnapshotUnusable(
        f"{use_case.name}: {tables} give {found}; the snapshot has {expected}. The tables were changed behind their log: restore them, "
        "or take a new snapshot."
    )


def _unreadable(use_case: UseCase, table: str, version: int, missing: str) -> SnapshotUnusable:
    return SnapshotUnusable(
        f"{use_case.name}.{table} can't be read at version {version} any more: {missing}. Housekeeping keeps the files of a cited version, "
        f"so somebody else changed them: bring {table_uri(use_case.name, table)} back from a backup of the store, or build "
        "its months anew from the landed files (`roundtrip lineage` names them) and take a new snapshot."
    )
