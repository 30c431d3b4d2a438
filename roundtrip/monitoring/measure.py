"""One drift check: a partition's inputs, predictions and outcomes against the model version that predicted it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.receipts import Figure, TableVersion
from roundtrip.contracts.use_cases import Input, UseCase
from roundtrip.monitoring.effect_size import Drift
from roundtrip.monitoring.evidently_report import drift_report
from roundtrip.monitoring.inputs import input_drifts, inputs_broken, inputs_drifted
from roundtrip.monitoring.performance import Performance, measure_performance
from roundtrip.monitoring.predictions import PredictionDrift, prediction_drift
from roundtrip.monitoring.reference import Reference, load_reference
from roundtrip.monitoring.scored_rows import OUTCOME, ScoredRows, days, matrix, scored_rows, with_outcome
from roundtrip.monitoring.verdict import Verdict, verdict_of
from roundtrip.serving.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class DriftCheck:
    """What was found for a partition."""

    model_version: str
    rows: int
    inputs: dict[str, Drift]
    inputs_drifted: list[str]
    inputs_broken: list[str]
    predictions: PredictionDrift
    performance: Performance | None
    verdict: Verdict
    report: bytes
    """Evidently's page, HTML."""
    tables: tuple[TableVersion, ...]
    """Tables read, at the versions read."""

    def figures(self) -> dict[str, Figure]:
        """The receipt's figures (docs/architecture.md)."""
        return {
            "model_version": self.model_version,
            "rows": self.rows,
            "outcomes": self.performance.rows if self.performance else 0,
            "inputs": {name: _drift_figures(drift) for name, drift in self.inputs.items()},
            "inputs_drifted": [*self.inputs_drifted],
            "inputs_broken": [*self.inputs_broken],
            "predictions": {
                **_drift_figures(self.predictions.drift),
                "mean": self.predictions.mean,
                "reference_mean": self.predictions.reference_mean,
            },
            "performance": _performance_figures(self.performance) if self.performance else None,
            "verdict": self.verdict,
        }


def check_drift(use_case: UseCase, partition: str) -> DriftCheck:
    """Measure the partition. Raises SnapshotUnusable when it has no predictions, DigestMismatch for a damaged version."""
    scored = scored_rows(use_case, partition)
    reference = load_reference(use_case, scored.model_version)
    reference_medians = _medians(Scorer(reference.folder, threads=2), reference.rows)
    medians = matrix(scored.table, [use_case.outputs[0].name])[:, 0].astype(np.float32)
    inputs = input_drifts(use_case.inputs, reference=reference.rows, current=scored.table)
    drifted = inputs_drifted(use_case.inputs, inputs)
    predictions = prediction_drift(reference_medians, medians)
    performance = performance_on(use_case, scored.table, reference)
    return DriftCheck(
        model_version=scored.model_version,
        rows=scored.table.num_rows,
        inputs=inputs,
        inputs_drifted=drifted,
        inputs_broken=inputs_broken(inputs),
        predictions=predictions,
        performance=performance,
        verdict=verdict_of(performance, moved=bool(drifted) or predictions.drift.drifted, policy=use_case.retrain),
        report=_report(use_case, scored, reference, reference_medians),
        tables=(*scored.read, *reference.tables),
    )


def performance_on(use_case: UseCase, rows: pa.Table, reference: Reference) -> Performance | None:
    """Performance on the rows that have an outcome; None when none has. The baseline is that of the version's training rows."""
    known = with_outcome(rows)
    return measure_performance(
        outcomes=matrix(known, [OUTCOME])[:, 0],
        predictions=matrix(known, [output.name for output in use_case.outputs]),
        baseline=matrix(known, [use_case.baseline.column])[:, 0] + reference.baseline_gain,
        days=days(known, use_case.prediction_time),
        at_release=reference.at_release,
    )


def _medians(scorer: Scorer, rows: pa.Table) -> NDArray[np.float32]:
    columns = {entry.name: column_of(rows, entry.name) for entry in scorer.contract.inputs}
    return scorer.predict(columns)[:, 0]


def _report(use_case: UseCase, scored: ScoredRows, reference: Reference, reference_medians: NDArray[np.float32]) -> bytes:
    output = use_case.outputs[0]
    prediction = Input(name=f"predicted_{output.name}", kind="number", unit=output.unit, meaning="median prediction")
    columns = [entry.name for entry in use_case.inputs]
    current = scored.table.select(columns).append_column(prediction.name, scored.table.column(output.name))
    trained = reference.rows.select(columns).append_column(prediction.name, pa.array(reference_medians))
    return drift_report((prediction, *use_case.inputs), reference=trained, current=current)


def _drift_figures(drift: Drift) -> dict[str, Figure]:
    return {
        "effect": drift.effect,
        "measure": drift.measure,
        "drifted": drift.drifted,
        "note": drift.note,
        "missing": round(drift.missing, 4),
        "reference_missing": round(drift.reference_missing, 4),
    }


def _performance_figures(performance: Performance) -> dict[str, Figure]:
    figures = {
        "mae": performance.mae,
        "baseline_mae": performance.baseline_mae,
        "coverage": performance.coverage,
        "skill": performance.skill.value,
        "skill_low": performance.skill.low,
        "skill_high": performance.skill.high,
        "skill_at_release": performance.at_release.value,
        "loss": performance.loss.value,
        "loss_low": performance.loss.low,
        "loss_high": performance.loss.high,
    }
    return {name: round(value, 5) for name, value in figures.items()}
