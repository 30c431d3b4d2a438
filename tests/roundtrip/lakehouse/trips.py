"""A small use case for tests: trips land as CSV, become a table, and that one becomes another with what the month before knew."""

from __future__ import annotations

from pathlib import Path

from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.contracts.use_cases import Baseline, Feed, Input, Output, UseCase
from roundtrip.lakehouse.landing import land

FEED = Feed(name="trips", dag="ingest", sources=("trips",), stages=(("raw_trips",), ("features",)), emits="features")
TRIPS = UseCase(
    name="trips",
    title="Trips",
    owner="tests",
    description="",
    feeds=(FEED,),
    features_table="features",
    outcomes_table="outcomes",
    predictions_table="predictions",
    key=("trip_id",),
    label="late_minutes",
    inputs=(Input(name="minutes", kind="number", unit="min", meaning="taken"),),
    outputs=(Output(name="late_minutes", unit="min", quantile=0.5),),
    baseline=Baseline(column="minutes", meaning="as it is"),
    slices=(),
    prediction_time="left_at",
    row_limit=0.25,
)

SCHEMA = """
grain: one trip
owner: tests
freshness: P35D
source: trips
null_text: NA
key: [trip_id]
rules:
  - {must: "date_format(left_at, 'yyyy-MM') = session.this_partition", otherwise: lies outside the partition}
columns:
  trip_id: {type: string, unit: key, meaning: names the trip}
  left_at: {type: timestamp, unit: UTC, meaning: departure}
  minutes: {type: int, unit: min, minimum: 0, maximum: 600, meaning: taken}
  city: {type: string, unit: name, nullable: true, values: [Ulm, Bonn], meaning: where it went}
  clock: {type: int, unit: HHMM, nullable: true, must: clock % 100 < 60, otherwise: is no HHMM, meaning: as the driver noted}
"""
CHECKS = """
- {expect: column_max_to_be_between, column: minutes, max_value: 500, level: fails, because: nobody drives that long.}
- {expect: column_values_to_not_be_null, column: city, level: warns, because: the city explains much.}
"""
FEATURES_SCHEMA = """
grain: one trip
owner: tests
freshness: P35D
key: [trip_id]
reads: {raw_trips: 1}
columns:
  trip_id: {type: string, unit: key, meaning: names the trip}
  left_at: {type: timestamp, unit: UTC, meaning: departure}
  minutes: {type: double, unit: min, meaning: taken}
  known_trips: {type: int, unit: number, meaning: trips that the query sees}
"""
FEATURES_QUERY = """
SELECT trip_id, event_month, left_at, CAST(minutes AS DOUBLE) AS minutes, CAST((SELECT count(*) FROM raw_trips) AS INT) AS known_trips
FROM raw_trips
WHERE event_month = session.this_partition
"""
HEADER = "trip_id,left_at,minutes,city,clock"
GOOD = ("a,2013-04-01T10:00:00Z,30,Ulm,1000", "b,2013-04-02T10:00:00Z,40,Bonn,NA", "c,2013-04-03T10:00:00Z,50,Ulm,2359")


def write_definitions(root: Path) -> Path:
    """The definitions as files below `root`, as sql/ has them; gives root."""
    files = {
        "raw_trips/schema.yaml": SCHEMA,
        "raw_trips/checks.yaml": CHECKS,
        "features/schema.yaml": FEATURES_SCHEMA,
        "features/query.sql": FEATURES_QUERY,
    }
    for name, content in files.items():
        path = root / TRIPS.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def land_trips(*lines: str, month: str = "2013-04", header: str = HEADER) -> None:
    land(TRIPS.name, FEED, month, {"trips": "\n".join([header, *lines, ""]).encode()})


def run_folder(storage_root: str, run: str = "1") -> RunFolder:
    return RunFolder(storage.join(storage_root, "runs", "trips.ingest", run))


def new_receipt() -> Receipt:
    return Receipt("build_table", TRIPS.name)
