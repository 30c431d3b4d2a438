from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.contracts import storage
from roundtrip.contracts.use_cases import Feed
from roundtrip.lakehouse.dependents import ask_other_feeds, dependents, superseded
from roundtrip.lakehouse.landing import claim, land, landed
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import read_table
from tests.roundtrip.lakehouse.conftest import BuildTrips
from tests.roundtrip.lakehouse.trips import FEED, TRIPS, land_trips, write_definitions

DELAYS = Feed(name="delays", dag="ingest_delays", sources=("delays",), stages=(("delays",), ("outcomes",)), emits="outcomes")
TWO_FEEDS = replace(TRIPS, feeds=(FEED, DELAYS))
DELAYS_SCHEMA = """
grain: one delay
owner: tests
freshness: P35D
source: delays
key: [trip_id]
columns: {trip_id: {type: string, unit: key, meaning: names the trip}}
"""
OUTCOMES_SCHEMA = DELAYS_SCHEMA.replace("source: delays", "reads: {delays: 0, raw_trips: 1}")

MONTHS = ("2013-02", "2013-03", "2013-04")


@pytest.fixture
def three_months(build: BuildTrips) -> BuildTrips:
    """Raw trips and features of three months; a month's features look back into the month before."""
    for month in MONTHS:
        land_trips(f"a,{month}-01T10:00:00Z,30,Ulm,NA", month=month)
        build(partition=month)
        build("features", partition=month)
    return build


def correct(build: BuildTrips, month: str) -> None:
    land_trips(f"a,{month}-01T10:00:00Z,30,Ulm,NA", f"b,{month}-02T10:00:00Z,40,Ulm,NA", month=month)
    for table in ("raw_trips", "features"):
        build(table, partition=month, run="corrected")


def cite(storage_root: str, version: str, *, features_version: int, partitions: tuple[str, ...]) -> None:
    snapshot = Snapshot(
        use_case="trips", partitions=partitions, features_version=features_version, outcomes_version=0, rows=3,
        held_out_from="2013-04-20T00:00:00+00:00",
    )  # fmt: skip
    storage.write_bytes(f"{storage_root}/models/trips/{version}/snapshot.json", snapshot.to_json())


def test_the_months_that_look_back_into_a_corrected_one_depend_on_it(three_months: BuildTrips, tmp_path: Path) -> None:
    root = tmp_path / "sql"
    assert dependents(TRIPS, FEED, ["2013-02"], root=root) == ["2013-03"]
    assert dependents(TRIPS, FEED, ["2013-02", "2013-03"], root=root) == ["2013-04"]
    assert dependents(TRIPS, FEED, ["2013-04"], root=root) == []


def test_a_correction_changes_what_depends_on_it_and_nothing_else(three_months: BuildTrips) -> None:
    correct(three_months, "2013-02")
    unchanged = {month: three_months("features", partition=month, run="corrected").figures["unchanged"] for month in MONTHS[1:]}
    assert unchanged == {"2013-03": False, "2013-04": True}
    assert sorted(read_table("trips", "features").column("known_trips").to_pylist()) == [2, 2, 2, 3]


def test_models_trained_on_what_was_replaced_are_found_and_no_others(three_months: BuildTrips, storage_root: str) -> None:
    cite(storage_root, "1", features_version=2, partitions=MONTHS)
    cite(storage_root, "2", features_version=2, partitions=("2013-03", "2013-04"))
    assert superseded(TRIPS, "2013-02") == {}
    correct(three_months, "2013-02")
    cite(storage_root, "3", features_version=3, partitions=MONTHS)
    assert superseded(TRIPS, "2013-02") == {"1": "features 2 → 3"}


@pytest.fixture
def two_feeds(tmp_path: Path) -> Path:
    """Definitions where the table `outcomes`, of another feed, reads this feed's trips of its month and the month before."""
    root = write_definitions(tmp_path / "sql")
    for table, schema in (("delays", DELAYS_SCHEMA), ("outcomes", OUTCOMES_SCHEMA)):
        (root / "trips" / table).mkdir()
        (root / "trips" / table / "schema.yaml").write_text(schema)
    (root / "trips" / "outcomes" / "query.sql").write_text("SELECT trip_id, event_month FROM delays JOIN raw_trips USING (trip_id)")
    return root


@pytest.mark.usefixtures("storage_root")
def test_a_month_of_another_feed_that_reads_a_changed_one_is_claimed_by_its_next_run(two_feeds: Path) -> None:
    for month in ("2013-01", *MONTHS):
        land("trips", DELAYS, month, {"delays": b"trip_id\na\n"})
    claim("trips", DELAYS, run_folder="first")
    assert ask_other_feeds(TWO_FEEDS, "raw_trips", "2013-02", root=two_feeds) == ["delays 2013-02", "delays 2013-03"]
    assert claim("trips", DELAYS, run_folder="second") == ["2013-02", "2013-03"]


@pytest.mark.usefixtures("storage_root")
def test_months_that_have_not_landed_and_tables_of_the_same_feed_are_left_alone(two_feeds: Path) -> None:
    land("trips", DELAYS, "2013-01", {"delays": b"trip_id\na\n"})
    land("trips", FEED, "2013-02", {"trips": b""})
    assert ask_other_feeds(TWO_FEEDS, "raw_trips", "2013-02", root=two_feeds) == []
    assert ask_other_feeds(TWO_FEEDS, "delays", "2013-01", root=two_feeds) == []
    assert ask_other_feeds(TWO_FEEDS, "features", "2013-02", root=two_feeds) == []
    assert landed("trips", DELAYS) == {"2013-01"}
