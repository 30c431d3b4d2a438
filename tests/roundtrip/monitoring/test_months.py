"""What pages and metrics read of the measured months: the newest decisions with their checks, whatever of them is left."""

from __future__ import annotations

import json

import pytest

from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.monitoring.months import Month, newest_months


def decide(month: str, *, figures: dict[str, object] | None, **more: object) -> None:
    """A decision document, as jobs/decide_retrain.py keeps it, and the receipt that it rests on."""
    folder = RunFolder.of("trips.watch_drift", month)
    document = {
        "use_case": "trips", "partition": month, "model_version": "2", "verdict": "watch", "outcomes": 10, "loss": None, "loss_low": None,
        "action": "hold", "reasons": ["wait"], "decided_at": "2026-11-28T12:00:00+00:00", "run_dir": folder.uri, **more,
    }  # fmt: skip
    root = folder.uri.partition("/runs/")[0]
    storage.write_bytes(f"{root}/decisions/trips/{month}.json", json.dumps(document).encode())
    if figures is not None:
        folder.write_receipt(Receipt("measure_drift", "trips", figures=figures))  # type: ignore[arg-type]


def measured(**more: object) -> dict[str, object]:
    performance = {"mae": 8.0, "baseline_mae": 10.0, "skill": 0.2, "skill_low": 0.1, "skill_high": 0.3}
    return {"rows": 20, "inputs": {"speed": {"effect": 0.3, "drifted": True}}, "performance": performance, **more}


def the_month() -> Month:
    (found,) = newest_months("trips", 1)
    return found


def test_before_the_first_check_there_is_no_month(storage_root: str) -> None:
    assert newest_months("trips", 12) == []


def test_only_the_newest_months_are_read_in_their_order(storage_root: str) -> None:
    for month in ("2013-03", "2012-12", "2013-01", "2013-02"):
        decide(month, figures=measured())
    assert [month.partition for month in newest_months("trips", 3)] == ["2013-01", "2013-02", "2013-03"]


def test_a_month_has_its_figures_and_what_a_refit_would_have_reached(storage_root: str) -> None:
    decide("2013-04", figures=measured(refit={"rows": 5, "gain": 0.25, "gain_low": 0.1, "gain_high": 0.3}), cause="concept drift")
    month = the_month()
    assert month.performance is not None and month.performance.mae == 8.0
    assert month.refit_mae == pytest.approx(6.0)
    assert (month.cause, month.inputs_drifted) == ("concept drift", ("speed",))


def test_a_month_without_outcomes_has_no_error_and_no_refit(storage_root: str) -> None:
    decide("2013-04", figures=measured(performance=None))
    month = the_month()
    assert (month.performance, month.refit, month.refit_mae, month.rows) == (None, None, None, 20)


def test_a_decision_outlives_the_run_folder_of_its_check(storage_root: str) -> None:
    decide("2013-04", figures=None)
    month = the_month()
    assert (month.verdict, month.reasons, month.performance, month.inputs) == ("watch", ("wait",), None, {})


def test_the_figures_of_a_decision_stand_in_for_a_check_that_is_gone(storage_root: str) -> None:
    decide("2013-04", figures=None, mae=8.0, baseline_mae=10.0, refit_mae=6.0, refit_gain=0.25, refit_gain_low=0.1)
    month = the_month()
    assert month.performance is not None
    assert (month.performance.mae, month.performance.skill_low) == (8.0, None)
    assert month.performance.skill == pytest.approx(0.2)
    assert month.refit_mae == pytest.approx(6.0)
