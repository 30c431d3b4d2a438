from pathlib import Path

import pytest

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadPartition, SetUpIncomplete
from use_cases.flight_eta import replay

FLIGHTS = """year,month,day,dep_time,arr_delay,carrier,flight,origin
2013,1,31,2355,11,UA,1,EWR
2013,2,1,517,NA,UA,2,EWR
2013,2,1,600,-3,AA,3,JFK
2013,12,1,600,4,AA,4,JFK
"""


@pytest.fixture
def source_data(storage_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source_data"
    folder.mkdir()
    monkeypatch.setattr(replay, "SOURCE_DATA", folder)
    (folder / "flights.csv").write_text(FLIGHTS)
    (folder / "weather.csv").write_text("origin,year,month,temp\nEWR,2013,1,30\nEWR,2013,2,31\n")
    for register in replay.REGISTERS:
        (folder / f"{register}.csv").write_text(f"{register}\n1\n2\n")
    return folder


def landed_text(storage_root: str, feed: str, source: str) -> str:
    return storage.read_bytes(f"{storage_root}/landing/flight_eta/{feed}/2013-02/{source}").decode()


@pytest.mark.usefixtures("source_data")
def test_a_month_of_flights_and_weather_lands_with_whole_registers(storage_root: str) -> None:
    replay.land_month("operations", "2013-02")
    lines = FLIGHTS.splitlines()
    assert landed_text(storage_root, "operations", "flights.csv").splitlines() == [lines[0], *lines[2:4]]
    assert landed_text(storage_root, "operations", "weather.csv") == "origin,year,month,temp\nEWR,2013,2,31\n"
    assert landed_text(storage_root, "operations", "planes.csv") == "planes\n1\n2\n"
    assert replay.landed_months("operations") == {"2013-02"}


@pytest.mark.usefixtures("source_data")
def test_outcomes_are_the_arrivals_of_flights_that_arrived(storage_root: str) -> None:
    replay.land_month("outcomes", "2013-02")
    assert landed_text(storage_root, "outcomes", "outcomes.csv") == (
        "year,month,day,carrier,flight,origin,arr_delay\n2013,2,1,AA,3,JFK,-3\n"
    )  # fmt: skip
    assert replay.landed_months("operations") == set()


@pytest.mark.usefixtures("source_data")
def test_a_month_that_has_landed_is_not_landed_again(storage_root: str) -> None:
    replay.land_month("operations", "2013-02")
    flights = f"{storage_root}/landing/flight_eta/operations/2013-02/flights.csv"
    storage.write_bytes(flights, b"taken")
    replay.land_month("operations", "2013-02")
    assert storage.read_bytes(flights) == b"taken"


def test_a_month_that_the_data_lacks_is_refused(source_data: Path) -> None:
    with pytest.raises(BadPartition, match="2014-01"):
        replay.month_files("operations", "2014-01", source_data)


def test_missing_source_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetUpIncomplete, match=r"flights\.csv is missing"):
        replay.month_files("operations", "2013-02", tmp_path)
