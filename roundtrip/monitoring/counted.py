"""A partition, counted in one pass: all that drift, performance, refit and report are told from. Memory does not grow with its rows."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.answers import answer_inputs, answered
from roundtrip.monitoring.evidently_report import SAMPLE_ROWS
from roundtrip.monitoring.performance import DailyErrors
from roundtrip.monitoring.profile import Plan, Profile, Reservoir
from roundtrip.monitoring.scored_rows import OUTCOME, ScoredRows, days, matrix, with_outcome


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A partition's scored rows, counted."""

    profile: Profile
    """Of all rows: the inputs, and the prediction as one."""
    errors: Profile
    """Of the rows with an outcome: the error."""
    daily: DailyErrors
    """Of the same rows, beside the baseline's errors."""
    sample: pa.Table
    """Some rows for people to look at."""
    labelled: pa.Table
    """Rows with an outcome, to learn from and to judge on: all, or twice as many as a refit learns from."""


def count_rows(use_case: UseCase, scored: ScoredRows, plan: Plan, *, baseline_gain: float) -> Counted:
    """Count them. Raises SnapshotUnusable where no row that was predicted has features any more."""
    _, error = answer_inputs(use_case)
    profile, errors, daily = Profile(plan), Profile(plan.only((error,))), DailyErrors()
    sample, labelled = Reservoir(SAMPLE_ROWS), Reservoir(2 * use_case.retrain.refit_rows)
    for batch in scored.batches():
        rows = answered(use_case, pa.Table.from_batches([batch]))
        known = with_outcome(rows)
        profile.add(rows)
        errors.add(known)
        daily.add(
            outcomes=matrix(known, [OUTCOME])[:, 0],
            predictions=matrix(known, [output.name for output in use_case.outputs]),
            baseline=matrix(known, [use_case.baseline.column])[:, 0] + baseline_gain,
            days=days(known, use_case.prediction_time),
        )
        sample.add(rows)
        labelled.add(known)
    if not profile.rows:
        raise SnapshotUnusable(
            f"{use_case.name}: no row that was predicted is in table {use_case.features_table} any more: run score_batch for the partition."
        )
    return Counted(profile=profile, errors=errors, daily=daily, sample=sample.table(), labelled=labelled.table())
