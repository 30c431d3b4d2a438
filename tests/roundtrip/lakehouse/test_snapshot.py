import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from roundtrip.contracts.errors import SnapshotUnusable, TableMissing
from roundtrip.contracts.receipts import code_commit
from roundtrip.lakehouse.publish import publish
from roundtrip.lakehouse.snapshot import Snapshot, load_rows, take_snapshot
from roundtrip.lakehouse.tables import table_uri
from tests.roundtrip.lakehouse.trips import TRIPS

MONTHS = {"2013-03": datetime(2013, 3, 1, tzinfo=UTC), "2013-04": datetime(2013, 4, 1, tzinfo=UTC)}


def publish_features(spark: SparkSession, month: str, *, minutes: float = 10.0, run: str = "1") -> None:
    rows = [(f"{month}-{day}", MONTHS[month] + timedelta(days=day), minutes, month) for day in range(28)]
    frame = spark.createDataFrame(rows, "trip_id string, left_at timestamp, minutes double, event_month string")
    publish(spark, frame, use_case_name="trips", table="features", partition=month, transaction=run)


def publish_outcomes(spark: SparkSession, month: str) -> None:
    rows = [(f"{month}-{day}", day if day % 7 else None, month) for day in range(26)]
    frame = spark.createDataFrame(rows, "trip_id string, late_minutes int, event_month string")
    publish(spark, frame, use_case_name="trips", table="outcomes", partition=month, transaction="1")


def files_of(table: str) -> list[Path]:
    """The Parquet files of 2013-03."""
    return list(Path(table_uri("trips", table).removeprefix("file://")).glob("event_month=2013-03/*.parquet"))


def overwrite(file: Path) -> None:
    """Other minutes in the file, and its new size in the table's log."""
    size, rows = file.stat().st_size, pq.ParquetFile(file).read()
    pq.write_table(rows.set_column(rows.column_names.index("minutes"), "minutes", pa.array([11.0] * rows.num_rows)), file)
    for commit in (file.parents[1] / "_delta_log").glob("*.json"):
        commit.write_text(commit.read_text().replace(f'"size":{size}', f'"size":{file.stat().st_size}'))


@pytest.fixture
def tables(spark: SparkSession, storage_root: str) -> None:
    for month in MONTHS:
        publish_features(spark, month)
        publish_outcomes(spark, month)


@pytest.mark.usefixtures("tables")
def test_a_snapshot_gives_the_same_rows_after_the_tables_moved_on(spark: SparkSession, storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "2013-03..2013-04")
    before = load_rows(TRIPS, taken)
    publish_features(spark, "2013-04", minutes=99.0, run="2")
    assert load_rows(TRIPS, taken).held_out == before.held_out
    assert 99.0 in load_rows(TRIPS, take_snapshot(TRIPS, "..2013-04")).held_out.column("minutes").to_pylist()


@pytest.mark.usefixtures("tables")
def test_labelled_rows_are_split_in_time(storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "..2013-04")
    rows = load_rows(TRIPS, taken)
    assert taken.partitions == ("2013-03", "2013-04")
    assert taken.rows == 2 * 22 == rows.train.num_rows + rows.held_out.num_rows
    assert taken.held_out_from == "2013-04-12T00:00:00+00:00"
    assert max(rows.train.column("left_at").to_pylist()) < datetime(2013, 4, 12, tzinfo=UTC)
    moments = rows.held_out.column("left_at").to_pylist()
    assert moments == sorted(moments) and moments[0] == datetime(2013, 4, 12, tzinfo=UTC)


@pytest.mark.usefixtures("tables")
def test_it_says_what_it_pins(storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "..2013-04")
    assert [(table.table, table.version, table.rows) for table in taken.tables(TRIPS)] == [("features", 1, 56), ("outcomes", 1, 52)]
    assert taken.code_commit == code_commit()
    assert taken.content_sha256 == take_snapshot(TRIPS, "2013-04,2013-03").content_sha256
    assert taken.content_sha256 != take_snapshot(TRIPS, "2013-03").content_sha256


@pytest.mark.usefixtures("tables")
def test_the_hash_does_not_see_how_the_rows_lie_in_files(spark: SparkSession, storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "..2013-04")
    rows = spark.read.format("delta").load(table_uri("trips", "features")).repartition(4)
    rows.write.format("delta").mode("overwrite").save(table_uri("trips", "features"))
    again = take_snapshot(TRIPS, "..2013-04")
    assert (again.content_sha256, again.features_version) == (taken.content_sha256, taken.features_version + 1)


@pytest.mark.usefixtures("tables")
def test_rows_that_are_no_longer_those_that_were_pinned_are_refused(storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "2013-03")
    for file in files_of("features"):
        overwrite(file)
    with pytest.raises(SnapshotUnusable, match=f"features version 1, outcomes version 1 give 22 rows .* 22 rows .*{taken.content_sha256}"):
        load_rows(TRIPS, taken)


@pytest.mark.usefixtures("tables")
def test_a_version_whose_files_are_gone_says_what_to_do(storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "2013-03")
    for file in files_of("outcomes"):
        file.write_bytes(b"PAR1")
    with pytest.raises(SnapshotUnusable, match=r"trips\.outcomes can't be read at version 1 any more: .*Parquet"):
        load_rows(TRIPS, taken)
    for file in files_of("outcomes"):
        file.unlink()
    with pytest.raises(SnapshotUnusable, match=r"trips\.outcomes can't be read at version 1 any more: 2013-03: .*not found.* anew from"):
        load_rows(TRIPS, taken)
    with pytest.raises(SnapshotUnusable, match=r"trips\.features can't be read at version 9 any more: its newest version is 1"):
        load_rows(TRIPS, replace(taken, features_version=9))


@pytest.mark.usefixtures("tables")
def test_a_snapshot_from_before_the_hash_was_recorded_still_loads(storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "2013-03")
    recorded = json.loads(taken.to_json())
    for name in ("features_rows", "outcomes_rows", "content_sha256", "code_commit"):
        del recorded[name]
    assert load_rows(TRIPS, Snapshot.from_json(json.dumps(recorded))) == load_rows(TRIPS, taken)


@pytest.mark.usefixtures("tables")
def test_it_is_found_again_in_its_run_folder(storage_root: str) -> None:
    taken = take_snapshot(TRIPS, "2013-03")
    taken.save(f"{storage_root}/runs/x/1")
    assert Snapshot.load(f"{storage_root}/runs/x/1") == taken
    with pytest.raises(SnapshotUnusable, match=r"jobs\.snapshot_dataset"):
        Snapshot.load(f"{storage_root}/runs/x/2")


def test_a_month_without_outcomes_is_named_or_left_out(spark: SparkSession, storage_root: str) -> None:
    publish_features(spark, "2013-03")
    with pytest.raises(TableMissing, match="outcomes has not been built"):
        take_snapshot(TRIPS, "2013-03")
    publish_outcomes(spark, "2013-03")
    publish_features(spark, "2013-04")
    with pytest.raises(SnapshotUnusable, match="table outcomes holds no 2013-04"):
        take_snapshot(TRIPS, "2013-03,2013-04")
    assert take_snapshot(TRIPS, "..2013-04").partitions == ("2013-03",)
    with pytest.raises(SnapshotUnusable, match="no month up to 2013-02"):
        take_snapshot(TRIPS, "..2013-02")
