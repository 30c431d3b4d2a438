"""`roundtrip decisions` and `replay-policy` on kept decisions, `decay` on tables: what a person reads, and what a program does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from roundtrip.cli import decisions
from roundtrip.cli.main import app
from roundtrip.lakehouse.tables import table_uri
from roundtrip.monitoring.decisions import write_decision
from tests.roundtrip.monitoring.test_replay_policy import RECORDS
from use_cases import use_case_named

FLIGHT_ETA = use_case_named("flight_eta")


@pytest.fixture(autouse=True)
def _storage(storage_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in a folder: no stack is asked where the real one is."""
    monkeypatch.setattr(decisions, "_prepared", use_case_named)
    assert storage_root.startswith("file://")


def said(*words: str) -> str:
    result = CliRunner(env={"COLUMNS": "250"}).invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_decisions_are_a_row_each_with_figures_and_reasons() -> None:
    assert "Nothing was decided for flight_eta yet" in said("decisions", "flight_eta")
    for record in RECORDS:
        write_decision(record)
    shown = said("decisions", "flight_eta")
    assert shown.count("as it was") == len(RECORDS)
    assert "3.8% (≥ 0.2%)" in shown
    told = json.loads(said("decisions", "flight_eta", "--json"))
    assert [entry["partition"] for entry in told] == [record.partition for record in RECORDS]
    assert told[1]["cause"] == "concept drift"


def test_another_policy_is_shown_beside_what_was_decided_and_changes_nothing() -> None:
    for record in RECORDS:
        write_decision(record)
    before = said("decisions", "flight_eta", "--json")
    told = json.loads(said("replay-policy", "flight_eta", "--refit-gain", "0.03", "--json"))
    assert told["policy"]["refit_gain"] == 0.03
    assert [(entry["partition"], entry["was"]) for entry in told["decisions"] if entry["would_be"] == "retrain"] == [
        ("2013-05", "retrain"), ("2013-09", "hold"),
    ]  # fmt: skip
    assert said("replay-policy", "flight_eta", "--refit-gain", "0.03").count("≠") == 1
    assert said("decisions", "flight_eta", "--json") == before


def land(month: str, rows: int) -> None:
    """Features and outcomes of a month: what the columns hold is of no matter here."""
    draw = np.random.default_rng(1)
    numbers = {entry.name: draw.normal(10, 20, rows) for entry in FLIGHT_ETA.numbers}
    names = {entry.name: draw.choice(["A", "B", "C"], rows) for entry in FLIGHT_ETA.categories}
    times = np.datetime64(f"{month}-01", "us") + draw.uniform(0, 27 * 86400e6, rows).astype("timedelta64[us]")
    keys = {"flight_id": [f"{month}/{row}" for row in range(rows)], "event_month": [month] * rows}
    features = keys | numbers | names | {FLIGHT_ETA.prediction_time: pa.array(times, pa.timestamp("us", tz="UTC"))}
    outcomes = keys | {FLIGHT_ETA.label: numbers[FLIGHT_ETA.baseline.column] + draw.normal(0, 5, rows)}
    for table, columns in ((FLIGHT_ETA.features_table, features), (FLIGHT_ETA.outcomes_table, outcomes)):
        write_deltalake(table_uri("flight_eta", table), pa.table(columns), mode="append", partition_by=["event_month"])


def test_decay_leaves_a_picture_and_json_where_it_is_told_to_or_in_the_store(tmp_path: Path, storage_root: str) -> None:
    for month in ("2013-01", "2013-02"):
        land(month, 1200)
    shown = said("decay", "flight_eta", "--to", str(tmp_path / "there"))
    assert "MAE (min) on" in shown
    kept = json.loads((tmp_path / "there" / "decay.json").read_text())
    assert [(cell["trained_on"], cell["tested_on"]) for cell in kept["cells"]] == [
        ("2013-01", "2013-01"), ("2013-01", "2013-02"), ("2013-02", "2013-02"),
    ]  # fmt: skip
    assert (tmp_path / "there" / "decay.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(said("decay", "flight_eta", "--json")) == kept
    assert (Path(storage_root.removeprefix("file://")) / "decay" / "flight_eta" / "decay.png").is_file()
