"""Candidate and live version on logged requests whose outcome has come: only what neither learned from counts, each row once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from roundtrip.evaluation import on_requests
from roundtrip.evaluation.on_requests import OnRequests, compare_on_requests
from roundtrip.serving.release import ReleasedVersion
from tests.roundtrip.evaluation.known_outcomes import (
    DAYS,
    HELD_OUT_FROM,
    NOISE_MINUTES,
    ROWS_A_DAY,
    START,
    Asked,
    asked_rows,
    build_off_by,
    published,
    write_features,
    write_log,
    write_outcomes,
)
from tests.roundtrip.lakehouse.trips import TRIPS

HELD_OUT_DAYS = DAYS - (HELD_OUT_FROM - START).days
HELD_OUT_ROWS = HELD_OUT_DAYS * ROWS_A_DAY


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("versions")
    return {"near": build_off_by(root / "near", 0), "off": build_off_by(root / "off", 20)}


@pytest.fixture
def versions(folders: dict[str, Path], storage_root: str) -> dict[str, ReleasedVersion]:
    assert storage_root
    return {name: published(folder, str(place)) for place, (name, folder) in enumerate(folders.items(), start=1)}


@pytest.fixture
def rows(folders: dict[str, Path], versions: dict[str, ReleasedVersion]) -> list[Asked]:
    """All known to the tables; what was asked about is up to the test."""
    found = asked_rows(folders["near"])
    write_features(found)
    write_outcomes(found)
    return found


def compared(versions: dict[str, ReleasedVersion], candidate: str, live: str) -> OnRequests:
    found = compare_on_requests(TRIPS, versions[candidate], versions[live])
    assert found is not None
    return found


def test_the_version_that_is_nearer_on_what_callers_sent_has_the_smaller_error(
    versions: dict[str, ReleasedVersion], rows: list[Asked]
) -> None:  # fmt: skip
    write_log(rows)
    worse, better = compared(versions, "off", "near"), compared(versions, "near", "off")
    assert (worse.rows, worse.days) == (HELD_OUT_ROWS, HELD_OUT_DAYS)
    assert worse.live_mae == pytest.approx(NOISE_MINUTES * np.sqrt(2 / np.pi), rel=0.15)
    assert worse.candidate_mae == pytest.approx(20, rel=0.1)
    assert (better.candidate_mae, better.live_mae) == (worse.live_mae, worse.candidate_mae)
    assert worse.is_worse(TRIPS.gate)
    assert not better.is_worse(TRIPS.gate)
    told = worse.told(TRIPS.gate, "min")
    assert told.startswith(f"MAE {worse.candidate_mae:.2f} min, of the live version {worse.live_mae:.2f}, on {HELD_OUT_ROWS} rows of ")
    assert told.endswith(f"{worse.excess.low:+.1%} at least (limit 5.0%)" if worse.excess else "")


def test_a_version_that_is_as_good_is_not_worse(versions: dict[str, ReleasedVersion], rows: list[Asked]) -> None:
    write_log(rows)
    same = compared(versions, "near", "near")
    assert same.figures() | {"candidate_mae": 0, "live_mae": 0} == {
        "outcome_rows": HELD_OUT_ROWS, "outcome_days": HELD_OUT_DAYS, "candidate_mae": 0, "live_mae": 0, "excess": 0.0, "excess_low": 0.0,
    }  # fmt: skip


def test_rows_that_either_version_learned_from_count_for_nothing(
    versions: dict[str, ReleasedVersion], rows: list[Asked], tmp_path: Path
) -> None:
    write_log(rows)
    later = published(build_off_by(tmp_path / "later", 1, held_out_from=HELD_OUT_FROM + timedelta(days=4)), "3")
    for candidate, live in ((later, versions["near"]), (versions["near"], later)):
        found = compare_on_requests(TRIPS, candidate, live)
        assert found is not None
        assert (found.rows, found.days) == (HELD_OUT_ROWS - 4 * ROWS_A_DAY, HELD_OUT_DAYS - 4)


def test_a_row_counts_once_as_it_was_asked_about_last(versions: dict[str, ReleasedVersion], rows: list[Asked]) -> None:
    write_log([replace(row, inputs={**row.inputs, "delay_minutes": 1000.0}) for row in rows])
    write_log(rows, at=START + timedelta(hours=1))
    write_log([replace(row, inputs={**row.inputs, "delay_minutes": -60.0}) for row in rows], at=START - timedelta(hours=1))
    found = compared(versions, "off", "near")
    assert found.rows == HELD_OUT_ROWS
    assert found.live_mae == pytest.approx(NOISE_MINUTES * np.sqrt(2 / np.pi), rel=0.15)


def test_requests_without_a_key_an_outcome_or_an_input_that_is_asked_for_are_left_out(
    versions: dict[str, ReleasedVersion], rows: list[Asked]
) -> None:
    lacking = replace(rows[-2], inputs={"carrier": "AA", "delay_minutes": 5.0})
    write_log([*rows[:-3], replace(rows[-3], key=""), lacking, replace(rows[-1], key="never seen")])
    assert compared(versions, "off", "near").rows == HELD_OUT_ROWS - 3


def test_few_rows_or_few_days_are_told_and_judge_nobody(versions: dict[str, ReleasedVersion], rows: list[Asked]) -> None:
    write_log(rows[-6 * ROWS_A_DAY :])
    found = compared(versions, "off", "near")
    assert (found.rows, found.days, found.excess) == (6 * ROWS_A_DAY, 6, None)
    assert not found.is_worse(TRIPS.gate)
    assert found.told(TRIPS.gate, "min").endswith("too few to judge by (limits 200 rows, 7 days)")


def test_of_many_requests_an_evenly_drawn_part_is_looked_at(
    versions: dict[str, ReleasedVersion], rows: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(rows)
    monkeypatch.setattr(on_requests, "MOST_REQUESTS", len(rows) // 2)
    found = compared(versions, "off", "near")
    assert HELD_OUT_ROWS * 0.35 < found.rows < HELD_OUT_ROWS * 0.65
    assert found.days == HELD_OUT_DAYS


def test_there_is_nothing_to_compare_before_a_request_has_an_outcome(
    versions: dict[str, ReleasedVersion], folders: dict[str, Path]
) -> None:
    asked = asked_rows(folders["near"])
    pair = versions["off"], versions["near"]
    assert compare_on_requests(TRIPS, *pair) is None
    write_log(asked)
    write_features(asked)
    assert compare_on_requests(TRIPS, *pair) is None
    write_outcomes(asked[: ROWS_A_DAY * 10])
    assert compare_on_requests(TRIPS, *pair) is None
    write_outcomes(asked[ROWS_A_DAY * 10 :])
    assert compare_on_requests(TRIPS, *pair) is not None
