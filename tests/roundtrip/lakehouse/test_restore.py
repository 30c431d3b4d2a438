from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.lakehouse.restore import restore
from roundtrip.lakehouse.snapshot import Snapshot, load_rows, take_snapshot
from roundtrip.lakehouse.tables import table_uri
from tests.roundtrip.lakehouse.trips import TRIPS

START = datetime(2013, 4, 1, tzinfo=UTC)


@pytest.fixture
def snapshot(storage_root: str) -> Snapshot:
    """Of 29 days, 14 of them held out."""
    trips = [{"trip_id": f"t{day}", "left_at": START + timedelta(days=day), "city": None if day % 3 else "Ulm"} for day in range(29)]
    outcomes = [{"trip_id": f"t{day}", "late_minutes": day} for day in range(29)]
    for table, rows in (("features", trips), ("outcomes", outcomes)):
        Path(table_uri("trips", table).removeprefix("file://")).mkdir(parents=True)
        content = pa.Table.from_pylist([row | {"event_month": "2013-04"} for row in rows])
        write_deltalake(table_uri("trips", table), content, partition_by=["event_month"])
    return take_snapshot(TRIPS, "2013-04")


def test_the_training_set_is_written_again_byte_for_byte(snapshot: Snapshot, tmp_path: Path) -> None:
    first = restore(TRIPS, snapshot, tmp_path / "first")
    second = restore(TRIPS, snapshot, tmp_path / "deeper" / "second")
    assert [path.name for path in first] == ["train.parquet", "held_out.parquet"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_it_holds_just_the_rows_that_the_model_saw(snapshot: Snapshot, tmp_path: Path) -> None:
    train, held_out = restore(TRIPS, snapshot, tmp_path)
    rows = load_rows(TRIPS, snapshot)
    for path, expected in ((train, rows.train), (held_out, rows.held_out)):
        assert pq.read_table(path).select(expected.column_names).to_pylist() == expected.to_pylist()
    assert (rows.train.num_rows, rows.held_out.num_rows) == (14, 15)


def test_rows_that_are_not_the_pinned_ones_are_not_written(snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnusable, match="SHA-256"):
        restore(TRIPS, replace(snapshot, content_sha256="0" * 64), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_hash_nothing_can_be_proved(snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnusable, match="records no content hash"):
        restore(TRIPS, replace(snapshot, content_sha256=""), tmp_path)
