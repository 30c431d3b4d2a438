import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.contracts.use_cases import Gate, Slice
from roundtrip.evaluation.slices import MISSING, Errors, slices_found

ROWS, DAYS = 2800, 14
GATE = Gate(minimum_slice_rows=200, minimum_slice_days=7)
ORIGIN, DISTANCE = Slice(input="origin"), Slice(input="distance", bands=(500, 1000))


def errors(rows: int = ROWS, *, champion: bool = True, seed: int = 1) -> Errors:
    draw = np.random.default_rng(seed)
    return Errors(
        candidate=draw.exponential(10, rows),
        baseline=draw.exponential(14, rows),
        champion=draw.exponential(11, rows) if champion else None,
        days=np.arange(rows) % DAYS,
    )


def test_a_value_on_a_band_s_edge_belongs_to_the_band_above() -> None:
    values = [499.9, 500, 999.9, 1000, 5000, float("nan")]
    found = slices_found(DISTANCE, "mi", values, errors(6), GATE)
    assert [(entry.value, entry.rows) for entry in found] == [
        ("below 500 mi", 1), ("500 to 1000 mi", 2), ("1000 mi and above", 2), (MISSING, 1),
    ]  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), bands=st.lists(st.integers(0, 100), min_size=1, max_size=5, unique=True).map(sorted))
def test_slices_part_the_rows_whatever_the_bands(seed: int, bands: list[float]) -> None:
    whole = errors(seed=seed)
    numbers = np.random.default_rng(seed).uniform(-10, 110, ROWS)
    numbers[:30] = np.nan
    gate = Gate(minimum_slice_rows=1, minimum_slice_days=1)
    found = slices_found(Slice(input="distance", bands=tuple(bands)), "mi", numbers.tolist(), whole, gate)
    assert sum(entry.rows for entry in found) == ROWS
    total = sum(entry.rows * entry.figures.mae for entry in found if entry.figures)
    assert total == pytest.approx(whole.candidate.sum())


def test_a_slice_of_a_category_has_the_errors_of_its_own_rows() -> None:
    whole = errors()
    values = ["EWR", "JFK", None, "LGA"] * (ROWS // 4)
    found = slices_found(ORIGIN, "IATA code", values, whole, GATE)
    assert sorted(entry.value for entry in found) == sorted(["EWR", "JFK", MISSING, "LGA"])
    jfk = next(entry.figures for entry in found if entry.value == "JFK")
    assert jfk is not None and whole.champion is not None and jfk.excess is not None
    assert (jfk.mae, jfk.baseline_mae, jfk.champion_mae) == pytest.approx(
        (whole.candidate[1::4].mean(), whole.baseline[1::4].mean(), whole.champion[1::4].mean())
    )
    assert jfk.excess.value == pytest.approx(whole.candidate[1::4].mean() / whole.champion[1::4].mean() - 1)
    assert jfk.excess.low < jfk.excess.value < jfk.excess.high


@pytest.mark.parametrize(("small", "on_days"), [(199, DAYS), (400, 6)])
def test_a_slice_of_too_few_rows_or_days_is_counted_and_has_no_figures(small: int, on_days: int) -> None:
    days = np.concatenate([np.arange(small) % on_days, np.arange(1000) % DAYS])
    whole = errors(small + 1000)
    both = Errors(candidate=whole.candidate, baseline=whole.baseline, champion=whole.champion, days=days)
    found = slices_found(ORIGIN, "IATA code", ["EWR"] * small + ["JFK"] * 1000, both, GATE)
    assert [(entry.value, entry.rows, entry.days, entry.figures is None) for entry in found] == [
        ("EWR", small, on_days, True), ("JFK", 1000, DAYS, False),
    ]  # fmt: skip


def test_without_a_champion_a_slice_has_only_the_candidate_s_and_the_baseline_s_error() -> None:
    found = slices_found(ORIGIN, "IATA code", ["EWR"] * ROWS, errors(champion=False), GATE)
    assert found[0].figures is not None
    assert (found[0].figures.champion_mae, found[0].figures.excess) == (None, None)
