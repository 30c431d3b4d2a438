"""A short demo as its receipts and runs tell it: two months, the second of which asked for a retrain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from roundtrip.cli.demo.airflow_api import DagRun, TaskInstance
from roundtrip.contracts.receipts import Figure, Receipt, TableVersion

START = datetime(2026, 11, 25, 12, tzinfo=UTC)


def run_at(dag: str, seconds: tuple[float, float], *, month: str | None = None, state: str = "success") -> DagRun:
    """A run that started and ended so many seconds after START."""
    started, ended = (START + timedelta(seconds=moment) for moment in seconds)
    run_id = f"asset_triggered__{month}" if month else "demo__first_training"
    return DagRun(f"flight_eta.{dag}", run_id, state, started, month, started, ended if state in {"success", "failed"} else None)


def task_at(run: DagRun, task: str, seconds: float, *, state: str = "success") -> TaskInstance:
    assert run.start_date
    return TaskInstance(run.dag_id, run.dag_run_id, task, -1, state, 1, run.start_date, run.start_date + timedelta(seconds=seconds))


def receipt(
    job: str, figures: dict[str, Figure], *, answer: str = "done", reason: str = "", writes: tuple[str, int] | None = None
) -> Receipt:
    outputs = [TableVersion(writes[0], f"s3://roundtrip/lakehouse/flight_eta/{writes[0]}", writes[1], 100)] if writes else []
    return Receipt(job, "flight_eta", answer=answer, reason=reason, outputs=outputs, figures=figures, started_at=START.isoformat())


def drift_receipts(*, version: str, mae: float | None, verdict: str, action: str, reasons: list[Figure]) -> list[Receipt]:
    performance: Figure = None
    if mae is not None:
        performance = {
            "mae": mae, "baseline_mae": 14.0, "skill": 1 - mae / 14, "skill_low": 0.05, "skill_high": 0.2, "skill_at_release": 0.2,
            "loss": 0.05, "loss_low": 0.01, "loss_high": 0.09,
        }  # fmt: skip
    measured: dict[str, Figure] = {
        "model_version": version, "rows": 28000, "outcomes": 27000 if mae else 0, "inputs_drifted": ["carrier"], "performance": performance,
        "verdict": verdict,
    }  # fmt: skip
    decided: dict[str, Figure] = {"action": action, "reasons": reasons, "partitions": "..2013-05"}
    answer = "no" if action == "hold" else "done"
    return [receipt("measure_drift", measured), receipt("decide_retrain", decided, answer=answer, reason="; ".join(map(str, reasons)))]


def release_receipts(*, version: str, champion_mae: float | None) -> list[Receipt]:
    champion: Figure = {"mae": champion_mae, "skill": 0.1} if champion_mae else None
    return [
        receipt("snapshot_dataset", {"partitions": ["2013-01", "2013-02", "2013-03"], "rows": 78000}),
        receipt(
            "evaluate_model",
            {
                "candidate": {"mae": 11.0, "skill": 0.2},
                "baseline_mae": 13.75,
                "champion": champion,
                "yardstick": {"mae": 11.1},
            },
        ),
        receipt("compile_model", {"engine": "onnxruntime"}),
        receipt("promote_release", {"version": version, "generation": 2}),
    ]
