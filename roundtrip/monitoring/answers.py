"""Drift of what the model answers, and of how it errs: its predictions and signed errors on a partition against those on its training rows.

Both are counted as two inputs more are. Errors move when labels do: a feed that reports arrivals three minutes late moves no input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.use_cases import Input, UseCase
from roundtrip.monitoring.effect_size import Drift
from roundtrip.monitoring.inputs import input_drift
from roundtrip.monitoring.profile import Profile, ReferenceProfile
from roundtrip.monitoring.scored_rows import OUTCOME
from roundtrip.serving.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class AnswerDrift:
    """Drift of the median prediction, or of the signed error (outcome − median), and its means (in the unit of the output)."""

    drift: Drift
    mean: float | None
    reference_mean: float | None


def answer_inputs(use_case: UseCase) -> tuple[Input, Input]:
    """Prediction and error as they are counted, beside the inputs; they are no part of the inputs' relations."""
    output = use_case.outputs[0]
    return (
        Input(name=f"predicted_{output.name}", kind="number", unit=output.unit, meaning="median prediction", drifts_by_nature=True),
        Input(name=f"error_of_{output.name}", kind="number", unit=output.unit, meaning="outcome − prediction", drifts_by_nature=True),
    )


def answering(use_case: UseCase, scorer: Scorer) -> Callable[[pa.Table], pa.Table]:
    """Adds to training rows, with their label, what the model says of them and how it errs."""
    prediction, error = answer_inputs(use_case)

    def with_answers(rows: pa.Table) -> pa.Table:
        columns = {entry.name: column_of(rows, entry.name) for entry in scorer.contract.inputs}
        median = scorer.predict(columns)[:, 0].astype(np.float64) if rows.num_rows else np.empty(0)
        errors = pc.subtract(pc.cast(rows[use_case.label], pa.float64()), pa.array(median))
        return rows.append_column(prediction.name, pa.array(median)).append_column(error.name, errors)

    return with_answers


def answered(use_case: UseCase, scored: pa.Table) -> pa.Table:
    """Scored rows with the two columns: the error is NULL where there is no outcome."""
    prediction, error = answer_inputs(use_case)
    median = pc.cast(scored[use_case.outputs[0].name], pa.float64())
    errors = pc.subtract(pc.cast(scored[OUTCOME], pa.float64()), median)
    return scored.append_column(prediction.name, median).append_column(error.name, errors)


def answer_drift(entry: Input, reference: ReferenceProfile, current: Profile) -> AnswerDrift:
    """Drift of one of the two: of the predictions on all scored rows, of the errors on those with an outcome."""
    drift = input_drift(entry, reference, current)
    return AnswerDrift(drift=drift, mean=_rounded(current.mean(entry.name)), reference_mean=_rounded(reference.profile.mean(entry.name)))


def _rounded(mean: float | None) -> float | None:
    return None if mean is None else round(mean, 4)
