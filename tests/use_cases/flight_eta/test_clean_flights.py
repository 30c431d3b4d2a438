"""The traps of the flights: time zones, midnight, summer time, airports that the register lacks."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import SparkSession

from roundtrip.lakehouse.definitions import definition_of
from roundtrip.lakehouse.inputs import name_the_partition, run_query
from roundtrip.lakehouse.row_contract import typed_rows
from roundtrip.lakehouse.tables import PARTITION_COLUMN

AIRPORTS = [("LAX", "America/Los_Angeles"), ("ORD", "America/Chicago"), ("XXX", None)]
LINES = {
    "west": "2013,4,9,1825,1830,-5,2125,2140,-15,AA,21,N1,JFK,LAX,330,2475,18,30,2013-04-09T22:00:00Z",
    "past midnight": "2013,4,9,2400,2355,5,130,120,10,AA,22,N1,JFK,ORD,110,740,23,55,2013-04-10T03:00:00Z",
    "delayed to the next day": "2013,4,9,30,2300,90,200,24,96,AA,23,N1,JFK,ORD,110,740,23,0,2013-04-10T03:00:00Z",
    "not in the register": "2013,4,9,800,800,0,1150,1145,5,B6,24,N1,JFK,SJU,200,1598,8,0,2013-04-09T12:00:00Z",
    "unknown time zone": "2013,4,9,800,800,0,1150,1145,5,B6,25,N1,JFK,XXX,200,1598,8,0,2013-04-09T12:00:00Z",
    "cancelled": "2013,4,9,NA,1000,NA,NA,1200,NA,AA,26,NA,JFK,ORD,NA,740,10,0,2013-04-09T14:00:00Z",
    "diverted": "2013,4,9,1005,1000,5,1400,1200,NA,AA,27,N1,JFK,ORD,NA,740,10,0,2013-04-09T14:00:00Z",
}
SUMMER_TIME = {
    "into summer time": "2013,3,9,2330,2330,0,410,410,0,AA,31,N1,JFK,ORD,110,740,23,30,2013-03-10T04:00:00Z",
    "the hour that comes twice": "2013,11,3,130,130,0,300,300,0,AA,32,N1,JFK,ORD,110,740,1,30,2013-11-03T06:00:00Z",
}


def clean(spark: SparkSession, lines: dict[str, str], month: str) -> dict[str, dict[str, object]]:
    """Name of the case → its row of clean_flights, from lines of a landed file that all meet the row contract."""
    records = [(text, False, place + 2) for place, text in enumerate(lines.values())]
    frame = spark.createDataFrame(records, "raw_row string, as_latin_1 boolean, line int")
    name_the_partition(spark, month)
    definition = definition_of("flight_eta", "raw_flights")
    typed = typed_rows(frame, definition, month, header=",".join(column.name for column in definition.columns))
    assert [row["_reason"] for row in typed.collect()] == [None] * len(lines)
    typed.createOrReplaceTempView("raw_flights")
    spark.createDataFrame(AIRPORTS, "faa string, tzone string").createOrReplaceTempView("raw_airports")
    rows = run_query(spark, definition_of("flight_eta", "clean_flights")).collect()
    by_number = {row.flight_number: row.asDict() for row in rows}
    assert {row[PARTITION_COLUMN] for row in rows} == {month}
    return {name: by_number[int(text.split(",")[10])] for name, text in lines.items()}


def at(text: str) -> datetime:
    """A UTC moment as Spark's client gives it: without a zone."""
    return datetime.fromisoformat(text)


def test_local_times_become_moments_in_utc(spark: SparkSession) -> None:
    flights = clean(spark, LINES, "2013-04")
    west = flights["west"]
    assert west["flight_id"] == "2013-04-09_AA_21_JFK"
    assert west["pushed_back_at"] == at("2013-04-09T22:25")
    assert west["scheduled_minutes"] == 370
    assert west["arrived_at"] == at("2013-04-10T04:25")
    assert (west["scheduled_departure_hour"], west["day_of_week"]) == (18.5, 2)
    assert flights["past midnight"]["pushed_back_at"] == at("2013-04-10T04:00")
    assert flights["past midnight"]["arrived_at"] == at("2013-04-10T06:30")
    assert flights["delayed to the next day"]["pushed_back_at"] == at("2013-04-10T04:30")
    assert flights["delayed to the next day"]["arrived_at"] == at("2013-04-10T07:00")


def test_airports_that_the_register_lacks_have_a_time_zone(spark: SparkSession) -> None:
    flights = clean(spark, LINES, "2013-04")
    assert flights["not in the register"]["scheduled_minutes"] == 225
    assert flights["not in the register"]["arrived_at"] == at("2013-04-09T15:50")
    unknown = flights["unknown time zone"]
    assert (unknown["status"], unknown["scheduled_minutes"], unknown["arrived_at"]) == ("arrived", None, None)


def test_flights_that_did_not_arrive_say_how_they_ended(spark: SparkSession) -> None:
    flights = clean(spark, LINES, "2013-04")
    cancelled, diverted = flights["cancelled"], flights["diverted"]
    assert (cancelled["status"], cancelled["pushed_back_at"], cancelled["arrived_at"]) == ("cancelled", None, None)
    assert (diverted["status"], diverted["pushed_back_at"], diverted["arrived_at"]) == ("diverted", at("2013-04-09T14:05"), None)


def test_a_change_of_the_clocks_neither_adds_nor_takes_an_hour(spark: SparkSession) -> None:
    into = clean(spark, {"into summer time": SUMMER_TIME["into summer time"]}, "2013-03")["into summer time"]
    assert into["scheduled_minutes"] == 280
    twice = clean(spark, {"twice": SUMMER_TIME["the hour that comes twice"]}, "2013-11")["twice"]
    assert twice["pushed_back_at"] == at("2013-11-03T06:30")
    assert twice["scheduled_minutes"] == 150
