"""One drift check: a partition's inputs, predictions and outcomes against the model version that predicted it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pyarrow as pa

from roundtrip.contracts.receipts import Figure, TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.answers import AnswerDrift, answer_drifts, answer_inputs, answering
from roundtrip.monitoring.effect_size import Drift
from roundtrip.monitoring.evidently_report import drift_report
from roundtrip.monitoring.inputs import data_faults, input_drifts, inputs_broken, inputs_drifted, joint_drift
from roundtrip.monitoring.joint import JointDrift
from roundtrip.monitoring.performance import Performance, measure_performance
from roundtrip.monitoring.profile import BATCH_ROWS, profile_reference, profile_rows
from roundtrip.monitoring.reference import Reference, load_reference
from roundtrip.monitoring.refit import Refit, refit_gain
from roundtrip.monitoring.scored_rows import OUTCOME, ScoredRows, days, matrix, scored_rows, with_outcome
from roundtrip.monitoring.skew import Skew, skew_of
from roundtrip.monitoring.verdict import Cause, Verdict, cause_of, verdict_of
from roundtrip.serving.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class DriftCheck:
    """What was found for a partition."""

    model_version: str
    rows: int
    inputs: dict[str, Drift]
    inputs_drifted: list[str]
    inputs_broken: list[str]
    joint: JointDrift
    predictions: AnswerDrift
    errors: AnswerDrift
    performance: Performance | None
    refit: Refit | None
    skew: Skew | None
    data_faults: list[str]
    """What is wrong with the data, a sentence each, with the input and its source."""
    verdict: Verdict
    cause: Cause
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
            "joint": {**asdict(self.joint), "pair": list(self.joint.pair) if self.joint.pair else None},
            "predictions": _answer_figures(self.predictions),
            "errors": _answer_figures(self.errors),
            "performance": _performance_figures(self.performance) if self.performance else None,
            "refit": self.refit.figures() if self.refit else None,
            "skew": self.skew.figures() if self.skew else None,
            "data_faults": [*self.data_faults],
            "verdict": self.verdict,
            "cause": self.cause,
        }


def check_drift(use_case: UseCase, partition: str) -> DriftCheck:
    """Measure the partition. Raises SnapshotUnusable, NothingPredicted (scored_rows), DigestMismatch for a damaged version."""
    scored = scored_rows(use_case, partition)
    reference = load_reference(use_case, scored.model_version)
    profile = profile_reference(
        (*use_case.inputs, *answer_inputs(use_case)),
        reference.batches,
        time=use_case.prediction_time,
        with_more=answering(use_case, Scorer(reference.folder, threads=2)),
    )
    current = profile_rows(profile.plan, scored.table.to_batches(max_chunksize=BATCH_ROWS))
    found = input_drifts(profile, current)
    inputs = {entry.name: found[entry.name] for entry in use_case.inputs}
    drifted, faults, joint = inputs_drifted(use_case.inputs, inputs), data_faults(use_case.inputs, inputs), joint_drift(profile, current)
    predictions, errors = answer_drifts(use_case, profile, scored.table)
    performance = performance_on(use_case, scored.table, reference)
    refit = refit_gain(use_case, scored, partition, trained_on=profile.sample)
    skew = skew_of(use_case, partition, features_version=_version(scored, use_case.features_table))
    moved = bool(drifted) or any(signal.drifted for signal in (joint, predictions.drift, errors.drift))
    verdict = verdict_of(performance, refit, moved=moved or bool(skew and skew.skewed), policy=use_case.retrain)
    return DriftCheck(
        model_version=scored.model_version,
        rows=scored.table.num_rows,
        inputs=inputs,
        inputs_drifted=drifted,
        inputs_broken=inputs_broken(inputs),
        joint=joint,
        predictions=predictions,
        errors=errors,
        performance=performance,
        refit=refit,
        skew=skew,
        data_faults=faults,
        verdict=verdict,
        cause=cause_of(verdict, refit, moved=moved, faulty=bool(faults)),
        report=_report(use_case, scored, profile.sample),
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


def _version(scored: ScoredRows, table: str) -> int:
    return next(read.version for read in scored.read if read.table == table)


def _report(use_case: UseCase, scored: ScoredRows, trained: pa.Table) -> bytes:
    prediction, _ = answer_inputs(use_case)
    columns = [entry.name for entry in use_case.inputs]
    current = scored.table.select(columns).append_column(prediction.name, scored.table.column(use_case.outputs[0].name))
    return drift_report((prediction, *use_case.inputs), reference=trained.select([*columns, prediction.name]), current=current)


def _drift_figures(drift: Drift) -> dict[str, Figure]:
    return {
        "effect": drift.effect,
        "effect_low": drift.effect_low,
        "effect_high": drift.effect_high,
        "limit": drift.limit,
        "rows": drift.rows,
        "reference_rows": drift.reference_rows,
        "measure": drift.measure,
        "drifted": drift.drifted,
        "note": drift.note,
        "missing": round(drift.missing, 4),
        "reference_missing": round(drift.reference_missing, 4),
    }


def _answer_figures(answers: AnswerDrift) -> dict[str, Figure]:
    return {**_drift_figures(answers.drift), "mean": answers.mean, "reference_mean": answers.reference_mean}


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
