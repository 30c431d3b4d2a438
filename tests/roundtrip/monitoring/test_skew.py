"""Skew: what was sent with a request against the features of the same key. Replayed traffic has none, other values are counted."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from roundtrip.contracts.use_cases import Baseline, Input, Output, UseCase
from roundtrip.lakehouse.tables import table_uri
from roundtrip.monitoring.skew import Skew, skew_of

MONTH = "2013-02"
TINY = UseCase(
    name="tiny", title="Tiny", owner="roundtrip", description="", feeds=(), features_table="features", outcomes_table="outcomes",
    predictions_table="predictions", key=("day", "flight"), label="arrival_delay",
    inputs=(
        Input(name="origin", kind="category", unit="code", meaning=""),
        Input(name="delay", kind="number", unit="min", meaning=""),
    ),
    outputs=(Output(name="arrival_delay", unit="min", quantile=0.5),), baseline=Baseline(column="delay", meaning="carry-over"), slices=(),
    prediction_time="pushed_back_at",
)  # fmt: skip
ROWS: list[dict[str, object]] = [
    {"day": day, "flight": f"AA{flight}", "origin": None if flight == 3 else "JFK", "delay": None if flight == 4 else day / 3 + flight}
    for day in range(1, 11) for flight in range(10)
]  # fmt: skip


@pytest.fixture(autouse=True)
def _features(storage_root: str) -> None:
    assert storage_root
    schema = pa.schema([("day", pa.int64()), ("flight", pa.string()), ("origin", pa.string()), ("delay", pa.float64())])
    rows = pa.Table.from_pylist(ROWS, schema=schema).append_column("event_month", pa.array([MONTH] * len(ROWS)))
    write_deltalake(table_uri("tiny", "features"), rows, partition_by=["event_month"])


def log(rows: list[dict[str, object]], *, month: str = MONTH) -> None:
    """What the gateway leaves of requests about these rows: missing inputs are null in it."""
    lines = {
        "key": [f"{row['day']}/{row['flight']}" if "day" in row else None for row in rows],
        "inputs": [json.dumps({name: row.get(name) for name in ("origin", "delay")}) for row in rows],
        "event_month": [month] * len(rows),
    }
    table = pa.table(lines, schema=pa.schema([(name, pa.string()) for name in lines]))
    write_deltalake(table_uri("tiny", "prediction_log"), table, mode="append", partition_by=["event_month"])


def skew() -> Skew | None:
    return skew_of(TINY, MONTH, features_version=0)


def test_traffic_that_is_replayed_from_the_table_has_no_skew() -> None:
    log(ROWS + ROWS[:7])
    assert skew() == Skew(rows=107, features={"origin": 0, "delay": 0})


def test_other_values_are_counted_by_feature_whether_they_changed_came_or_went() -> None:
    changed = [dict(row) for row in ROWS]
    for row in changed[:20]:
        row["delay"] = 1000.0
    changed[50]["origin"] = None
    changed[53]["origin"] = "EWR"
    log(changed)
    found = skew()
    assert found == Skew(rows=100, features={"origin": 2, "delay": 20})
    assert found.skewed


def test_a_difference_in_fewer_rows_than_one_in_a_hundred_is_counted_and_no_alarm() -> None:
    log([*ROWS, *ROWS, ROWS[0] | {"delay": 99.0}])
    found = skew()
    assert found is not None
    assert (found.features["delay"], found.skewed) == (1, False)


def test_rows_without_a_key_of_the_table_or_of_another_month_are_not_compared() -> None:
    log([{"origin": "JFK", "delay": 1.0}, {"day": 99, "flight": "AA1", "origin": "JFK", "delay": 1.0}])
    log(ROWS[:5], month="2013-03")
    assert skew() is None


def test_without_any_log_there_is_nothing_to_compare() -> None:
    assert skew() is None
