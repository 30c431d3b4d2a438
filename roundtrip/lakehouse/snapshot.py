"""A snapshot: the table versions and months that a model was trained on, and the rows they give, today and in a year."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from roundtrip.contracts import storage
from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.names import checked_partition, checked_partitions
from roundtrip.contracts.receipts import SNAPSHOT_FILE
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.tables import open_table, partitions_of, read_table


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

    @classmethod
    def from_json(cls, content: bytes | str) -> Snapshot:
        values = json.loads(content)
        values["partitions"] = tuple(values["partitions"])
        return cls(**values)

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


@dataclass(frozen=True)
class SnapshotRows:
    """Features and label, ordered by prediction time and key."""

    train: pa.Table
    held_out: pa.Table


def take_snapshot(use_case: UseCase, partitions: str) -> Snapshot:
    """Pin the features and outcomes as they are now, for `2013-01..2013-03`, a list, or `..2013-06` (all built up to it).

    The held-out span is the last `gate.held_out_days` before the last labelled row. Raises SnapshotUnusable when a month
    is in only one of the tables, or when there is nothing to train on.
    """
    features, outcomes = open_table(use_case.name, use_case.features_table), open_table(use_case.name, use_case.outcomes_table)
    versions = features.version(), outcomes.version()
    months = _months(use_case, partitions, versions)
    known = _labelled(use_case, months, versions, columns=[use_case.prediction_time, *use_case.key])
    if not known.num_rows:
        raise SnapshotUnusable(f"{use_case.name}: no row of {months[0]}..{months[-1]} has a {use_case.label}: ingest the outcomes first.")
    last = pc.max(known[use_case.prediction_time]).as_py()
    held_out_from: datetime = last - timedelta(days=use_case.gate.held_out_days)
    if pc.min(known[use_case.prediction_time]).as_py() >= held_out_from:
        days = use_case.gate.held_out_days
        raise SnapshotUnusable(f"{use_case.name}: {', '.join(months)} cover no more than the {days} held-out days: ask for more months.")
    return Snapshot(
        use_case=use_case.name,
        partitions=tuple(months),
        features_version=versions[0],
        outcomes_version=versions[1],
        rows=known.num_rows,
        held_out_from=held_out_from.isoformat(),
    )


def load_rows(use_case: UseCase, snapshot: Snapshot) -> SnapshotRows:
    """The snapshot's rows: all feature columns and the label, split at held_out_from. The same whenever it is called."""
    rows = _labelled(use_case, snapshot.partitions, (snapshot.features_version, snapshot.outcomes_version))
    rows = rows.sort_by([(name, "ascending") for name in (use_case.prediction_time, *use_case.key)])
    moment = pa.scalar(datetime.fromisoformat(snapshot.held_out_from), type=rows.schema.field(use_case.prediction_time).type)
    late = pc.greater_equal(rows[use_case.prediction_time], moment)
    return SnapshotRows(rows.filter(pc.invert(late)), rows.filter(late))


def _months(use_case: UseCase, partitions: str, versions: tuple[int, int]) -> list[str]:
    built = [
        set(partitions_of(use_case.name, table, version=version))
        for table, version in zip((use_case.features_table, use_case.outcomes_table), versions, strict=True)
    ]
    if partitions.startswith(".."):
        last = checked_partition(partitions.removeprefix(".."))
        months = sorted(month for month in built[0] & built[1] if month <= last)
        if not months:
            raise SnapshotUnusable(f"{use_case.name}: no month up to {last} has features and outcomes: ingest both feeds first.")
        return months
    months = checked_partitions(partitions)
    for month in months:
        for table, held in zip((use_case.features_table, use_case.outcomes_table), built, strict=True):
            if month not in held:
                raise SnapshotUnusable(f"{use_case.name}: table {table} holds no {month}: ingest it, or leave the month out.")
    return months


def _labelled(use_case: UseCase, months: Sequence[str], versions: tuple[int, int], columns: Sequence[str] | None = None) -> pa.Table:
    """Features of the months joined with their label by key; rows without a label are left out."""
    features = read_table(use_case.name, use_case.features_table, version=versions[0], partitions=months, columns=columns)
    wanted = [*use_case.key, use_case.label]
    outcomes = read_table(use_case.name, use_case.outcomes_table, version=versions[1], partitions=months, columns=wanted)
    labels = outcomes.filter(pc.is_valid(outcomes[use_case.label]))
    return features.join(labels, keys=list(use_case.key), join_type="inner")
