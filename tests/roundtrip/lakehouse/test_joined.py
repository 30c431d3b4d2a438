"""Rows joined by key: the same ones in memory and over buckets on disk, whose size is what memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from roundtrip.lakehouse import joined
from roundtrip.lakehouse.joined import Side, joined_rows

ROWS = 3000
KEY = ["day", "Flight"]


def keys(numbers: Sequence[int]) -> dict[str, list[object]]:
    return {"day": [number % 28 for number in numbers], "Flight": [f"it's {number}" for number in numbers]}


@pytest.fixture
def sides(tmp_path: Path) -> list[Side]:
    """Predictions of all rows but the last ten, all rows' features, and outcomes of the first half, each in an order of its own."""
    draw = np.random.default_rng(1)
    orders = [draw.permutation(rows).tolist() for rows in (ROWS - 10, ROWS, ROWS // 2)]
    columns: list[dict[str, list[object]]] = [
        {"predicted": [float(number) for number in orders[0]]},
        {"origin": [None if number % 7 == 0 else f"o{number % 5}" for number in orders[1]]},
        {"delay": [number / 2 for number in orders[2]]},
    ]
    tables = []
    for place, (order, values) in enumerate(zip(orders, columns, strict=True)):
        write_deltalake(tmp_path / str(place), pa.table({**keys(order), **values}))
        tables.append(DeltaTable(tmp_path / str(place)))
    return [
        Side(table=tables[0], query='SELECT day, "Flight", predicted FROM side', rows=ROWS),
        Side(table=tables[1], query='SELECT day, "Flight", origin FROM side WHERE day < 20', rows=ROWS),
        Side(table=tables[2], query='SELECT day, "Flight", delay AS outcome FROM side', rows=ROWS // 2, join="left outer"),
    ]


@pytest.mark.parametrize("rows_at_once", [ROWS, 200, 15])
def test_each_row_comes_once_with_what_the_other_sides_have_of_its_key(
    sides: list[Side], monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(joined, "ROWS_AT_ONCE", rows_at_once)
    found = pa.Table.from_batches(joined_rows(KEY, sides)).sort_by("predicted")
    numbers = [number for number in range(ROWS - 10) if number % 28 < 20]
    expected = {
        **keys(numbers),
        "predicted": [float(number) for number in numbers],
        "origin": [None if number % 7 == 0 else f"o{number % 5}" for number in numbers],
        "outcome": [number / 2 if number < ROWS // 2 else None for number in numbers],
    }
    assert found.to_pydict() == expected
    assert found.schema.field("origin").type == pa.string()


def test_the_order_is_the_same_each_time(sides: list[Side], monkeypatch: pytest.MonkeyPatch) -> None:
    for rows_at_once in (ROWS, 200):
        monkeypatch.setattr(joined, "ROWS_AT_ONCE", rows_at_once)
        first, again = (pa.Table.from_batches(joined_rows(KEY, sides)) for _ in range(2))
        assert first.equals(again)


def test_no_batch_is_larger_than_a_bucket_and_nothing_is_left_on_disk(
    sides: list[Side], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr(joined, "ROWS_AT_ONCE", 200)
    rows = joined_rows(KEY, sides)
    sizes = [next(rows).num_rows]
    assert len([*scratch.glob("*/*/*")]) == 3 * 16
    sizes += [batch.num_rows for batch in rows]
    assert max(sizes) < 2 * ROWS / 16
    assert not [*scratch.iterdir()]


def test_sides_without_rows_give_none(sides: list[Side]) -> None:
    nothing = Side(table=sides[1].table, query=f"{sides[1].query} AND day < 0", rows=0)
    assert sum(batch.num_rows for batch in joined_rows(KEY, [sides[0], nothing])) == 0
