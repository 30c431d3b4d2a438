"""The matrix of training month and test month: what goes out of date shows, what stays true does not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.use_cases import Baseline, Input, Output, UseCase
from roundtrip.monitoring.decay_matrix import FEWEST_ROWS, DecayMatrix, decay_matrix, picture

MONTHS = ("2013-01", "2013-02", "2013-03", "2013-04")
TINY = UseCase(
    name="tiny", title="Tiny", owner="roundtrip", description="", feeds=(), features_table="features", outcomes_table="outcomes",
    predictions_table="predictions", key=("flight_id",), label="arrival_delay",
    inputs=(
        Input(name="origin", kind="category", unit="code", meaning=""),
        Input(name="departure_delay", kind="number", unit="min", meaning=""),
    ),
    outputs=(Output(name="arrival_delay", unit="min", quantile=0.5),), baseline=Baseline(column="departure_delay", meaning="carry-over"),
    slices=(), prediction_time="pushed_back_at",
)  # fmt: skip


def month_of_flights(month: str, *, jfk_later: float, rows: int = 3000) -> pa.Table:
    """28 days in which flights from JFK arrive so much later."""
    draw = np.random.default_rng(int(month[5:]))
    delay, origin = draw.exponential(20, rows), draw.choice(["EWR", "JFK"], rows)
    times = np.datetime64(f"{month}-01", "us") + draw.uniform(0, 28 * 86400e6, rows).astype("timedelta64[us]")
    return pa.table(
        {
            "origin": origin,
            "departure_delay": delay,
            "pushed_back_at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "arrival_delay": delay + np.where(origin == "JFK", jfk_later, 0.0) + draw.normal(0, 4, rows),
        }
    )


def matrix_of(*later: float) -> DecayMatrix:
    return decay_matrix(TINY, {month: month_of_flights(month, jfk_later=by) for month, by in zip(MONTHS, later, strict=True)})


def test_a_month_is_tested_on_itself_and_on_every_later_one() -> None:
    told: list[str] = []
    rows = {month: month_of_flights(month, jfk_later=10) for month in MONTHS}
    matrix = decay_matrix(TINY, rows, tell=told.append)
    assert [(cell.trained_on, cell.tested_on) for cell in matrix.cells] == [
        (first, second) for place, first in enumerate(MONTHS) for second in MONTHS[place:]
    ]
    assert told == list(MONTHS)
    assert {cell.rows for cell in matrix.cells if cell.trained_on != cell.tested_on} == {3000}


def test_what_changes_ages_a_model_month_by_month_and_what_stays_does_not() -> None:
    still, moving = matrix_of(10, 10, 10, 10).grid("mae")[0], matrix_of(10, 20, 30, 40).grid("mae")[0]
    assert np.ptp(still) < 0.5
    assert (np.diff(moving) > 3).all()
    skill = matrix_of(10, 10, 10, 10).grid("skill")
    assert (skill[~np.isnan(skill)] > 0.2).all()


def test_the_matrix_is_a_picture_and_json() -> None:
    matrix = matrix_of(10, 20, 10, 20)
    assert picture(matrix).startswith(b"\x89PNG")
    assert matrix.figures()["months"] == MONTHS


def test_one_month_alone_or_with_a_month_too_small_is_refused() -> None:
    rows = {MONTHS[0]: month_of_flights(MONTHS[0], jfk_later=1), MONTHS[1]: month_of_flights(MONTHS[1], jfk_later=1, rows=FEWEST_ROWS - 1)}
    with pytest.raises(SnapshotUnusable, match=r"1 months have 500 labelled rows \(2 at least\)"):
        decay_matrix(TINY, rows)
