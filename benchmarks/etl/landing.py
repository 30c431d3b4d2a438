"""Land a month of flight_eta's operations with `factor` times its flights: `python landing.py SOURCE_DATA MONTH FACTOR FOLDER`.

Copy k of a flight leaves k days later, within its month, with 10,000·k added to its flight number. So the moments lie `factor` times
as dense, at the same airports: windows over time ranges hold `factor` times the rows. Runs in the peers' environment (DuckDB).
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

FLIGHTS = """
    WITH flights AS (
        SELECT *, day(last_day(make_date(year, month, 1))) AS days
        FROM read_csv($source, nullstr = 'NA')
        WHERE year = $year AND month = $month
    ),
    copies AS (
        SELECT flights.*, copy, (day - 1 + copy) % days + 1 AS day_of_copy
        FROM flights CROSS JOIN (SELECT range AS copy FROM range($factor))
    ),
    moved AS (SELECT *, make_timestamp(year, month, day_of_copy, hour, 0, 0) AT TIME ZONE 'America/New_York' AS leaves FROM copies)
    SELECT * EXCLUDE (copy, days, day_of_copy, leaves) REPLACE (
        day_of_copy AS day,
        flight + 10000 * copy AS flight,
        strftime(leaves AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ') AS time_hour
    )
    FROM moved ORDER BY copy
"""
# without the report of 1,048 mph in February: Roundtrip's contract refuses it, the peers have none
WEATHER = """
    SELECT * FROM read_csv($source, all_varchar = true)
    WHERE year::INT = $year AND month::INT = $month AND coalesce(try_cast(wind_speed AS DOUBLE), 0) < 200
"""
REGISTER = "SELECT * FROM read_csv($source, all_varchar = true)"


def main(source_data: Path, month: str, factor: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    year_and_month = {"year": int(month[:4]), "month": int(month[5:])}
    _write(FLIGHTS, source_data / "flights.csv", folder, **year_and_month, factor=factor)
    _write(WEATHER, source_data / "weather.csv", folder, **year_and_month)
    for register in ("planes", "airports", "airlines"):
        _write(REGISTER, source_data / f"{register}.csv", folder)


def _write(query: str, source: Path, folder: Path, **values: int) -> None:
    rows = duckdb.sql(query, params={"source": str(source), **values})
    rows.write_csv(str(folder / source.name), na_rep="NA" if source.name == "flights.csv" else "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
