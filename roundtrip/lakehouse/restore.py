"""The training set of a model as files, made anew from the pins."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.content_hash import content_sha256
from roundtrip.lakehouse.snapshot import Snapshot, load_rows, sha256_of_months
from roundtrip.lakehouse.tables import PARTITION_COLUMN

TRAIN_FILE, HELD_OUT_FILE = "train.parquet", "held_out.parquet"
_GROUP_ROWS = 1 << 17


def restore(use_case: UseCase, snapshot: Snapshot, folder: Path) -> tuple[Path, Path]:
    """Write train.parquet and held_out.parquet into `folder`, and prove by their content that they are what the model saw.

    The same snapshot gives the same bytes. Raises SnapshotUnusable when a pinned version is gone, when what was written is not
    what was pinned, or when the snapshot records no content hash to prove it by.
    """
    if not snapshot.content_sha256:
        raise SnapshotUnusable(
            f"{use_case.name}: this snapshot records no content hash: `python -m jobs.snapshot_dataset` takes one that does."
        )
    rows = load_rows(use_case, snapshot)
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out = folder / TRAIN_FILE, folder / HELD_OUT_FILE
    _write(rows.train, train)
    _write(rows.held_out, held_out)
    written = _sha256(pa.concat_tables([pq.read_table(train), pq.read_table(held_out)]), snapshot)
    if written != snapshot.content_sha256:
        raise SnapshotUnusable(
            f"{folder}: SHA-256 of the written rows is {written}, the snapshot's {snapshot.content_sha256}: write elsewhere."
        )
    return train, held_out


def _sha256(rows: pa.Table, snapshot: Snapshot) -> str:
    """Of rows in the order of train, then held out: within a month that is the order of time."""
    months = {month: rows.filter(pc.equal(rows[PARTITION_COLUMN], month)) for month in snapshot.partitions}
    return sha256_of_months({month: content_sha256(held) for month, held in months.items()})


def _write(rows: pa.Table, path: Path) -> None:
    """In one order of columns, and in pieces of one size, so that how the rows were read leaves no trace."""
    ordered = rows.select(sorted(rows.column_names)).combine_chunks().replace_schema_metadata(None)
    pq.write_table(ordered, path, compression="zstd", row_group_size=_GROUP_ROWS)
