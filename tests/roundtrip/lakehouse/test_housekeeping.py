from dataclasses import replace

from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.housekeeping import SHORTEST_RETENTION_H, keep_house
from roundtrip.lakehouse.publish import publish
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import open_table, read_table
from tests.roundtrip.lakehouse.trips import TRIPS

FLIGHTS: UseCase = replace(TRIPS, name="flight_eta")
"""Housekeeping looks at the tables that sql/ defines."""


def publish_many_files(spark: SparkSession, run: str) -> None:
    rows = spark.range(40).selectExpr(f"concat('{run}-', id) AS flight_id", "'2013-04' AS event_month").repartition(8)
    publish(spark, rows, use_case_name="flight_eta", table="features", partition="2013-04", transaction=run)


def files_of(table: str) -> int:
    return len(open_table("flight_eta", table).file_uris())


def test_small_files_become_one_and_a_cited_version_stays_readable(spark: SparkSession, storage_root: str) -> None:
    publish_many_files(spark, "a")
    publish_many_files(spark, "b")
    assert files_of("features") > 1
    cited = Snapshot(
        use_case="flight_eta",
        partitions=("2013-04",),
        features_version=0,
        outcomes_version=0,
        rows=40,
        held_out_from="2013-04-20T00:00:00+00:00",
    )
    storage.write_bytes(f"{storage_root}/models/flight_eta/1/snapshot.json", cited.to_json())
    kept = keep_house(spark, FLIGHTS)
    assert [(table.version.table, table.retention_h) for table in kept] == [("features", SHORTEST_RETENTION_H)]
    assert files_of("features") == 1
    assert read_table("flight_eta", "features", version=0).column("flight_id").to_pylist()[0].startswith("a-")
    assert read_table("flight_eta", "features").num_rows == 40
