"""One drift check: a partition's inputs, predictions and outcomes against the model version that predicted it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pyarrow as pa

from roundtrip.contracts.receipts import Figure, TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.answers import AnswerDrift, answer_drift, answer_inputs, answering
from roundtrip.monitoring.counted import count_rows
from roundtrip.monitoring.effect_size import Drift
from roundtrip.monitoring.evidently_report import drift_report
from roundtrip.monitoring.inputs import data_faults, input_drifts, inputs_broken, inputs_drifted, joint_drift
from roundtrip.monitoring.joint import JointDrift
from roundtrip.monitoring.performance import Performance, measure_performance
from roundtrip.monitoring.profile import profile_reference
from roundtrip.monitoring.reference import load_reference
from roundtrip.monitoring.refit import Refit, refit_gain
from roundtrip.monitoring.scored_rows import ScoredRows, scored_rows
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
    asked, answers = use_case.inputs, answer_inputs(use_case)
    profile = profile_reference(
        (*asked, *answers),
        reference.batches,
        time=use_case.prediction_time,
        with_more=answering(use_case, Scorer(reference.folder, threads=2)),
    )
    counted = count_rows(use_case, scored, profile.plan, baseline_gain=reference.baseline_gain)
    inputs = input_drifts(asked, profile, counted.profile)
    drifted, faults, joint = inputs_drifted(asked, inputs), data_faults(asked, inputs), joint_drift(profile, counted.profile)
    predictions = answer_drift(answers[0], profile, counted.profile)
    errors = answer_drift(answers[1], profile, counted.errors)
    performance = measure_performance(counted.daily, at_release=reference.at_release)
    refit = refit_gain(use_case, counted.labelled, partition, read=scored.read, trained_on=profile.sample)
    skew = skew_of(use_case, partition, features_version=_version(scored, use_case.features_table))
    moved = bool(drifted) or any(signal.drifted for signal in (joint, predictions.drift, errors.drift))
    verdict = verdict_of(performance, refit, moved=moved or bool(skew and skew.skewed), policy=use_case.retrain)
    return DriftCheck(
        model_version=scored.model_version,
        rows=counted.profile.rows,
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
        report=_report(use_case, counted.sample, profile.sample),
        tables=(*scored.read, *reference.tables),
    )


def _version(scored: ScoredRows, table: str) -> int:
    return next(read.version for read in scored.read if read.table == table)


def _report(use_case: UseCase, current: pa.Table, trained: pa.Table) -> bytes:
    columns = (answer_inputs(use_case)[0], *use_case.inputs)
    names = [entry.name for entry in columns]
    return drift_report(columns, reference=trained.select(names), current=current.select(names))


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
