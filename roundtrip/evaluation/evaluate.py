"""Candidate, champion and baseline on identical rows: the held-out span of the run's snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.quality import Evaluation, HeldOut, quality, slice_errors

Columns = Mapping[str, Sequence[Value]]
Predict = Callable[[Columns], NDArray[np.float32]]
"""Columns of n values → predictions [n, 3]: median, low, high."""


@dataclass(frozen=True)
class Champion:
    """The version that serves now."""

    version: str
    predict: Predict


def evaluate(use_case: UseCase, held_out: pa.Table, *, candidate: Predict, gain: float, champion: Champion | None) -> Evaluation:
    """Measure both models on every row of `held_out`. `gain`: the training rows' median of label − baseline column."""
    columns = {entry.name: column_of(held_out, entry.name) for entry in use_case.inputs}
    rows = HeldOut(
        labels=np.asarray(column_of(held_out, use_case.label), dtype=np.float64),
        baseline=np.asarray(columns[use_case.baseline.column], dtype=np.float64) + gain,
        days=held_out[use_case.prediction_time].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64),
    )
    answers = candidate(columns)
    return Evaluation(
        held_out_rows=held_out.num_rows,
        baseline_mae=float(np.abs(rows.labels - rows.baseline).mean()),
        candidate=quality(answers, rows),
        champion=quality(champion.predict(columns), rows) if champion else None,
        champion_version=champion.version if champion else None,
        slices={name: slice_errors(held_out[name].to_pylist(), answers, rows) for name in use_case.slices},
    )
