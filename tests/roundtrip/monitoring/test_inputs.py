"""Input drift: an effect size that is small on the same data at any size, finds what moved, and survives every odd partition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.effect_size import DRIFT_LIMIT, MINIMUM_ROWS, Drift
from roundtrip.monitoring.inputs import input_drifts, inputs_broken, inputs_drifted

DELAY = Input(name="delay", kind="number", unit="min", meaning="")
HOUR = Input(name="hour", kind="number", unit="h", meaning="", drifts_by_nature=True)
CARRIER = Input(name="carrier", kind="category", unit="code", meaning="")
INPUTS = (DELAY, HOUR, CARRIER)


def flights(rows: int, seed: int, *, shift: float = 0.0) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "delay": draw.exponential(30, rows) + shift,
            "hour": draw.integers(0, 24, rows).astype(float) + shift,
            "carrier": draw.choice(["AA", "B6", "DL", "UA"], rows, p=[0.1, 0.2, 0.3, 0.4]),
        }
    )


def drift_of(reference: Sequence[object], current: Sequence[object], entry: Input = DELAY) -> Drift:
    name = entry.name
    found = input_drifts((entry,), reference=pa.table({name: pa.array(reference)}), current=pa.table({name: pa.array(current)}))
    return found[name]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 2), rows=st.sampled_from([MINIMUM_ROWS, 1000, 3000, 30_000]))
def test_the_same_distribution_raises_no_alarm_at_any_size(seed: int, rows: int) -> None:
    drifts = input_drifts(INPUTS, reference=flights(20_000, seed), current=flights(rows, seed + 1))
    assert not inputs_drifted(INPUTS, drifts)
    if rows >= 3000:
        assert all(drift.effect is not None and drift.effect < 0.02 for drift in drifts.values())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 2), shift=st.floats(25, 500))
def test_a_shifted_number_is_found_and_one_that_shifts_by_nature_raises_no_alarm(seed: int, shift: float) -> None:
    drifts = input_drifts(INPUTS, reference=flights(5000, seed), current=flights(2000, seed + 1, shift=shift))
    assert drifts["delay"].drifted
    assert drifts["hour"].drifted
    assert inputs_drifted(INPUTS, drifts) == ["delay"]


def test_a_larger_shift_has_a_larger_effect() -> None:
    reference = flights(5000, 1)
    effects = [
        input_drifts((DELAY,), reference=reference, current=flights(5000, 2, shift=shift))["delay"].effect or 0.0
        for shift in (0, 5, 15, 45)
    ]
    assert effects == sorted(effects)
    assert effects[0] < effects[-1]


def test_alarms_come_strongest_first() -> None:
    current = flights(3000, 2, shift=20).set_column(2, "carrier", pa.array(["ZZ"] * 3000))
    drifts = input_drifts(INPUTS, reference=flights(3000, 1), current=current)
    assert inputs_drifted(INPUTS, drifts) == ["carrier", "delay"]


def test_a_number_that_gets_stuck_is_drift_and_the_note_says_so() -> None:
    drift = drift_of(list(np.linspace(0, 100, 1000)), [7.0] * 1000)
    assert drift.drifted
    assert drift.note == "constant 7"


def test_a_constant_that_moves_to_another_constant_is_drift_and_one_that_stays_is_not() -> None:
    assert drift_of([7.0] * 500, [8.0] * 500).drifted
    assert drift_of([7.0] * 500, [7.0] * 500).effect == 0.0


@pytest.mark.parametrize("entry", [DELAY, CARRIER])
def test_an_all_null_input_is_drift_and_broken(entry: Input) -> None:
    known: list[object] = [1.0, 2.0, 3.0, 4.0] * 200 if entry is DELAY else ["AA", "DL"] * 400
    drift = drift_of(known, [None] * 800, entry)
    assert drift.drifted
    assert drift.missing == 1.0
    assert drift.note == "every value is missing"
    assert inputs_broken({entry.name: drift}) == [entry.name]


def test_an_input_that_was_always_null_is_neither_drift_nor_broken() -> None:
    drift = drift_of([None] * 500, [None] * 500)
    assert drift.effect == 0.0
    assert inputs_broken({"delay": drift}) == []


def test_nan_counts_as_missing() -> None:
    drift = drift_of([1.0, 2.0] * 300, [1.0, float("nan")] * 300)
    assert drift.missing == 0.5
    assert drift.drifted


def test_a_column_that_the_table_lacks_counts_as_missing() -> None:
    reference = flights(500, 1)
    drifts = input_drifts((DELAY,), reference=reference, current=reference.drop_columns(["delay"]))
    assert inputs_broken(drifts) == ["delay"]


def test_a_new_category_is_named_with_its_share() -> None:
    drift = drift_of(["AA", "DL"] * 500, ["AA", "DL"] * 300 + ["ZZ"] * 400, CARRIER)
    assert drift.drifted
    assert drift.note == "1 new: ZZ (40.0% of the known values)"


@pytest.mark.parametrize("rows", [0, 1, MINIMUM_ROWS - 1])
@pytest.mark.parametrize("entry", [DELAY, CARRIER])
def test_an_empty_or_tiny_partition_states_nothing_and_says_why(entry: Input, rows: int) -> None:
    known: list[object] = [1.0, 5.0] * 200 if entry is DELAY else ["AA", "DL"] * 200
    drift = drift_of(known, known[:rows], entry)
    assert drift.effect is None
    assert not drift.drifted
    assert drift.note.startswith(f"{rows} rows against 400")


def test_moving_half_of_the_limit_is_seen_but_no_alarm() -> None:
    drift = drift_of(["AA"] * 5000 + ["DL"] * 5000, ["AA"] * 6200 + ["DL"] * 3800, CARRIER)
    assert drift.effect is not None
    assert 0.02 < drift.effect < DRIFT_LIMIT
