import json
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.housekeeping import RUNS_KEPT_DAYS, KeptTable, keep_house, remove_old_runs
from roundtrip.lakehouse.publish import last_commits, publish
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import current_version, open_table, read_table
from tests.roundtrip.lakehouse.trips import TRIPS

FLIGHTS: UseCase = replace(TRIPS, name="flight_eta")
"""Housekeeping looks at the tables that sql/ defines."""
MONTHS_AGO_S = 60 * 86_400


def publish_rows(spark: SparkSession, run: str, *, month: str = "2013-04", files: int = 1) -> None:
    rows = spark.range(40).selectExpr(f"concat('{run}-', id) AS flight_id", f"'{month}' AS event_month").repartition(files)
    publish(spark, rows, use_case_name="flight_eta", table="features", partition=month, transaction=run)


def cite(storage_root: str, version: int) -> None:
    """Store a model version that was trained on that version of features."""
    snapshot = Snapshot(
        use_case="flight_eta",
        partitions=("2013-04",),
        features_version=version,
        outcomes_version=0,
        rows=40,
        held_out_from="2013-04-20T00:00:00+00:00",
    )
    storage.write_bytes(f"{storage_root}/models/flight_eta/1/snapshot.json", snapshot.to_json())


def files_of(table: str) -> int:
    return len(open_table("flight_eta", table).file_uris())


def runs_at(version: int, month: str = "2013-04") -> set[str]:
    """Which runs wrote the rows that the month has at that version; raises FileNotFoundError when its files are gone."""
    ids = read_table("flight_eta", "features", version=version, partitions=[month]).column("flight_id").to_pylist()
    return {str(flight).partition("-")[0] for flight in ids}


def age(storage_root: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up as storage root a copy of the store in which all that was written and replaced was so two months earlier."""
    shutil.copytree(storage_root.removeprefix("file://"), elsewhere, ignore=shutil.ignore_patterns("*.crc"))
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", f"file://{elsewhere}")
    then = time.time() - MONTHS_AGO_S
    for path in elsewhere.rglob("*"):
        if path.suffix == ".json" and path.parent.name == "_delta_log":
            actions = [json.loads(line) for line in path.read_text().splitlines()]
            for action in actions:
                if "remove" in action:
                    action["remove"]["deletionTimestamp"] -= MONTHS_AGO_S * 1000
            path.write_text("".join(json.dumps(action) + "\n" for action in actions))
        os.utime(path, (then, then))


def keep(spark: SparkSession, registered: dict[str, set[int]] | None = None) -> KeptTable:
    (kept,) = keep_house(spark, FLIGHTS, registered=registered or {})
    assert kept.version.table == "features"
    return kept


def test_small_files_become_one_and_recent_versions_stay_readable(spark: SparkSession, storage_root: str) -> None:
    publish_rows(spark, "a", files=8)
    publish_rows(spark, "b", files=8)
    assert files_of("features") > 1
    kept = keep(spark)
    assert (kept.compacted, kept.removed_files, kept.version.version) == (True, 0, 2)
    assert files_of("features") == 1
    assert (runs_at(0), runs_at(2)) == ({"a"}, {"b"})


def test_a_table_that_needs_nothing_is_left_alone(spark: SparkSession, storage_root: str) -> None:
    publish_rows(spark, "a")
    kept = keep(spark)
    assert (kept.compacted, current_version("flight_eta", "features")) == (False, 0)


def test_old_versions_go_and_cited_ones_stay_whatever_their_age(
    spark: SparkSession, storage_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint forgets which files were removed more than a week ago: Delta's VACUUM would take those of March with it."""
    publish_rows(spark, "old", month="2013-03")
    for run in "abcde":
        publish_rows(spark, run)
    age(storage_root, tmp_path / "aged", monkeypatch)
    publish_rows(spark, "new", month="2013-03")
    open_table("flight_eta", "features").create_checkpoint()
    cite(f"file://{tmp_path}/aged", 2)
    kept = keep(spark, {"features": {4}})
    assert (kept.cited, kept.removed_files) == ((2, 4), 2)
    assert [runs_at(version) | runs_at(version, "2013-03") for version in (2, 4, 6)] == [{"b", "old"}, {"d", "old"}, {"e", "new"}]
    with pytest.raises(FileNotFoundError):
        runs_at(3)
    assert_origin_is_told("c", version=3)


def assert_origin_is_told(run: str, *, version: int) -> None:
    """Lineage reads the commits' metadata, which outlives the files: neither checkpoints nor housekeeping take it away."""
    at, commit = last_commits("flight_eta", "features", ["2013-04"], version=version)["2013-04"]
    assert (at, commit.transaction, commit.rows) == (version, run, 40)


def test_run_folders_go_when_nothing_was_written_to_them_for_long_but_for_those_that_registered_a_version(storage_root: str) -> None:
    for run in ("flight_eta.watch_drift/a", "flight_eta.watch_drift/a-1", "flight_eta.train_and_release/b", "other.ingest/c"):
        for file in ("receipts/measure_drift.json", "report.html"):
            storage.write_bytes(f"{storage_root}/runs/{run}/{file}", b"{}")
    storage.write_bytes(f"{storage_root}/runs/flight_eta.train_and_release/b/receipts/register_model.json", b"{}")
    for days, removed in ((RUNS_KEPT_DAYS - 1, []), (RUNS_KEPT_DAYS + 1, ["a", "a-1"]), (RUNS_KEPT_DAYS + 1, [])):
        found = remove_old_runs("flight_eta", now=datetime.now(UTC) + timedelta(days=days))
        assert sorted(found) == [f"{storage_root}/runs/flight_eta.watch_drift/{run}" for run in removed]
    left = [entry.uri.split("/runs/")[1].split("/") for entry in storage.list_objects(f"{storage_root}/runs/")]
    assert {f"{dag}/{run}" for dag, run, *_ in left} == {"flight_eta.train_and_release/b", "other.ingest/c"}
