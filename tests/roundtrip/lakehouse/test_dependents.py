from pathlib import Path

import pytest

from roundtrip.contracts import storage
from roundtrip.lakehouse.dependents import dependents, superseded
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import read_table
from tests.roundtrip.lakehouse.conftest import BuildTrips
from tests.roundtrip.lakehouse.trips import FEED, TRIPS, land_trips

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
