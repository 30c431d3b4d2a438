import json
from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.errors import UnknownModelVersion, UnknownPrediction
from roundtrip.lakehouse.landing import source_uri
from roundtrip.lakehouse.lineage import Lineage, prediction_of, snapshot_of, trace
from roundtrip.lakehouse.prediction_log import collect_predictions
from roundtrip.lakehouse.publish import publish
from roundtrip.lakehouse.snapshot import Snapshot, take_snapshot
from tests.roundtrip.lakehouse.conftest import BuildTrips
from tests.roundtrip.lakehouse.trips import FEED, GOOD, TRIPS, land_trips

LATE = "d,2013-04-28T10:00:00Z,60,Ulm,1000"
MARCH = tuple(line.replace("2013-04", "2013-03") for line in GOOD)


@pytest.fixture
def snapshot(spark: SparkSession, build: BuildTrips) -> Snapshot:
    """Of April, whose features look back into March; outcomes come from a writer that does not say where from."""
    land_trips(*MARCH, month="2013-03")
    land_trips(*GOOD, LATE)
    for month in ("2013-03", "2013-04"):
        build("raw_trips", partition=month)
    build("features", run="2")
    outcomes = spark.createDataFrame([(key, 5, "2013-04") for key in "abcd"], "trip_id string, late_minutes int, event_month string")
    publish(spark, outcomes, use_case_name="trips", table="outcomes", partition="2013-04", transaction="by hand")
    return take_snapshot(TRIPS, "2013-04")


def traced(snapshot: Snapshot) -> Lineage:
    return trace(TRIPS, snapshot)


def test_a_models_rows_lead_to_the_landed_files_as_far_as_their_writers_tell(storage_root: str, snapshot: Snapshot) -> None:
    found = traced(snapshot)
    assert found.pinned == ("features 2013-04 version 0", "outcomes 2013-04 version 0")
    features = found.partitions["features 2013-04 version 0"]
    assert (features.rows, features.made_from) == (4, ("raw_trips 2013-03 version 0", "raw_trips 2013-04 version 1"))
    assert features.written_by == f"{storage_root}/runs/trips.ingest/2 features"
    (file,) = found.partitions["raw_trips 2013-04 version 1"].files
    uri = source_uri("trips", FEED.name, "2013-04", "trips")
    assert (file.uri, file.sha256, file.now) == (uri, storage.sha256(uri), "the same")
    assert features.holds
    outcomes = found.partitions["outcomes 2013-04 version 0"]
    assert (outcomes.known, outcomes.holds, outcomes.written_by) == (False, False, "by hand")


def test_what_was_pinned_is_followed_and_a_file_that_landed_again_or_is_gone_is_said_so(build: BuildTrips, snapshot: Snapshot) -> None:
    land_trips(*GOOD[:2], LATE)
    build("raw_trips", run="3")
    storage.delete(source_uri("trips", FEED.name, "2013-03", "trips"))
    found = traced(snapshot).partitions
    assert found["features 2013-04 version 0"].made_from == ("raw_trips 2013-03 version 0", "raw_trips 2013-04 version 1")
    names = ("raw_trips 2013-03 version 0", "raw_trips 2013-04 version 1")
    assert [(found[name].files[0].now, found[name].holds) for name in names] == [("gone", False), ("changed", False)]


def test_a_prediction_is_found_by_its_id(spark: SparkSession, storage_root: str) -> None:
    line = {
        "prediction_id": "p-1", "request_id": "r", "key": {"trip_id": "a"}, "event_month": "2013-04", "model_version": "7",
        "predicted_at": datetime(2013, 4, 1, tzinfo=UTC).isoformat(), "served_by": "triton", "inputs": {}, "outputs": {},
    }  # fmt: skip
    storage.write_bytes(f"{storage_root}/prediction_log/trips/a.jsonl", json.dumps(line).encode())
    collect_predictions(spark, "trips")
    found = prediction_of("trips", "p-1")
    assert (found.model_version, found.key) == ("7", '{"trip_id":"a"}')
    with pytest.raises(UnknownPrediction, match=r"no prediction 'p-2': .*collect_predictions"):
        prediction_of("trips", "p-2")


def test_an_unknown_model_version_is_refused_with_the_known_ones(storage_root: str) -> None:
    snapshot = Snapshot(
        use_case="trips", partitions=("2013-04",), features_version=0, outcomes_version=0, rows=4, held_out_from="2013-04-14T10:00:00+00:00"
    )  # fmt: skip
    for version in ("2", "10"):
        storage.write_bytes(f"{storage_root}/models/trips/{version}/snapshot.json", snapshot.to_json())
    assert snapshot_of("trips", "10") == snapshot
    with pytest.raises(UnknownModelVersion, match=r"no model version '3' of trips in the store \(there: 2, 10\)"):
        snapshot_of("trips", "3")
