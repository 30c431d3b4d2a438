"""A slice of the real flights in whose second month everything arrives later, in a heat that the first month never saw.

The first model has not seen the heat, so it must decay; a second one can learn the delay from the temperature, the baseline can't.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from roundtrip.lakehouse import landing
from use_cases.flight_eta.declaration import USE_CASE
from use_cases.flight_eta.replay import SOURCE_DATA, month_files

PERCENT = 70
"""Percent of a month's flights that land: with fewer the tables' checks rightly refuse the month as truncated."""
WARMER_F, LATER_MINUTES = 50, 40
"""What is added to the second month's temperatures (°F; January's end below 70) and to its outcomes."""
TURNED = {"weather": ("temp", WARMER_F), "outcomes": ("arr_delay", LATER_MINUTES)}
"""Source → its column, and what is added to each of its values."""
KEY = ("year", "month", "day", "carrier", "flight", "origin")


class SmallYear:
    """A replay (roundtrip.cli.demo.replay) of two months."""

    TRAINING_MONTHS: tuple[str, ...] = ("2013-01",)
    REPLAYED_MONTHS: tuple[str, ...] = ("2013-02",)

    def __init__(self, source_data: Path = SOURCE_DATA) -> None:
        self._source_data = source_data

    def land_month(self, feed: str, month: str) -> None:
        files: dict[str, Iterable[str]] = {**month_files(feed, month, self._source_data)}
        for source in files.keys() & {"flights", "outcomes"}:
            files[source] = _slice(files[source])
        if month in self.REPLAYED_MONTHS:
            files |= {source: _add(files[source], *added) for source, added in TURNED.items() if source in files}
        landing.land(USE_CASE.name, USE_CASE.feed(feed), month, {source: "".join(lines).encode() for source, lines in files.items()})

    def landed_months(self, feed: str) -> set[str]:
        return landing.landed(USE_CASE.name, USE_CASE.feed(feed))


def _slice(lines: Iterable[str]) -> Iterator[str]:
    """The header and PERCENT of the rows, chosen by the flight's key: the same flights in every file."""
    rows = iter(lines)
    header = next(rows)
    places = [header.strip().split(",").index(name) for name in KEY]
    yield header
    for line in rows:
        values = line.strip().split(",")
        if zlib.crc32("/".join(values[place] for place in places).encode()) % 100 < PERCENT:
            yield line


def _add(lines: Iterable[str], column: str, added: float) -> Iterator[str]:
    """The lines with `added` added to each known value of the column."""
    rows = iter(lines)
    header = next(rows)
    place = header.strip().split(",").index(column)
    yield header
    for line in rows:
        values = line.strip().split(",")
        if values[place] != "NA":
            values[place] = f"{float(values[place]) + added:g}"
        yield ",".join(values) + "\n"
