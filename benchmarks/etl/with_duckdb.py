"""The tables of flight_eta's operations, by DuckDB: `python -m benchmarks.etl.with_duckdb LANDED LAKEHOUSE MONTH` builds a month of them.

The same Delta tables that Roundtrip's jobs build, without contract, quarantine, checks, lineage or a fingerprint: what the bench of
run.py compares them with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from benchmarks.etl.delta import replace_month
from roundtrip.contracts.names import months_back

RAW = {
    "flights": "year INT, month INT, day INT, dep_time INT, sched_dep_time INT, dep_delay INT, arr_time INT, sched_arr_time INT, "
    "arr_delay INT, carrier VARCHAR, flight INT, tailnum VARCHAR, origin VARCHAR, dest VARCHAR, air_time INT, distance INT, hour INT, "
    "minute INT, time_hour TIMESTAMPTZ",
    "weather": "origin VARCHAR, year INT, month INT, day INT, hour INT, temp DOUBLE, dewp DOUBLE, humid DOUBLE, wind_dir DOUBLE, "
    "wind_speed DOUBLE, wind_gust DOUBLE, precip DOUBLE, pressure DOUBLE, visib DOUBLE, time_hour TIMESTAMPTZ",
    "planes": "tailnum VARCHAR, year INT, type VARCHAR, manufacturer VARCHAR, model VARCHAR, engines INT, seats INT, speed INT, "
    "engine VARCHAR",
    "airports": "faa VARCHAR, name VARCHAR, lat DOUBLE, lon DOUBLE, alt INT, tz DOUBLE, dst VARCHAR, tzone VARCHAR",
    "airlines": "carrier VARCHAR, name VARCHAR",
}
"""Source → its columns and their types, in the order of the file."""

CLEAN_FLIGHTS = """
WITH time_zones AS (
    SELECT faa AS airport, tzone AS time_zone FROM raw_airports WHERE tzone IS NOT NULL
    UNION ALL
    SELECT airport, time_zone FROM (VALUES
        ('SJU', 'America/Puerto_Rico'), ('BQN', 'America/Puerto_Rico'), ('PSE', 'America/Puerto_Rico'), ('STT', 'America/St_Thomas')
    ) AS missing (airport, time_zone)
    WHERE airport NOT IN (SELECT faa FROM raw_airports WHERE tzone IS NOT NULL)
),
departures AS (
    SELECT flights.*, time_zone, time_hour + to_minutes(minute) AS scheduled_departure_at
    FROM raw_flights AS flights LEFT JOIN time_zones ON flights.dest = time_zones.airport
),
at_destination AS (
    SELECT
        *,
        timezone(time_zone, scheduled_departure_at) AS departure_clock,
        (sched_arr_time // 100) * 60 + sched_arr_time % 100 - (hour(departure_clock) * 60 + minute(departure_clock)) AS minutes_apart
    FROM departures
),
scheduled AS (
    SELECT *, timezone(time_zone, departure_clock + to_minutes((minutes_apart % 1440 + 1440) % 1440)) AS scheduled_arrival_at
    FROM at_destination
)
SELECT
    format('{:04d}-{:02d}-{:02d}_{}_{}_{}', year, month, day, carrier, flight, origin) AS flight_id,
    carrier,
    flight AS flight_number,
    tailnum AS tail_number,
    origin,
    dest AS destination,
    CASE WHEN dep_delay IS NULL THEN 'cancelled' WHEN arr_delay IS NULL THEN 'diverted' ELSE 'arrived' END AS status,
    scheduled_departure_at,
    scheduled_departure_at + to_minutes(dep_delay) AS pushed_back_at,
    scheduled_arrival_at + to_minutes(CASE WHEN dep_delay IS NOT NULL THEN arr_delay END) AS arrived_at,
    round(hour + minute / 60, 4) AS scheduled_departure_hour,
    isodow(make_date(year, month, day))::INT AS day_of_week,
    date_diff('minute', scheduled_departure_at, scheduled_arrival_at)::INT AS scheduled_minutes,
    dep_delay AS departure_delay_minutes,
    arr_delay AS arrival_delay_minutes,
    air_time AS air_time_minutes,
    distance AS distance_miles,
    event_month
FROM scheduled
"""
CLEAN_WEATHER = """
SELECT
    origin || '_' || strftime(time_hour, '%Y-%m-%d-%H') AS report_id, origin, time_hour + INTERVAL 1 HOUR AS known_at,
    temp AS temperature_f, humid AS humidity_percent, wind_dir AS wind_from_degrees, wind_speed AS wind_speed_mph,
    precip AS precipitation_inches, pressure AS pressure_hpa, visib AS visibility_miles, event_month
FROM raw_weather
"""
FEATURES = """
WITH flights AS (
    SELECT
        clean_flights.*,
        floor(degrees(atan2(airports.lat - 40.7, (airports.lon + 73.9) * cos(radians(40.7)))) / 30) AS direction,
        CASE WHEN distance_miles <= 600 THEN 600 WHEN distance_miles <= 1200 THEN 1200 WHEN distance_miles <= 2000 THEN 2000 END AS band,
        arrival_delay_minutes - departure_delay_minutes AS gain_minutes,
        date_diff('minute', pushed_back_at, arrived_at) - air_time_minutes AS ground_minutes
    FROM clean_flights LEFT JOIN raw_airports AS airports ON destination = airports.faa
    WHERE pushed_back_at IS NOT NULL
),
on_one_line AS (
    SELECT
        *,
        pushed_back_at AS moment,
        'push_back' AS kind,
        NULL::INT AS arrived_scheduled, NULL::INT AS arrived_air_time, NULL::INT AS arrived_ground, NULL::INT AS arrived_gain,
        departure_delay_minutes AS left_delay
    FROM flights
    UNION ALL
    SELECT *, arrived_at, 'arrival', scheduled_minutes, air_time_minutes, ground_minutes, gain_minutes, NULL FROM flights
),
moments AS (
    SELECT *, epoch_us(moment) // 60000000 AS minute, moment::DATE AS day_of_moment FROM on_one_line
    WHERE moment >= getvariable('month_start') - INTERVAL 30 DAYS
),
route_days AS (
    SELECT
        origin, destination, day_of_moment,
        sum(arrived_scheduled) AS scheduled_sum, count(arrived_scheduled) AS scheduled_count,
        sum(arrived_air_time) AS air_time_sum, count(arrived_air_time) AS air_time_count,
        sum(arrived_ground) AS ground_sum, count(arrived_ground) AS ground_count,
        sum(arrived_gain) AS gain_sum, count(arrived_gain) AS gain_count
    FROM moments GROUP BY ALL
),
usual AS (
    SELECT
        origin, destination, day_of_moment,
        sum(scheduled_sum) OVER days / nullif(sum(scheduled_count) OVER days, 0) AS usual_scheduled,
        sum(air_time_sum) OVER days / nullif(sum(air_time_count) OVER days, 0) AS usual_air_time,
        sum(ground_sum) OVER days / nullif(sum(ground_count) OVER days, 0) AS usual_ground,
        sum(gain_sum) OVER days / nullif(sum(gain_count) OVER days, 0) AS usual_gain
    FROM route_days
    WINDOW days AS (
        PARTITION BY origin, destination
        ORDER BY day_of_moment RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING
    )
),
of_the_flight_number AS (
    SELECT *, avg(arrived_gain) OVER last_28d AS flight_gain_28d
    FROM moments INNER JOIN usual USING (origin, destination, day_of_moment)
    WHERE kind = 'arrival' OR moment >= getvariable('month_start') - INTERVAL 1 DAY
    WINDOW last_28d AS (PARTITION BY carrier, flight_number ORDER BY minute RANGE BETWEEN 40320 PRECEDING AND CURRENT ROW)
),
last_days AS (
    SELECT
        *,
        round((arrived_air_time - usual_air_time) * 1000)::BIGINT AS air_time_excess,
        round((arrived_ground - usual_ground) * 1000)::BIGINT AS ground_excess,
        CASE WHEN arrived_air_time - usual_air_time IS NOT NULL THEN distance_miles END AS arrived_miles
    FROM of_the_flight_number WHERE moment >= getvariable('month_start') - INTERVAL 1 DAY
),
known AS (
    SELECT
        *,
        avg(arrived_gain) OVER last_3h AS gain_3h,
        avg(arrived_gain) OVER last_6h AS gain_6h,
        avg(arrived_gain) OVER last_24h AS gain_24h,
        avg(air_time_excess) OVER last_4h AS air_time_4h,
        avg(air_time_excess) OVER last_12h AS air_time_12h,
        sum(air_time_excess) OVER like_it / nullif(sum(arrived_miles) OVER like_it, 0) AS air_time_per_1000_miles,
        avg(air_time_excess) OVER that_way AS direction_air_time_4h,
        avg(ground_excess) OVER last_1h AS ground_1h,
        avg(left_delay) OVER last_1h AS departure_delay_1h,
        count(left_delay) OVER last_30m AS departures_30m
    FROM last_days
    WINDOW
        last_3h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN 180 PRECEDING AND CURRENT ROW),
        last_4h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN 240 PRECEDING AND CURRENT ROW),
        last_6h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN 360 PRECEDING AND CURRENT ROW),
        last_12h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN 720 PRECEDING AND CURRENT ROW),
        last_24h AS (PARTITION BY destination ORDER BY minute RANGE BETWEEN 1440 PRECEDING AND CURRENT ROW),
        like_it AS (PARTITION BY distance_miles > 1200 ORDER BY minute RANGE BETWEEN 360 PRECEDING AND CURRENT ROW),
        that_way AS (PARTITION BY direction, band ORDER BY minute RANGE BETWEEN 240 PRECEDING AND CURRENT ROW),
        last_30m AS (PARTITION BY origin ORDER BY minute RANGE BETWEEN 30 PRECEDING AND CURRENT ROW),
        last_1h AS (PARTITION BY origin ORDER BY minute RANGE BETWEEN 60 PRECEDING AND CURRENT ROW)
),
weather AS (
    SELECT
        origin, hour,
        arg_max(wind_speed_mph, known_at) AS wind_speed_mph,
        arg_max(wind_from_degrees, known_at) AS wind_from_degrees,
        arg_max(pressure_hpa, known_at) AS pressure_hpa,
        arg_max(visibility_miles, known_at) AS visibility_miles,
        arg_max(temperature_f, known_at) AS temperature_f
    FROM (SELECT *, unnest(generate_series(known_at, known_at + INTERVAL 6 HOURS, INTERVAL 1 HOUR)) AS hour FROM clean_weather)
    GROUP BY origin, hour
)
SELECT
    known.flight_id, pushed_back_at, known.carrier, known.origin, destination, planes.manufacturer,
    departure_delay_minutes::DOUBLE AS departure_delay_minutes, scheduled_departure_hour, day_of_week::DOUBLE AS day_of_week,
    distance_miles::DOUBLE AS distance_miles, scheduled_minutes::DOUBLE AS scheduled_minutes,
    round(scheduled_minutes - usual_scheduled, 3) AS schedule_padding_minutes,
    round(usual_gain, 3) AS route_gain_28d_minutes,
    round(usual_ground, 3) AS route_ground_28d_minutes,
    round(gain_3h, 3) AS destination_gain_3h_minutes,
    round(gain_6h, 3) AS destination_gain_6h_minutes,
    round(gain_24h, 3) AS destination_gain_24h_minutes,
    round(air_time_4h / 1000, 3) AS destination_air_time_4h_minutes,
    round(air_time_12h / 1000, 3) AS destination_air_time_12h_minutes,
    round(air_time_per_1000_miles, 3) AS air_time_per_1000_miles_6h_minutes,
    round(direction_air_time_4h / 1000, 3) AS direction_air_time_4h_minutes,
    round(flight_gain_28d, 3) AS flight_gain_28d_minutes,
    round(ground_1h / 1000, 3) AS origin_ground_1h_minutes,
    round(departure_delay_1h, 3) AS origin_departure_delay_1h_minutes,
    departures_30m::DOUBLE AS origin_departures_30m,
    wind_speed_mph, wind_from_degrees, pressure_hpa, visibility_miles, temperature_f,
    known.event_month
FROM known
LEFT JOIN weather ON known.origin = weather.origin AND date_trunc('hour', pushed_back_at) = weather.hour
LEFT JOIN raw_planes AS planes ON tail_number = planes.tailnum
WHERE kind = 'push_back' AND known.event_month = getvariable('month')
"""


def main(landed: Path, lakehouse: Path, month: str) -> None:
    connection = duckdb.connect(config={"memory_limit": "12GB", "temp_directory": str(lakehouse / "spilled")})
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    connection.execute(f"SET VARIABLE month = '{month}'; SET VARIABLE month_start = '{month}-01'::TIMESTAMPTZ")
    for source, columns in RAW.items():
        replace_month(connection.sql(_raw_query(landed / f"{source}.csv", columns)).to_arrow_reader(), lakehouse / f"raw_{source}", month)
    _show(connection, lakehouse, {"raw_flights": [month], "raw_airports": [month], "raw_weather": [month]})
    replace_month(connection.sql(CLEAN_FLIGHTS).to_arrow_reader(), lakehouse / "clean_flights", month)
    replace_month(connection.sql(CLEAN_WEATHER).to_arrow_reader(), lakehouse / "clean_weather", month)
    clean = {"clean_flights": months_back(month, 2), "clean_weather": months_back(month, 1)}
    _show(connection, lakehouse, {**clean, "raw_planes": [month], "raw_airports": [month]})
    replace_month(connection.sql(FEATURES).to_arrow_reader(), lakehouse / "features", month)


def _raw_query(path: Path, columns: str) -> str:
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in (column.split() for column in columns.split(", ")))
    return f"""
        SELECT *, (row_number() OVER () + 1)::INT AS source_line, getvariable('month') AS event_month
        FROM read_csv('{path}', header = true, nullstr = ['NA', ''], columns = {{{types}}})
    """


def _show(connection: duckdb.DuckDBPyConnection, lakehouse: Path, tables: dict[str, list[str]]) -> None:
    """Views on the months' files, as the tables' logs name them."""
    for table, months in tables.items():
        files = DeltaTable(lakehouse / table).file_uris(file_pruning_predicate=[("event_month", "in", months)])
        connection.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM read_parquet({files}, hive_partitioning = true)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
