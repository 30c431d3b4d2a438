"""A small slice of the real flights whose outcomes turn over after the first month, so that the first model must decay.

In the first month flights from EWR arrive SHIFT minutes later than they did and those from JFK as much earlier; in the second it is the
other way round. A model can learn either from the origin, the baseline can learn neither.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from roundtrip.contracts.settings import REPOSITORY
from roundtrip.lakehouse import landing
from use_cases.flight_eta.declaration import USE_CASE
from use_cases.flight_eta.replay import month_files

SOURCE_DATA = REPOSITORY / ".roundtrip" / "source_data"
SHIFT = 40
SHIFTS: Mapping[str, Mapping[str, int]] = {"2013-01": {"EWR": SHIFT, "JFK": -SHIFT}, "2013-02": {"EWR": -SHIFT, "JFK": SHIFT}}
"""Month → origin → minutes added to the outcome."""
PERCENT = {"2013-01": 25, "2013-02": 100}
"""Month → percent of its flights: the second month must outweigh the first in what the second model learns."""
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
            files[source] = _slice(files[source], PERCENT[month])
        if "outcomes" in files:
            files["outcomes"] = _shift(files["outcomes"], SHIFTS[month])
        landing.land(USE_CASE.name, USE_CASE.feed(feed), month, {source: "".join(lines).encode() for source, lines in files.items()})

    def landed_months(self, feed: str) -> set[str]:
        return landing.landed(USE_CASE.name, USE_CASE.feed(feed))


def _slice(lines: Iterable[str], percent: int) -> Iterator[str]:
    """The header and `percent` of the rows, chosen by the flight's key: the same flights in every file."""
    rows = iter(lines)
    header = next(rows)
    places = [header.strip().split(",").index(name) for name in KEY]
    yield header
    for line in rows:
        values = line.strip().split(",")
        if zlib.crc32("/".join(values[place] for place in places).encode()) % 100 < percent:
            yield line


def _shift(lines: Iterable[str], minutes: Mapping[str, int]) -> Iterator[str]:
    rows = iter(lines)
    header = next(rows)
    names = header.strip().split(",")
    yield header
    for line in rows:
        row = dict(zip(names, line.strip().split(","), strict=True))
        row["arr_delay"] = str(int(row["arr_delay"]) + minutes.get(row["origin"], 0))
        yield ",".join(row.values()) + "\n"
