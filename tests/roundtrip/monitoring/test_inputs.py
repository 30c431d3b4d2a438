"""Input drift: an effect size that is small on the same data at any size, finds what moved, and survives every odd partition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring import inputs
from roundtrip.monitoring.effect_size import MINIMUM_ROWS, Drift, stability_index
from roundtrip.monitoring.inputs import LEAST_EFFECT, LEAST_JOINT_EFFECT, data_faults, inputs_broken, inputs_drifted, joint_drift
from roundtrip.monitoring.joint import JointDrift
from roundtrip.monitoring.profile import profile_reference, profile_rows, sample_of

DELAY = Input(name="delay", kind="number", unit="min", meaning="")
HOUR = Input(name="hour", kind="number", unit="h", meaning="", drifts_by_nature=True)
FROM_FLIGHTS = Input(name="delay", kind="number", unit="min", meaning="", source="flights")
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


def dated(rows: pa.Table) -> pa.Table:
    """The rows spread evenly over the twelve weeks before April."""
    last = np.datetime64("2013-03-31", "us").astype(np.int64)
    times = last - np.linspace(12 * 7 * 86400e6 - 1, 0, rows.num_rows).astype(np.int64)
    return rows.append_column("at", pa.array(times, pa.timestamp("us", tz="UTC")))


def input_drifts(entries: tuple[Input, ...], *, reference: pa.Table, current: pa.Table) -> dict[str, Drift]:
    profile = profile_reference(entries, lambda: dated(reference).to_batches(max_chunksize=1000), time="at")
    return inputs.input_drifts(profile.plan.inputs, profile, profile_rows(profile.plan, current.to_batches(max_chunksize=700)))


def joint_of(entries: tuple[Input, ...], *, reference: pa.Table, current: pa.Table) -> JointDrift:
    profile = profile_reference(entries, lambda: dated(reference).to_batches(), time="at")
    return joint_drift(profile, profile_rows(profile.plan, current.to_batches()))


def drift_of(reference: Sequence[object], current: Sequence[object], entry: Input = DELAY) -> Drift:
    name = entry.name
    found = input_drifts((entry,), reference=pa.table({name: pa.array(reference)}), current=pa.table({name: pa.array(current)}))
    return found[name]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 2), rows=st.sampled_from([MINIMUM_ROWS, 1000, 3000, 30_000]))
def test_the_same_distribution_raises_no_alarm_at_any_size(seed: int, rows: int) -> None:
    drifts = input_drifts(INPUTS, reference=flights(20_000, seed), current=flights(rows, seed + 1))
    assert not inputs_drifted(INPUTS, drifts)
    assert all(drift.effect_low == 0.0 for drift in drifts.values())
    assert all(
        drift.effect is not None and drift.effect_high is not None and drift.effect <= drift.effect_high for drift in drifts.values()
    )


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
    drift = drift_of(list(np.random.default_rng(1).uniform(0, 100, 1000)), [7.0] * 1000)
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


def test_a_reference_of_a_single_day_has_no_parts_to_compare_and_the_least_effects_are_the_limits() -> None:
    reference, current = flights(2000, 1), flights(2000, 2)
    one_day = reference.append_column("at", pa.array(np.full(2000, np.datetime64("2013-03-31", "us")), pa.timestamp("us", tz="UTC")))
    profile = profile_reference(INPUTS, one_day.to_batches, time="at")
    now = profile_rows(profile.plan, current.to_batches())
    assert joint_drift(profile, now).limit == LEAST_JOINT_EFFECT
    assert {found.limit for found in inputs.input_drifts(profile.plan.inputs, profile, now).values()} == {LEAST_EFFECT}


def test_what_the_reference_does_by_itself_is_no_drift_of_the_partition() -> None:
    still, moving = flights(12_000, 1), flights(12_000, 1)
    waves = np.repeat([0.0, 12.0, 0.0], 4000)
    moving = moving.set_column(0, "delay", pa.array(moving["delay"].to_numpy() + waves))
    current = flights(3000, 2, shift=9)
    assert input_drifts((DELAY,), reference=still, current=current)["delay"].drifted
    found = input_drifts((DELAY,), reference=moving, current=current)["delay"]
    assert not found.drifted
    assert found.limit is not None and found.effect is not None
    assert LEAST_EFFECT < found.effect < found.limit


@pytest.mark.parametrize(("known", "missing", "broken"), [(0.0, 0.2, ["delay"]), (0.0, 0.05, []), (0.5, 0.55, [])])
def test_values_that_go_missing_are_a_fault_of_the_source_and_no_drift_that_a_retrain_mends(
    known: float, missing: float, broken: list[str]
) -> None:
    def lacking(share: float, seed: int) -> list[object]:
        draw = np.random.default_rng(seed)
        return [None if gone else value for gone, value in zip(draw.random(4000) < share, draw.exponential(30, 4000), strict=True)]

    drift = drift_of(lacking(known, 1), lacking(missing, 2))
    assert inputs_broken({"delay": drift}) == broken
    assert [fault.rpartition(": ")[2] for fault in data_faults((FROM_FLIGHTS,), {"delay": drift})] == ["look at source flights."] * len(
        broken
    )


def test_a_number_that_is_scaled_is_seen_in_its_tails_also_where_most_of_it_is_one_value() -> None:
    draw = np.random.default_rng(1)
    visibility = np.where(draw.random(8000) < 0.9, 10.0, draw.uniform(0, 10, 8000))
    found = drift_of(visibility[:4000].tolist(), (visibility[4000:] * 1.1).tolist())
    assert found.drifted


def test_counts_in_another_unit_are_seen_in_their_fractions_also_where_a_week_moves_them_further() -> None:
    draw = np.random.default_rng(1)
    reference = np.rint(draw.exponential(30, 12_000) + np.repeat([0.0, 12.0, 0.0], 4000))
    current = np.rint(draw.exponential(34, 3000))
    assert not drift_of(reference.tolist(), current.tolist()).drifted
    assert drift_of(reference.tolist(), (1.1 * current).tolist()).drifted


def test_rows_joined_to_the_wrong_rows_move_no_input_and_the_pair_that_lost_its_relation_is_named() -> None:
    def routes(seed: int, *, shuffled: bool = False) -> pa.Table:
        draw = np.random.default_rng(seed)
        miles = draw.uniform(100, 3000, 5000)
        minutes = miles / 8 + draw.normal(0, 20, 5000)
        carrier = np.where(draw.random(5000) < 0.5, "AA", "DL")
        return pa.table({"miles": miles, "minutes": draw.permutation(minutes) if shuffled else minutes, "carrier": carrier})

    entries = (
        Input(name="miles", kind="number", unit="mi", meaning=""), Input(name="minutes", kind="number", unit="min", meaning=""), CARRIER,
    )  # fmt: skip
    wrong = routes(2, shuffled=True)
    assert inputs_drifted(entries, input_drifts(entries, reference=routes(1), current=wrong)) == []
    found = joint_of(entries, reference=routes(1), current=wrong)
    assert (found.drifted, found.pair, found.pairs) == (True, ("miles", "minutes"), 5)
    assert found.effect_low is not None and found.limit is not None and found.effect_low > found.limit
    assert not joint_of(entries, reference=routes(1), current=routes(3)).drifted


@pytest.mark.parametrize("rows", [0, 1])
def test_of_a_tiny_partition_nothing_is_stated_about_pairs_either(rows: int) -> None:
    found = joint_of(INPUTS, reference=flights(3000, 1), current=flights(rows, 2))
    assert (found.effect, found.drifted) == (None, False)
    assert found.note.startswith(f"{rows} rows against 3,000")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=2, max_size=12), st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_effect_and_more_rows_make_it_narrower(counts: list[int], seed: int) -> None:
    reference = np.array(counts, dtype=np.float64) + 1
    current = np.random.default_rng(seed).permutation(reference)
    few, many = stability_index(reference, current), stability_index(reference * 100, current * 100)
    for found in (few, many):
        assert 0 <= found.low <= found.value <= found.high
    assert many.high - many.low <= few.high - few.low + 1e-9


def test_a_sample_is_drawn_evenly_and_keeps_the_order_of_the_rows() -> None:
    batches = pa.table({"place": np.arange(100_000)}).to_batches(max_chunksize=999)
    places = sample_of(batches, 1000)["place"].to_numpy()
    assert len(places) == 1000
    assert (np.diff(places) > 0).all()
    assert abs(places.mean() - 50_000) < 4000
    assert sample_of(batches[:1], 1000).num_rows == 999
    assert sample_of([], 1000).num_rows == 0
