from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from roundtrip.contracts.errors import SnapshotUnusable, TableMissing
from roundtrip.lakehouse.publish import publish
from roundtrip.lakehouse.snapshot import Snapshot, load_rows, take_snapshot
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
