import logging

import pytest

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName, BadPartition, MissingSource, NothingLanded
from roundtrip.lakehouse.landing import claim, landed, landing_uri, source_uri
from tests.roundtrip.lakehouse.trips import FEED, GOOD, TRIPS, land_trips


def test_a_landed_partition_is_claimed_by_one_run_only(storage_root: str) -> None:
    land_trips(*GOOD, month="2013-04")
    land_trips(*GOOD, month="2013-02")
    assert claim(TRIPS.name, FEED, run_folder="run-1") == ["2013-02", "2013-04"]
    with pytest.raises(NothingLanded, match="_READY"):
        claim(TRIPS.name, FEED, run_folder="run-2")
    assert landed(TRIPS.name, FEED) == {"2013-02", "2013-04"}


def test_a_run_tried_again_finds_what_it_claimed(storage_root: str) -> None:
    land_trips(*GOOD, month="2013-04")
    claim(TRIPS.name, FEED, run_folder="run-1")
    land_trips(*GOOD, month="2013-05")
    assert claim(TRIPS.name, FEED, run_folder="run-1") == ["2013-04", "2013-05"]


def test_files_that_land_again_are_claimed_again(storage_root: str) -> None:
    for run in ("run-1", "run-2"):
        land_trips(*GOOD)
        assert claim(TRIPS.name, FEED, run_folder=run) == ["2013-04"]


def test_months_asked_for_by_hand_are_claimed_whoever_had_them(storage_root: str) -> None:
    land_trips(*GOOD)
    claim(TRIPS.name, FEED, run_folder="run-1")
    assert claim(TRIPS.name, FEED, run_folder="run-2", partitions=["2013-04"]) == ["2013-04"]
    with pytest.raises(MissingSource, match="2013-06 has not landed"):
        claim(TRIPS.name, FEED, run_folder="run-3", partitions=["2013-04", "2013-06"])


def test_a_marker_in_a_folder_that_is_no_month_holds_up_no_other(storage_root: str, caplog: pytest.LogCaptureFixture) -> None:
    storage.write_bytes(f"{landing_uri(TRIPS.name, FEED.name)}/2013-13/_READY", b"")
    with pytest.raises(BadPartition, match="2013-13"):
        claim(TRIPS.name, FEED, run_folder="run-1")
    land_trips(*GOOD)
    with caplog.at_level(logging.WARNING):
        assert claim(TRIPS.name, FEED, run_folder="run-2") == ["2013-04"]
    assert "'2013-13', which is no month" in caplog.text


@pytest.mark.parametrize("name", ["trips'; DROP TABLE x; --", "../trips", "Trips", ""])
def test_a_name_with_more_than_a_name_in_it_is_refused(storage_root: str, name: str) -> None:
    with pytest.raises(BadName):
        source_uri(name, FEED.name, "2013-04", "trips")
    with pytest.raises(BadName):
        source_uri(TRIPS.name, FEED.name, "2013-04", name)
