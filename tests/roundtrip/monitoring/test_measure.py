"""A whole drift check on small Delta tables and a real version folder: what decayed is found, and odd partitions don't stop it.

The model is a network that was never trained: it predicts the baseline, so its skill in production is zero, whatever it was at release.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from roundtrip.contracts.errors import NothingPredicted, SnapshotUnusable
from roundtrip.contracts.use_cases import Baseline, Input, Output, RetrainPolicy, Slice, UseCase
from roundtrip.lakehouse.snapshot import Snapshot, recent_labelled_rows
from roundtrip.lakehouse.tables import table_uri
from roundtrip.monitoring.measure import DriftCheck, check_drift
from roundtrip.monitoring.reference import load_reference, trained_through
from roundtrip.registry.version_folder import publish, write_manifest
from roundtrip.serving.compile import build_version
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.rows import training_data

TRAINED_ON, MEASURED = "2013-01", "2013-02"
TINY = UseCase(
    name="tiny", title="Tiny", owner="roundtrip", description="", feeds=(), features_table="features", outcomes_table="outcomes",
    predictions_table="predictions", key=("flight_id",), label="arrival_delay",
    inputs=(
        Input(name="origin", kind="category", unit="code", meaning=""),
        Input(name="departure_delay", kind="number", unit="min", meaning="", minimum=-60, maximum=1500),
        Input(name="hour", kind="number", unit="h", meaning="", minimum=0, maximum=24, drifts_by_nature=True,
              source="flights"),
    ),
    outputs=(
        Output(name="arrival_delay", unit="min", quantile=0.5), Output(name="arrival_delay_p10", unit="min", quantile=0.1),
        Output(name="arrival_delay_p90", unit="min", quantile=0.9),
    ),
    baseline=Baseline(column="departure_delay", meaning="carry-over"), slices=(Slice(input="origin"),), prediction_time="pushed_back_at",
    retrain=RetrainPolicy(minimum_outcomes=1000),
)  # fmt: skip
GAIN = -5.0
"""Median minutes by which flights arrive less late than they left."""


def flights(month: str, rows: int, *, hour_shift: float = 0.0) -> pa.Table:
    """Features and label of a month, 28 days of it."""
    draw = np.random.default_rng(int(month[5:]))
    delay = draw.exponential(20, rows)
    first = np.datetime64(f"{month}-01", "us")
    return pa.table(
        {
            "flight_id": [f"{month}/{number}" for number in range(rows)],
            "event_month": [month] * rows,
            "pushed_back_at": pa.array(
                first + (draw.uniform(0, 28 * 86400e6, rows)).astype("timedelta64[us]"), pa.timestamp("us", tz="UTC")
            ),
            "origin": draw.choice(["EWR", "JFK", "LGA"], rows),
            "departure_delay": delay,
            "hour": np.clip(draw.uniform(0, 12, rows) + hour_shift, 0, 24),
            "arrival_delay": delay + GAIN + draw.laplace(0, 10, rows),
        }
    )


def append(table: str, rows: pa.Table) -> None:
    write_deltalake(table_uri("tiny", table), rows, mode="append", partition_by=["event_month"])


def append_month(rows: pa.Table, *, outcomes: int) -> None:
    """Append features, and the outcomes of the first so many rows."""
    append("features", rows.drop_columns(["arrival_delay"]))
    append("outcomes", rows.select(["flight_id", "event_month", "arrival_delay"]).slice(0, outcomes))


def predict(rows: pa.Table, version: str = "1") -> None:
    """Append predictions of the baseline, with an interval of ± 15 minutes."""
    median = rows.column("departure_delay").to_numpy() + GAIN
    outputs = {"arrival_delay": median, "arrival_delay_p10": median - 15, "arrival_delay_p90": median + 15}
    append("predictions", pa.table({**{name: rows.column(name) for name in ("flight_id", "event_month")}, **outputs,
                                    "model_version": [version] * rows.num_rows}))  # fmt: skip


@pytest.fixture(scope="module")
def network_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built version folder; the export costs seconds, so once."""
    folder = tmp_path_factory.mktemp("version")
    trained = flights(TRAINED_ON, 4000)
    data = training_data(TINY, trained.slice(0, 3000), trained.slice(3000))
    network = Network(NetworkShape.of(data.contract, TINY.recipe))
    fit_inputs(network, data)
    build_version(network, data.contract, folder)
    return folder


@pytest.fixture
def release(network_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Version 1, released with a skill of 0.20, trained on TRAINED_ON; gives its folder before publishing."""
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", f"file://{tmp_path / 'storage'}")
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    trained = flights(TRAINED_ON, 4000)
    append_month(trained, outcomes=4000)
    folder = tmp_path / "version"
    folder.mkdir()
    for file in network_files.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    snapshot = Snapshot(
        use_case="tiny",
        partitions=(TRAINED_ON,),
        features_version=0,
        outcomes_version=0,
        rows=4000,
        held_out_from="2013-01-21T00:00:00+00:00",
    )
    (folder / "snapshot.json").write_bytes(snapshot.to_json())
    publish_with_skill(folder, 0.20)
    return folder


def publish_with_skill(folder: Path, skill: float) -> None:
    candidate = {"mae": 8.0, "skill": skill, "skill_low": skill - 0.01, "skill_high": skill + 0.01}
    (folder / "evaluation.json").write_text(json.dumps({"candidate": candidate}))
    write_manifest(folder)
    publish(folder, "tiny", "1")


def measured(rows: pa.Table, *, outcomes: int) -> DriftCheck:
    append_month(rows, outcomes=outcomes)
    predict(rows)
    return check_drift(TINY, MEASURED)


@pytest.mark.usefixtures("release")
def test_skill_that_no_refit_gives_back_is_watched_and_is_no_decay() -> None:
    check = measured(flights(MEASURED, 4000), outcomes=3500)
    figures = check.figures()
    assert (check.verdict, check.inputs_drifted, figures["outcomes"], figures["rows"]) == ("watch", [], 3500, 4000)
    assert check.refit is not None
    assert check.refit.gain.value < 0.015
    performance = figures["performance"]
    assert isinstance(performance, dict)
    assert performance["skill"] == pytest.approx(0, abs=0.01)
    assert performance["skill_at_release"] == 0.20
    assert 0.15 < float(str(performance["loss_low"])) < float(str(performance["loss"])) < float(str(performance["loss_high"]))
    assert performance["coverage"] == pytest.approx(0.78, abs=0.03)
    assert b"<!DOCTYPE html>" in check.report
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert {table.table for table in check.tables} == {"features", "outcomes", "predictions"}


@pytest.mark.usefixtures("release")
def test_an_input_that_drifts_by_nature_raises_no_alarm_and_one_that_does_not_is_watched() -> None:
    rows = flights(MEASURED, 4000, hour_shift=12)
    other = rows.set_column(rows.column_names.index("origin"), "origin", pa.array(["SWF"] * 4000))
    check = measured(other, outcomes=0)
    assert check.inputs["hour"].drifted
    assert check.inputs_drifted == ["origin"]
    assert check.inputs["origin"].note.startswith("1 new: SWF")
    assert (check.performance, check.refit) == (None, None)
    assert (check.verdict, check.cause) == ("watch", "data drift")


@pytest.mark.usefixtures("release")
def test_another_answer_to_the_same_question_is_decay_by_concept_drift_and_the_refit_says_what_it_gains() -> None:
    rows = flights(MEASURED, 4000)
    later = pc.if_else(pc.equal(rows["origin"], "JFK"), 20.0, 0.0)
    place = rows.column_names.index("arrival_delay")
    check = measured(rows.set_column(place, "arrival_delay", pc.add(rows["arrival_delay"], later)), outcomes=4000)
    assert (check.verdict, check.cause, check.inputs_drifted) == ("decayed", "concept drift", [])
    refit = check.figures()["refit"]
    assert isinstance(refit, dict)
    assert (refit["judged_from"], refit["learned_rows"]) == ("2013-02-15", 4000 + 4000 - check.refit.rows)  # type: ignore[union-attr]
    assert 0.015 < float(str(refit["gain_low"])) < float(str(refit["gain"])) < float(str(refit["gain_high"]))
    assert float(str(refit["mae"])) == pytest.approx(float(str(refit["live_mae"])) * (1 - float(str(refit["gain"]))), abs=1e-3)
    assert check.errors.drift.drifted
    assert check.errors.mean == pytest.approx(20 / 3, abs=1)


@pytest.mark.usefixtures("release")
def test_an_input_that_arrives_empty_is_broken_and_the_report_is_made_without_it() -> None:
    rows = flights(MEASURED, 1000)
    check = measured(rows.set_column(rows.column_names.index("hour"), "hour", pa.nulls(1000, pa.float64())), outcomes=1000)
    assert (check.inputs_broken, check.cause) == (["hour"], "bad data")
    assert check.data_faults == ["Input hour arrives without a value in 100% of the rows, 0% in training: look at source flights."]
    assert b"<!DOCTYPE html>" in check.report


@pytest.mark.usefixtures("release")
def test_a_partition_of_one_row_is_measured_and_states_nothing() -> None:
    check = measured(flights(MEASURED, 1), outcomes=1)
    assert check.verdict == "unknown"
    assert all(drift.effect is None for drift in check.inputs.values())


@pytest.mark.usefixtures("release")
def test_a_partition_without_predictions_or_with_those_of_two_versions_is_refused() -> None:
    rows = flights(MEASURED, 400)
    predict(flights(TRAINED_ON, 10))
    append_month(rows, outcomes=400)
    with pytest.raises(SnapshotUnusable, match=f"no version predicted {MEASURED} of tiny: run score_batch"):
        check_drift(TINY, MEASURED)
    predict(rows.slice(0, 200), "1")
    predict(rows.slice(200), "2")
    with pytest.raises(SnapshotUnusable, match=r"by 2 model versions \(1, 2\)"):
        check_drift(TINY, MEASURED)


@pytest.mark.usefixtures("storage_root")
def test_where_outcomes_come_late_those_of_months_before_the_first_model_are_nothing_to_measure() -> None:
    late = replace(TINY, outcomes_come_late=True)
    rows = flights(MEASURED, 400)
    append_month(rows, outcomes=400)
    with pytest.raises(NothingPredicted, match=f"no version predicted {MEASURED} of tiny: its outcomes came before"):
        check_drift(late, MEASURED)  # there is no table of predictions yet
    predict(flights(TRAINED_ON, 10))
    with pytest.raises(NothingPredicted):
        check_drift(late, MEASURED)


@pytest.mark.usefixtures("storage_root")
@pytest.mark.parametrize("rows_at_once", [10_000, 100])
def test_a_refit_is_given_the_latest_labelled_rows_before_the_partition(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    monkeypatch.setattr("roundtrip.lakehouse.joined.ROWS_AT_ONCE", rows_at_once)
    months = {month: flights(month, 500) for month in ("2013-01", "2013-02", "2013-03")}
    for rows in months.values():
        append_month(rows, outcomes=400)
    found = recent_labelled_rows(TINY, before="2013-03", at_most=600, features_version=2, outcomes_version=2)
    expected = [months[month].slice(0, 400).sort_by("pushed_back_at").slice(first) for month, first in (("2013-01", 200), ("2013-02", 0))]
    assert [rows.select(["flight_id", "arrival_delay"]).to_pydict() for rows in found] == [
        rows.select(["flight_id", "arrival_delay"]).to_pydict() for rows in expected
    ]
    assert not recent_labelled_rows(TINY, before="2013-03", at_most=0, features_version=2, outcomes_version=2)
    assert not recent_labelled_rows(TINY, before="2013-01", at_most=9, features_version=2, outcomes_version=2)


@pytest.mark.usefixtures("storage_root")
@pytest.mark.parametrize("table", ["features", "outcomes"])
def test_rows_whose_file_is_gone_are_refused_with_their_table(table: str) -> None:
    append_month(flights("2013-01", 500), outcomes=500)
    (file,) = Path(table_uri("tiny", table).removeprefix("file://")).glob("event_month=2013-01/*.parquet")
    file.unlink()
    with pytest.raises(SnapshotUnusable, match=f"tiny.{table} can't be read at version 0 any more: .*not found"):
        recent_labelled_rows(TINY, before="2013-03", at_most=600, features_version=0, outcomes_version=0)


@pytest.mark.usefixtures("release")
def test_the_reference_is_what_the_version_was_trained_on_whatever_the_tables_hold_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    append_month(flights(MEASURED, 500), outcomes=500)
    reference = load_reference(TINY, "1")
    rows = pa.Table.from_batches(reference.batches())
    monkeypatch.setattr("roundtrip.monitoring.reference.ROWS_IN_MEMORY", 0)
    assert pa.Table.from_batches(load_reference(TINY, "1").batches()).sort_by("flight_id").equals(rows.sort_by("flight_id"))
    assert rows.num_rows < 4000
    assert set(rows.column("flight_id").to_pylist()) < {f"{TRAINED_ON}/{number}" for number in range(4000)}
    assert reference.baseline_gain == pytest.approx(GAIN, abs=0.7)
    assert [reference.at_release.low, reference.at_release.value] == pytest.approx([0.19, 0.20])
    assert trained_through("tiny", "1") == TRAINED_ON
