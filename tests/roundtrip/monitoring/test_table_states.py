"""Freshness and quarantine as the tables' logs have them, on Delta tables in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from roundtrip.lakehouse.tables import PARTITION_COLUMN
from roundtrip.monitoring.table_states import TableState, ended, table_states
from use_cases import use_case_named

REPLAYED = use_case_named("flight_eta")
OF_TODAY = replace(REPLAYED, replayed=False)
NOW = datetime(2013, 6, 10, tzinfo=UTC)
LIMIT = timedelta(days=35)
"""The contract's freshness, of every table of flight_eta."""


@pytest.fixture(autouse=True)
def _storage(storage_root: str) -> None:
    pass


def write(root: str, table: str, months: Sequence[str], **columns: Sequence[str | None]) -> None:
    """A table with these rows, written as two commits so that a month may lie in two files."""
    folder = f"{root.removeprefix('file://')}/lakehouse/flight_eta/{table}"
    Path(folder).mkdir(parents=True, exist_ok=True)
    values = {"key": [str(place) for place in range(len(months))], **columns}
    rows = pa.table({PARTITION_COLUMN: pa.array(months), **{name: pa.array(column, pa.string()) for name, column in values.items()}})
    for piece in (rows.slice(0, len(rows) // 2), rows.slice(len(rows) // 2)):
        write_deltalake(folder, piece, partition_by=[PARTITION_COLUMN], mode="append")


def states(*, now: datetime = NOW, replayed: bool = False) -> Mapping[str, TableState]:
    return {state.table: state for state in table_states(REPLAYED if replayed else OF_TODAY, now=now)}


def test_before_anything_is_built_every_table_says_so() -> None:
    found = states()
    assert len(found) == 11 and list(found)[-1] == "predictions"
    assert {(state.freshness, state.newest, state.rows, state.age) for state in found.values()} == {("not built", None, 0, None)}


def test_a_table_is_late_once_its_newest_month_ended_longer_ago_than_its_contract_allows(storage_root: str) -> None:
    write(storage_root, "features", ["2013-03", "2013-04", "2013-04"])
    for now, freshness in ((ended("2013-04") + LIMIT, "fresh"), (ended("2013-04") + LIMIT + timedelta(seconds=1), "late")):
        state = states(now=now)["features"]
        assert (state.newest, state.rows, state.age, state.freshness) == ("2013-04", 2, now - ended("2013-04"), freshness)


def test_where_a_past_is_replayed_a_table_is_late_when_another_is_ahead_of_it(storage_root: str) -> None:
    write(storage_root, "features", ["2013-06"])
    write(storage_root, "outcomes", ["2013-04"])
    found = states(now=datetime(2026, 11, 28, tzinfo=UTC), replayed=True)
    assert (found["features"].freshness, found["features"].age) == ("fresh", timedelta(0))
    assert (found["outcomes"].freshness, found["outcomes"].age) == ("late", ended("2013-06") - ended("2013-04"))


def test_rows_that_a_replay_let_out_of_quarantine_do_not_wait_there(storage_root: str) -> None:
    write(
        storage_root, "raw_flights_quarantine", ["2013-01", "2013-01", "2013-02", "2013-02", "2013-03"],
        replayed_in=[None, "run", None, None, "run"],
    )  # fmt: skip
    assert states()["raw_flights"].waiting == {"2013-01": 1, "2013-02": 2}
    assert states()["raw_weather"].waiting == {}


def test_what_is_published_later_is_seen_though_the_log_is_kept_open(storage_root: str) -> None:
    write(storage_root, "features", ["2013-03"])
    assert states()["features"].newest == "2013-03"
    write(storage_root, "features", ["2013-04", "2013-04"])
    assert (states()["features"].newest, states()["features"].rows) == ("2013-04", 2)
