"""The tables of flight_eta's operations, by Polars: `python -m benchmarks.etl.with_polars LANDED LAKEHOUSE MONTH` builds a month of them.

The same Delta tables that Roundtrip's jobs build, without contract, quarantine, checks, lineage or a fingerprint: what the bench of
run.py compares them with.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from benchmarks.etl.delta import replace_month
from roundtrip.contracts.names import months_back

INT, DOUBLE, TEXT, MOMENT = pl.Int32, pl.Float64, pl.String, pl.Datetime("us", "UTC")
RAW = {
    "flights": {
        **dict.fromkeys(("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay"), INT),
        **dict.fromkeys(("arr_time", "sched_arr_time", "arr_delay"), INT),
        "carrier": TEXT, "flight": INT, "tailnum": TEXT, "origin": TEXT, "dest": TEXT, "air_time": INT, "distance": INT, "hour": INT,
        "minute": INT, "time_hour": MOMENT,
    },
    "weather": {
        "origin": TEXT, **dict.fromkeys(("year", "month", "day", "hour"), INT),
        **dict.fromkeys(("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"), DOUBLE),
        "time_hour": MOMENT,
    },
    "planes": {
        "tailnum": TEXT, "year": INT, "type": TEXT, "manufacturer": TEXT, "model": TEXT, "engines": INT, "seats": INT, "speed": INT,
        "engine": TEXT,
    },
    "airports": {"faa": TEXT, "name": TEXT, "lat": DOUBLE, "lon": DOUBLE, "alt": INT, "tz": DOUBLE, "dst": TEXT, "tzone": TEXT},
    "airlines": {"carrier": TEXT, "name": TEXT},
}  # fmt: skip
"""Source → its columns and their types."""
MISSING_ZONES = pl.LazyFrame(
    {"dest": ["SJU", "BQN", "PSE", "STT"], "time_zone": ["America/Puerto_Rico"] * 3 + ["America/St_Thomas"]}
)  # fmt: skip


def main(landed: Path, lakehouse: Path, month: str) -> None:
    start = datetime.strptime(f"{month}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    for source, schema in RAW.items():
        _write(_raw(landed / f"{source}.csv", schema), lakehouse, f"raw_{source}", month)
    clean = _clean_flights(_read(lakehouse, "raw_flights", [month]), _read(lakehouse, "raw_airports", [month]))
    _write(clean, lakehouse, "clean_flights", month)
    _write(_clean_weather(_read(lakehouse, "raw_weather", [month])), lakehouse, "clean_weather", month)
    flights = _read(lakehouse, "clean_flights", months_back(month, 2))
    weather = _read(lakehouse, "clean_weather", months_back(month, 1))
    planes, airports = (_read(lakehouse, table, [month]) for table in ("raw_planes", "raw_airports"))
    _write(_features(_with_direction(flights, airports), weather, planes, start), lakehouse, "features", month)


def _raw(path: Path, schema: dict[str, pl.DataType]) -> pl.LazyFrame:
    texts = {name: pl.String if kind == MOMENT else kind for name, kind in schema.items()}
    moments = [
        pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC") for name in schema if schema[name] == MOMENT
    ]
    rows = pl.scan_csv(path, schema=texts, null_values=["NA", ""], row_index_name="source_line", row_index_offset=2)
    return rows.with_columns(pl.col("source_line").cast(pl.Int32), *moments)


def _clean_flights(flights: pl.LazyFrame, airports: pl.LazyFrame) -> pl.LazyFrame:
    scheduled = _scheduled(flights, airports)
    date = pl.date("year", "month", "day")
    arrived = pl.when(pl.col("dep_delay").is_not_null()).then("arr_delay")
    return scheduled.select(
        pl.concat_str(date.dt.to_string("%Y-%m-%d"), "carrier", pl.col("flight").cast(TEXT), "origin", separator="_").alias("flight_id"),
        "carrier",
        flight_number="flight",
        tail_number="tailnum",
        origin="origin",
        destination="dest",
        status=pl.when(pl.col("dep_delay").is_null())
        .then(pl.lit("cancelled"))
        .when(pl.col("arr_delay").is_null())
        .then(pl.lit("diverted"))
        .otherwise(pl.lit("arrived")),
        scheduled_departure_at="scheduled_departure_at",
        pushed_back_at=pl.col("scheduled_departure_at") + pl.duration(minutes="dep_delay"),
        arrived_at=pl.col("scheduled_arrival_at") + pl.duration(minutes=arrived),
        scheduled_departure_hour=(pl.col("hour") + pl.col("minute") / 60).round(4),
        day_of_week=date.dt.weekday().cast(INT),
        scheduled_minutes=(pl.col("scheduled_arrival_at") - pl.col("scheduled_departure_at")).dt.total_minutes().cast(INT),
        departure_delay_minutes="dep_delay",
        arrival_delay_minutes="arr_delay",
        air_time_minutes="air_time",
        distance_miles="distance",
    )


def _scheduled(flights: pl.LazyFrame, airports: pl.LazyFrame) -> pl.LazyFrame:
    """The flights with the moments at which they are to depart and arrive, across the destination's time zone."""
    known = airports.select(pl.col("faa").alias("dest"), pl.col("tzone").alias("time_zone")).drop_nulls()
    zones = pl.concat([known, MISSING_ZONES.join(known, on="dest", how="anti")])
    departures = flights.join(zones, on="dest", how="left").with_columns(
        scheduled_departure_at=pl.col("time_hour") + pl.duration(minutes="minute")
    )
    local = _by_zone(
        departures, lambda zone: pl.col("scheduled_departure_at").dt.convert_time_zone(zone).dt.replace_time_zone(None), "clock"
    )
    clock = pl.col("clock")
    arrival = pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100
    apart = (arrival - (clock.dt.hour().cast(INT) * 60 + clock.dt.minute().cast(INT))) % 1440
    return _by_zone(
        local.with_columns(arrival_clock=clock + pl.duration(minutes=apart)),
        lambda zone: (
            pl.col("arrival_clock").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
        ),
        "scheduled_arrival_at",
    )


def _by_zone(rows: pl.LazyFrame, moved: Callable[[str], pl.Expr], name: str) -> pl.LazyFrame:
    """`rows` with `moved(zone)` of each: Polars converts a column into one time zone only."""
    zones = rows.select("time_zone").unique().collect()["time_zone"]
    value = pl.coalesce(*(pl.when(pl.col("time_zone") == zone).then(moved(zone)) for zone in sorted(zones.drop_nulls())))
    return rows.with_columns(value.alias(name))


def _clean_weather(reports: pl.LazyFrame) -> pl.LazyFrame:
    return reports.select(
        pl.concat_str("origin", pl.col("time_hour").dt.to_string("%Y-%m-%d-%H"), separator="_").alias("report_id"),
        "origin",
        known_at=pl.col("time_hour") + timedelta(hours=1),
        temperature_f="temp",
        humidity_percent="humid",
        wind_from_degrees="wind_dir",
        wind_speed_mph="wind_speed",
        precipitation_inches="precip",
        pressure_hpa="pressure",
        visibility_miles="visib",
    )


def _with_direction(flights: pl.LazyFrame, airports: pl.LazyFrame) -> pl.LazyFrame:
    north, east = pl.col("lat") - 40.7, (pl.col("lon") + 73.9) * math.cos(math.radians(40.7))
    places = airports.select(pl.col("faa").alias("destination"), (pl.arctan2(north, east).degrees() / 30).floor().alias("direction"))
    miles = pl.col("distance_miles")
    band = pl.when(miles <= 600).then(600).when(miles <= 1200).then(1200).when(miles <= 2000).then(2000)
    return flights.join(places, on="destination", how="left").with_columns(band=band)


def _features(flights: pl.LazyFrame, reports: pl.LazyFrame, planes: pl.LazyFrame, start: datetime) -> pl.LazyFrame:
    month = f"{start:%Y-%m}"
    moments = _moments(flights).filter(pl.col("moment") >= start - timedelta(days=30)).with_columns(day=pl.col("moment").dt.date())
    with_usual = moments.join(_usual(moments), on=["origin", "destination", "day"])
    last_day = start - timedelta(days=1)
    numbered = with_usual.filter((pl.col("kind") == "arrival") | (pl.col("moment") >= last_day)).sort("moment")
    numbered = numbered.with_columns(flight_gain_28d=_mean("arrived_gain", "28d", "carrier", "flight_number"))
    recent = numbered.filter(pl.col("moment") >= last_day).with_columns(
        air_time_excess=((pl.col("arrived_air_time") - pl.col("usual_air_time")) * 1000).round(mode="half_away_from_zero"),
        long_haul=pl.col("distance_miles") > 1200,
        arrived_miles=pl.when((pl.col("arrived_air_time") - pl.col("usual_air_time")).is_not_null()).then(pl.col("distance_miles")),
        ground_excess=((pl.col("arrived_ground") - pl.col("usual_ground")) * 1000).round(mode="half_away_from_zero"),
    )
    known = recent.with_columns(
        gain_3h=_mean("arrived_gain", "3h", "destination"),
        gain_6h=_mean("arrived_gain", "6h", "destination"),
        gain_24h=_mean("arrived_gain", "24h", "destination"),
        air_time_4h=_mean("air_time_excess", "4h", "destination"),
        air_time_12h=_mean("air_time_excess", "12h", "destination"),
        air_time_sum=pl.col("air_time_excess").cast(DOUBLE).rolling_sum_by("moment", "6h", closed="both").over("long_haul"),
        miles_sum=pl.col("arrived_miles").cast(DOUBLE).rolling_sum_by("moment", "6h", closed="both").over("long_haul"),
        direction_air_time_4h=_mean("air_time_excess", "4h", "direction", "band"),
        ground_1h=_mean("ground_excess", "1h", "origin"),
        departure_delay_1h=_mean("left_delay", "1h", "origin"),
        departures_30m=pl.col("left_delay").is_not_null().cast(DOUBLE).rolling_sum_by("moment", "30m", closed="both").over("origin"),
    ).filter((pl.col("kind") == "push_back") & (pl.col("event_month") == month))
    joined = known.with_columns(hour=pl.col("pushed_back_at").dt.truncate("1h")).join(_weather(reports), on=["origin", "hour"], how="left")
    joined = joined.join(planes.select(pl.col("tailnum").alias("tail_number"), "manufacturer"), on="tail_number", how="left")
    return joined.select(
        "flight_id", "pushed_back_at", "carrier", "origin", "destination", "manufacturer",
        pl.col("departure_delay_minutes").cast(DOUBLE),
        "scheduled_departure_hour",
        *(pl.col(name).cast(DOUBLE) for name in ("day_of_week", "distance_miles", "scheduled_minutes")),
        (pl.col("scheduled_minutes") - pl.col("usual_scheduled")).round(3, mode="half_away_from_zero").alias("schedule_padding_minutes"),
        pl.col("usual_gain").round(3, mode="half_away_from_zero").alias("route_gain_28d_minutes"),
        pl.col("usual_ground").round(3, mode="half_away_from_zero").alias("route_ground_28d_minutes"),
        pl.col("gain_3h").round(3, mode="half_away_from_zero").alias("destination_gain_3h_minutes"),
        pl.col("gain_6h").round(3, mode="half_away_from_zero").alias("destination_gain_6h_minutes"),
        pl.col("gain_24h").round(3, mode="half_away_from_zero").alias("destination_gain_24h_minutes"),
        (pl.col("air_time_4h") / 1000).round(3, mode="half_away_from_zero").alias("destination_air_time_4h_minutes"),
        (pl.col("air_time_12h") / 1000).round(3, mode="half_away_from_zero").alias("destination_air_time_12h_minutes"),
        pl.when(pl.col("miles_sum") > 0).then(pl.col("air_time_sum") / pl.col("miles_sum"))
        .round(3, mode="half_away_from_zero").alias("air_time_per_1000_miles_6h_minutes"),
        (pl.col("direction_air_time_4h") / 1000).round(3, mode="half_away_from_zero").alias("direction_air_time_4h_minutes"),
        pl.col("flight_gain_28d").round(3, mode="half_away_from_zero").alias("flight_gain_28d_minutes"),
        (pl.col("ground_1h") / 1000).round(3, mode="half_away_from_zero").alias("origin_ground_1h_minutes"),
        pl.col("departure_delay_1h").round(3, mode="half_away_from_zero").alias("origin_departure_delay_1h_minutes"),
        pl.col("departures_30m").alias("origin_departures_30m"),
        "wind_speed_mph", "wind_from_degrees", "pressure_hpa", "visibility_miles", "temperature_f",
    )  # fmt: skip


def _moments(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Push-backs and arrivals on one time line; what an arrival tells is NULL at a push-back, and the other way round."""
    pushed = flights.filter(pl.col("pushed_back_at").is_not_null()).with_columns(
        gain=pl.col("arrival_delay_minutes") - pl.col("departure_delay_minutes"),
        ground=((pl.col("arrived_at") - pl.col("pushed_back_at")).dt.total_minutes() - pl.col("air_time_minutes")).cast(INT),
    )
    arrived = {
        "arrived_scheduled": "scheduled_minutes",
        "arrived_air_time": "air_time_minutes",
        "arrived_ground": "ground",
        "arrived_gain": "gain",
    }
    nothing = pl.lit(None, dtype=INT)
    push_backs = pushed.with_columns(
        kind=pl.lit("push_back"), moment="pushed_back_at", left_delay="departure_delay_minutes", **dict.fromkeys(arrived, nothing)
    )
    arrivals = pushed.filter(pl.col("arrived_at").is_not_null()).with_columns(
        kind=pl.lit("arrival"), moment="arrived_at", left_delay=nothing, **{name: pl.col(source) for name, source in arrived.items()}
    )
    return pl.concat([push_backs, arrivals], how="diagonal")


def _usual(moments: pl.LazyFrame) -> pl.LazyFrame:
    """A route's means over the 28 days before each day, from its days' sums."""
    names = ("scheduled", "air_time", "ground", "gain")
    values = {name: pl.col(f"arrived_{name}") for name in names}
    days = moments.group_by("origin", "destination", "day").agg(
        *(value.cast(DOUBLE).sum().alias(f"{name}_sum") for name, value in values.items()),
        *(value.count().cast(DOUBLE).alias(f"{name}_count") for name, value in values.items()),
    )
    before = {
        f"{name}_{part}": pl.col(f"{name}_{part}").rolling_sum_by("day", "28d", closed="left").over("origin", "destination")
        for name in names
        for part in ("sum", "count")
    }
    summed = days.sort("day").with_columns(**before)
    means = {f"usual_{name}": pl.when(pl.col(f"{name}_count") > 0).then(pl.col(f"{name}_sum") / pl.col(f"{name}_count")) for name in names}
    return summed.select("origin", "destination", "day", **means)


def _mean(value: str, window: str, *of: str) -> pl.Expr:
    return pl.col(value).cast(DOUBLE).rolling_mean_by("moment", window, closed="both").over(*of)


def _weather(reports: pl.LazyFrame) -> pl.LazyFrame:
    hours = reports.with_columns(
        hour=pl.datetime_ranges("known_at", pl.col("known_at") + timedelta(hours=6), interval="1h")
    ).explode("hour").sort("known_at")  # fmt: skip
    names = ("wind_speed_mph", "wind_from_degrees", "pressure_hpa", "visibility_miles", "temperature_f")
    return hours.group_by("origin", "hour").agg(*(pl.col(name).drop_nulls().last() for name in names))


def _read(lakehouse: Path, table: str, months: list[str]) -> pl.LazyFrame:
    return pl.scan_delta(str(lakehouse / table)).filter(pl.col("event_month").is_in(months))


def _write(rows: pl.LazyFrame, lakehouse: Path, table: str, month: str) -> None:
    replace_month(rows.with_columns(event_month=pl.lit(month)).collect(engine="streaming"), lakehouse / table, month)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
