from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from roundtrip.lakehouse.publish import insert_missing, last_commit, last_commits, publish, publish_partition
from roundtrip.lakehouse.tables import current_version, history_of, read_table

ROWS = [("a", 1, None), ("b", None, 2.5)]


def frame(spark: SparkSession, rows: list[tuple[str, int | None, float | None]], month: str = "2013-04") -> DataFrame:
    return spark.createDataFrame([(*row, month) for row in rows], "name string, number int, share double, event_month string")


def names(month: str) -> list[str]:
    return sorted(read_table("trips", "t", partitions=[month]).column("name").to_pylist())


def test_a_partition_is_replaced_as_a_whole_and_the_others_stay(spark: SparkSession, storage_root: str) -> None:
    for month in ("2013-03", "2013-04"):
        publish(spark, frame(spark, ROWS, month), use_case_name="trips", table="t", partition=month, transaction="run-1")
    version = publish(spark, frame(spark, [("c", 3, 3.0)]), use_case_name="trips", table="t", partition="2013-04", transaction="run-2")
    assert (version.version, version.rows) == (2, 1)
    assert (names("2013-03"), names("2013-04")) == (["a", "b"], ["c"])


def test_the_same_content_makes_no_new_version_in_whatever_order(spark: SparkSession, storage_root: str) -> None:
    first = publish(spark, frame(spark, ROWS), use_case_name="trips", table="t", partition="2013-04", transaction="run-1")
    again = publish_partition(spark, frame(spark, ROWS[::-1]), use_case_name="trips", table="t", partition="2013-04", transaction="run-2")
    assert (again.version, again.unchanged) == (first, True)


def test_a_value_that_moves_to_another_column_is_other_content(spark: SparkSession, storage_root: str) -> None:
    """Spark's hash passes over NULL: (NULL, 1) and (1, NULL) would be the same."""
    rows: dict[str, list[tuple[str, int | None, float | None]]] = {"run-1": [("a", 1, None)], "run-2": [("a", None, 1.0)]}
    for run, content in rows.items():
        publish(spark, frame(spark, content), use_case_name="trips", table="t", partition="2013-04", transaction=run)
    assert read_table("trips", "t").column("share").to_pylist() == [1.0]


def test_a_run_may_publish_again_what_it_corrected(spark: SparkSession, storage_root: str) -> None:
    for content in (ROWS, ROWS[:1], ROWS):
        publish(spark, frame(spark, content), use_case_name="trips", table="t", partition="2013-04", transaction="run-1")
    assert names("2013-04") == ["a", "b"]


def test_optimizing_a_table_does_not_make_its_content_new(spark: SparkSession, storage_root: str) -> None:
    rows = frame(spark, [(f"n{number}", number, None) for number in range(40)]).repartition(8)
    version = publish(spark, rows, use_case_name="trips", table="t", partition="2013-04", transaction="run-1")
    spark.sql(f"OPTIMIZE delta.`{version.uri}`").collect()
    assert current_version("trips", "t") == 1
    found = last_commit("trips", "t", "2013-04")
    assert found is not None and found[0] == 0


def test_what_a_partition_held_at_an_earlier_version_is_told(spark: SparkSession, storage_root: str) -> None:
    """deltalake alone would number the commits of a table that is open at version 0 down from 0, beginning with the newest."""
    for run, content in (("run-1", ROWS), ("run-2", ROWS[:1])):
        publish(spark, frame(spark, content), use_case_name="trips", table="t", partition="2013-04", transaction=run)
    found = last_commits("trips", "t", ["2013-04"], version=0)["2013-04"]
    assert (found[0], found[1].transaction) == (0, "run-1")
    assert [entry["version"] for entry in history_of("trips", "t")] == [1, 0]


def test_writers_of_different_months_create_a_table_together(spark: SparkSession, storage_root: str) -> None:
    months = ["2013-01", "2013-02", "2013-03"]

    def publish_month(month: str) -> None:
        publish(spark, frame(spark, ROWS, month), use_case_name="trips", table="t", partition=month, transaction="run-1")

    with ThreadPoolExecutor(len(months)) as pool:
        list(pool.map(publish_month, months))
    assert [names(month) for month in months] == [["a", "b"]] * 3
    assert current_version("trips", "t") == 2


def test_no_commit_of_writers_at_the_same_time_is_lost(spark: SparkSession, s3_root: str) -> None:
    """On S3, where it is the server alone that keeps two writers from the same version; benchmarks/concurrent_writers.py does more."""
    months = [f"2013-0{number}" for number in range(1, 7)]

    def publish_four_times(month: str) -> list[int]:
        contents = [frame(spark, [(f"{month}-{turn}", turn, None)], month) for turn in range(4)]
        wanted = {"use_case_name": "trips", "table": "t", "partition": month}
        return [publish(spark, content, transaction=f"{month} {turn}", **wanted).version for turn, content in enumerate(contents)]

    with ThreadPoolExecutor(len(months)) as pool:
        told = dict(zip(months, pool.map(publish_four_times, months), strict=True))
    commits = {int(str(entry["version"])): str(entry["userMetadata"]) for entry in history_of("trips", "t")}
    assert sorted(commits) == sorted(version for versions in told.values() for version in versions) == list(range(24))
    assert all(f'"{month} {turn}"' in commits[version] for month, versions in told.items() for turn, version in enumerate(versions))
    assert [names(month) for month in months] == [[f"{month}-3"] for month in months]


def test_an_added_column_widens_the_table(spark: SparkSession, storage_root: str) -> None:
    publish(spark, frame(spark, ROWS, "2013-03"), use_case_name="trips", table="t", partition="2013-03", transaction="run-1")
    wider = frame(spark, ROWS).selectExpr("*", "number * 2 AS double_number")
    publish(spark, wider, use_case_name="trips", table="t", partition="2013-04", transaction="run-1")
    rows = read_table("trips", "t").sort_by([("event_month", "ascending"), ("name", "ascending")])
    assert rows.column("double_number").to_pylist() == [None, None, 2, None]


def test_only_rows_that_are_not_there_are_inserted(spark: SparkSession, storage_root: str) -> None:
    inserted = [
        insert_missing(spark, frame(spark, rows), use_case_name="trips", table="t", key="name")
        for rows in (ROWS, ROWS, [*ROWS, ("c", 3, None)])
    ]
    assert inserted == [2, 0, 1]
    assert names("2013-04") == ["a", "b", "c"]


def test_an_error_that_is_no_lost_race_is_not_tried_again(spark: SparkSession, storage_root: str) -> None:
    publish(spark, frame(spark, ROWS), use_case_name="trips", table="t", partition="2013-04", transaction="run-1")
    text = frame(spark, ROWS).selectExpr("name", "'x' AS number", "share")
    with pytest.raises(PySparkException, match="number"):
        publish(spark, text, use_case_name="trips", table="t", partition="2013-04", transaction="run-2")
