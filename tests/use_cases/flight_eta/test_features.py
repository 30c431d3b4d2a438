"""The features query on made-up flights: point in time, and each feature what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from roundtrip.lakehouse.definitions import definition_of
from roundtrip.lakehouse.inputs import name_the_partition, run_query

MONTH_START = datetime(2013, 4, 1, 4, tzinfo=UTC)
"""Midnight in New York."""
Row = dict[str, object]


@dataclass(frozen=True)
class Flight:
    """A flight in minutes from MONTH_START; `gain` is None where it never arrived."""

    number: int
    leaves: int
    gain: int | None = 0
    destination: str = "ORD"
    origin: str = "JFK"
    delay: int = 10
    scheduled: int = 120
    air_time: int = 90
    tail: str = "N1"

    @property
    def left_at(self) -> datetime:
        return MONTH_START + timedelta(minutes=self.leaves)

    @property
    def arrived_at(self) -> datetime | None:
        return None if self.gain is None else self.left_at + timedelta(minutes=self.scheduled + self.gain)

    def row(self, place: int) -> Row:
        return {
            "flight_id": f"f{place}",
            "event_month": "2013-04" if self.leaves >= 0 else "2013-03",
            "carrier": "AA",
            "flight_number": self.number,
            "tail_number": self.tail,
            "origin": self.origin,
            "destination": self.destination,
            "pushed_back_at": self.left_at,
            "arrived_at": self.arrived_at,
            "scheduled_departure_hour": 12.0,
            "day_of_week": 1,
            "scheduled_minutes": self.scheduled,
            "departure_delay_minutes": self.delay,
            "arrival_delay_minutes": None if self.gain is None else self.delay + self.gain,
            "air_time_minutes": None if self.gain is None else self.air_time,
            "distance_miles": 740,
        }


@dataclass(frozen=True)
class Report:
    """A weather report at JFK that is known `hour` hours from MONTH_START."""

    hour: int
    wind: float | None = 5.0

    @property
    def known_at(self) -> datetime:
        return MONTH_START + timedelta(hours=self.hour)


FLIGHT_COLUMNS = (
    "flight_id string, event_month string, carrier string, flight_number int, tail_number string, origin string, destination string, "
    "pushed_back_at timestamp, arrived_at timestamp, scheduled_departure_hour double, day_of_week int, scheduled_minutes int, "
    "departure_delay_minutes int, arrival_delay_minutes int, air_time_minutes int, distance_miles int"
)
WEATHER_COLUMNS = (
    "origin string, known_at timestamp, wind_speed_mph double, wind_from_degrees double, pressure_hpa double, "
    "visibility_miles double, temperature_f double"
)


def features(spark: SparkSession, rows: Sequence[Row], reports: Sequence[Report] = ()) -> dict[str, Row]:
    """flight_id → its features of 2013-04, from rows of clean_flights and reports of clean_weather."""
    weather = [("JFK", report.known_at, report.wind, 180.0, 1010.0, 10.0, 50.0) for report in reports]
    spark.createDataFrame([tuple(row.values()) for row in rows], FLIGHT_COLUMNS).createOrReplaceTempView("clean_flights")
    spark.createDataFrame(weather, WEATHER_COLUMNS).createOrReplaceTempView("clean_weather")
    airports = [("ORD", 41.98, -87.90), ("DTW", 42.21, -83.35), ("BUF", 42.94, -78.73), ("MIA", 25.79, -80.29), ("LAX", 33.94, -118.41)]
    spark.createDataFrame(airports, "faa string, lat double, lon double").createOrReplaceTempView("raw_airports")
    spark.createDataFrame([("N1", "BOEING")], "tailnum string, manufacturer string").createOrReplaceTempView("raw_planes")
    name_the_partition(spark, "2013-04")
    found = run_query(spark, definition_of("flight_eta", "features")).collect()
    return {row.flight_id: row.asDict() for row in found}


def of(flights: Sequence[Flight]) -> list[Row]:
    return [flight.row(place) for place, flight in enumerate(flights)]


def known_by(row: Row, moment: datetime) -> Row:
    """The flight as it was known at `moment`: what its arrival tells only after it."""
    arrived_at = row["arrived_at"]
    if isinstance(arrived_at, datetime) and arrived_at > moment:
        return row | dict.fromkeys(("arrived_at", "arrival_delay_minutes", "air_time_minutes"))
    return row


a_flight = st.builds(
    Flight,
    number=st.sampled_from([1, 2]),
    leaves=st.integers(-40 * 24 * 60, 3 * 24 * 60),
    gain=st.one_of(st.none(), st.integers(-30, 200)),
    destination=st.sampled_from(["ORD", "DTW", "SJU"]),
    origin=st.sampled_from(["JFK", "EWR"]),
    delay=st.integers(-20, 300),
    air_time=st.integers(60, 100),
)
a_report = st.builds(Report, hour=st.integers(-12, 80), wind=st.one_of(st.none(), st.floats(0, 60)))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flights=st.lists(a_flight, min_size=2, max_size=30),
    leaves=st.integers(0, 3 * 24 * 60),
    reports=st.lists(a_report, max_size=20, unique_by=lambda report: report.hour),
)
def test_nothing_changes_when_the_future_is_deleted(
    spark: SparkSession, flights: list[Flight], leaves: int, reports: list[Report]
) -> None:  # fmt: skip
    looked_at = Flight(number=1, leaves=leaves)
    moment = looked_at.left_at
    rows = of([looked_at, *flights])
    known = [known_by(row, moment) for row, flight in zip(rows, [looked_at, *flights], strict=True) if flight.left_at <= moment]
    with_future = features(spark, rows, reports)["f0"]
    without = features(spark, known, [report for report in reports if report.known_at <= moment])["f0"]
    assert without == with_future


def test_only_flights_that_have_arrived_count(spark: SparkSession) -> None:
    now = Flight(number=1, leaves=600)
    flights = [
        now,
        Flight(number=1, leaves=300, gain=30),  # arrived 150 minutes ago
        replace(now, leaves=420, gain=60),  # arrives in this very minute
        replace(now, leaves=421, gain=60),  # a minute later
        replace(now, leaves=300, gain=None),  # never arrives
        Flight(number=2, leaves=180, gain=6),  # arrived 294 minutes ago
        Flight(number=2, leaves=300, gain=-50, destination="SJU"),
    ]
    found = features(spark, of(flights))["f0"]
    assert found["destination_gain_3h_minutes"] == 45.0
    assert found["destination_gain_6h_minutes"] == 32.0
    assert found["destination_gain_24h_minutes"] == 32.0
    assert found["flight_gain_28d_minutes"] == 45.0


def test_a_route_is_measured_against_its_usual_of_the_days_before(spark: SparkSession) -> None:
    day = 24 * 60
    flights = [
        Flight(number=1, leaves=2 * day, scheduled=130),
        Flight(number=2, leaves=0, scheduled=110, gain=10, air_time=80),
        Flight(number=3, leaves=day, scheduled=120, gain=20, air_time=90),
        Flight(number=4, leaves=2 * day - 210, scheduled=120, gain=0, air_time=95),  # the same UTC day as the first: not in its usual
        Flight(number=5, leaves=-28 * day, scheduled=60, gain=99, air_time=30),  # longer ago
        Flight(number=6, leaves=day, scheduled=60, gain=99, origin="EWR"),  # another route
    ]
    found = features(spark, of(flights))["f0"]
    assert found["schedule_padding_minutes"] == 130 - 115
    assert found["route_gain_28d_minutes"] == 15.0
    assert found["destination_air_time_12h_minutes"] == 95 - 85
    assert found["destination_air_time_4h_minutes"] == 95 - 85


def test_the_origin_is_seen_through_its_last_hour(spark: SparkSession) -> None:
    flights = [
        Flight(number=1, leaves=2000, delay=10),
        Flight(number=2, leaves=1950, delay=70, gain=None),
        Flight(number=3, leaves=1939, delay=500, gain=None),
        Flight(number=4, leaves=1950, delay=500, gain=None, origin="EWR"),
        Flight(number=5, leaves=1850, gain=20, air_time=90),  # arrived 10 minutes ago, 50 minutes on the ground
        Flight(number=6, leaves=100, gain=0, air_time=90),  # the usual of the route: 30 minutes on the ground
    ]
    found = features(spark, of(flights))["f0"]
    assert found["origin_departure_delay_1h_minutes"] == 40.0
    assert found["origin_ground_1h_minutes"] == 20.0
    assert found["route_ground_28d_minutes"] == 30.0
    assert found["origin_departures_30m"] == 1.0


def test_headwinds_are_seen_in_flights_of_the_like_length_to_anywhere(spark: SparkSession) -> None:
    day, flown = 24 * 60, {"ORD": 740, "MIA": 1000, "LAX": 2475}
    flights = [
        Flight(number=1, leaves=2000, destination="MIA"),
        Flight(number=2, leaves=2000 - day, air_time=90),  # the usual of the days before
        Flight(number=3, leaves=1800, air_time=105),  # 15 minutes more than usual
        Flight(number=4, leaves=2000 - day, destination="LAX", air_time=90),
        Flight(number=5, leaves=1800, destination="LAX", air_time=390),  # of another length
        Flight(number=6, leaves=1500, air_time=200),  # arrived longer ago
    ]
    rows = [row | {"distance_miles": flown[flight.destination]} for row, flight in zip(of(flights), flights, strict=True)]
    assert features(spark, rows)["f0"]["air_time_per_1000_miles_6h_minutes"] == round(15 / 0.74, 3)


def test_winds_aloft_are_seen_in_flights_that_way_and_as_far(spark: SparkSession) -> None:
    day, flown = 24 * 60, {"ORD": 740, "DTW": 610, "BUF": 300, "MIA": 1089, "SJU": 1598, "STT": 1623}
    flights = [
        Flight(number=1, leaves=2000, destination="DTW"),
        *(Flight(number=2, leaves=2000 - day, destination=place) for place in flown),  # the usual of the days before
        Flight(number=3, leaves=1800, air_time=105),  # 15 minutes more than usual
        Flight(number=4, leaves=1800, destination="BUF", air_time=390),  # not as far
        Flight(number=5, leaves=1800, destination="MIA", air_time=390),  # another way
        Flight(number=6, leaves=1500, air_time=200),  # arrived longer ago
        Flight(number=7, leaves=1800, destination="SJU", air_time=99),
        Flight(number=8, leaves=2000, destination="STT"),
    ]
    rows = [row | {"distance_miles": flown[flight.destination]} for row, flight in zip(of(flights), flights, strict=True)]
    found = features(spark, rows)
    assert found["f0"]["direction_air_time_4h_minutes"] == 15.0
    assert found[f"f{len(flights) - 1}"]["direction_air_time_4h_minutes"] == 9.0


def test_the_queue_at_the_origin_counts_who_pushed_back_and_the_flight_itself(spark: SparkSession) -> None:
    flights = [
        Flight(number=1, leaves=2000),
        Flight(number=2, leaves=2000, gain=None, destination="SJU"),
        Flight(number=3, leaves=1970, gain=None),
        Flight(number=4, leaves=1969),
        Flight(number=5, leaves=2001),
        Flight(number=6, leaves=1990, origin="EWR"),
        Flight(number=7, leaves=1865),  # arrives at 1985, has no push-back there
    ]
    assert features(spark, of(flights))["f0"]["origin_departures_30m"] == 3.0


def test_a_missing_report_is_bridged_for_six_hours(spark: SparkSession) -> None:
    flights = [Flight(number=1, leaves=hour * 60 + 59) for hour in (2, 3, 4, 10, 11)]
    found = features(spark, of(flights), [Report(2, 1.0), Report(3, 2.0), Report(4, None)])
    assert [found[f"f{place}"]["wind_speed_mph"] for place in range(5)] == [1.0, 2.0, 2.0, None, None]
    assert [found[f"f{place}"]["temperature_f"] for place in range(5)] == [50.0, 50.0, 50.0, 50.0, None]


def test_every_flight_that_pushed_back_has_a_row_and_no_other(spark: SparkSession) -> None:
    cancelled = Flight(number=9, leaves=50).row(3) | {"pushed_back_at": None, "arrived_at": None}
    flights = [Flight(number=1, leaves=10), Flight(number=1, leaves=-10), Flight(number=2, leaves=20, gain=None, tail="N9")]
    found = features(spark, [*of(flights), cancelled])
    assert sorted(found) == ["f0", "f2"]
    assert (found["f0"]["manufacturer"], found["f2"]["manufacturer"]) == ("BOEING", None)
