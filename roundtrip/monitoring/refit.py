"""What a refit would gain: decay told from a hard month.

A model's error rises in a month that is harder for every model, and no retrain mends that. So a cheap challenger (boosted trees) learns
what a retrain today would learn from, the labelled months so far and the partition's earlier half, and is judged against the live model
on identical rows of the later half. A hard month is hard for both; what remains is what the live model could know and does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import Figure, TableVersion
from roundtrip.contracts.use_cases import Input, UseCase
from roundtrip.evaluation.skill import Skill, skill_with_interval
from roundtrip.evaluation.yardstick import TreeRecipe, trees_answer
from roundtrip.lakehouse.snapshot import recent_labelled_rows
from roundtrip.monitoring.scored_rows import OUTCOME, days, matrix
from roundtrip.training.rows import rows_of, vocabulary

CHALLENGER = TreeRecipe(rounds=200)
"""Half of the yardstick's trees: as good as the network (MAE 9.39 and 9.41 min on October to December, both trained to August). Weaker
ones, a hundred of 31 leaves (9.47), learn less than a refit would, and hid September's gain (1.3 % instead of 2.5 %)."""
FEWEST_DAYS = 4
"""Days with outcomes below which a partition has no later half to judge on: the interval resamples days."""
FAMILIAR_ROWS = 500
"""Judged rows, like those that the live model was trained on, below which decay is not told apart by cause."""
FAMILIAR = 0.005, 0.995
"""Quantiles of the training rows between which a number is familiar."""


@dataclass(frozen=True, kw_only=True)
class Refit:
    """What the challenger did on the rows of the partition's later half. MAE in the label's unit, gains as fractions of the live MAE."""

    rows: int
    """Rows that it was judged on."""
    learned_rows: int
    live_mae: float
    mae: float
    gain: Skill
    """1 − MAE / live MAE, paired, resampled by whole days."""
    judged_from: str
    """ISO day (UTC): the first that it has not learned from."""
    familiar_rows: int
    """Judged rows whose inputs all lie where the live model's training rows do."""
    familiar_gain: Skill | None
    """Gain on them: what is gained there is gained by another answer to the same question. None for too few."""
    seconds: float

    def figures(self) -> dict[str, Figure]:
        """Of the receipt (docs/monitoring.md)."""
        familiar = self.familiar_gain
        return {
            "rows": self.rows,
            "learned_rows": self.learned_rows,
            "live_mae": round(self.live_mae, 5),
            "mae": round(self.mae, 5),
            "gain": round(self.gain.value, 5),
            "gain_low": round(self.gain.low, 5),
            "gain_high": round(self.gain.high, 5),
            "judged_from": self.judged_from,
            "familiar_rows": self.familiar_rows,
            "familiar_gain": round(familiar.value, 5) if familiar else None,
            "familiar_gain_low": round(familiar.low, 5) if familiar else None,
            "seconds": self.seconds,
        }


def refit_gain(use_case: UseCase, known: pa.Table, partition: str, *, read: Sequence[TableVersion], trained_on: pa.Table) -> Refit | None:
    """What a refit would gain on the partition; None with fewer outcomes than the policy's minimum, or on fewer than FEWEST_DAYS days.

    `known`: its rows with an outcome, all or a sample. `read`: the versions that they are of. `trained_on`: rows that the live model
    learned from, all or a sample: they say which inputs are familiar.
    """
    versions = {table.table: table.version for table in read}

    def before(rows: int) -> list[pa.Table]:
        return recent_labelled_rows(
            use_case,
            before=partition,
            at_most=rows,
            features_version=versions[use_case.features_table],
            outcomes_version=versions[use_case.outcomes_table],
        )

    return refit_on(use_case, known, before=before, trained_on=trained_on)


def refit_on(use_case: UseCase, known: pa.Table, *, before: Callable[[int], list[pa.Table]], trained_on: pa.Table) -> Refit | None:
    """The same, where `before` gives the last so many labelled rows of the months before."""
    if known.num_rows < use_case.retrain.minimum_outcomes:
        return None
    day = days(known, use_case.prediction_time)
    first, last = int(day.min()), int(day.max())
    if last - first + 1 < FEWEST_DAYS:
        return None
    started = time.monotonic()
    middle = first + (last - first + 1) // 2
    later = pa.array(day >= middle)
    judged = known.filter(later)
    learned = _learned(use_case, known.filter(pc.invert(later)), before)
    errors, live_errors = _errors(use_case, learned, judged)
    judged_days, familiar = day[day >= middle], familiar_rows(use_case.inputs, trained_on, judged)
    on_familiar = errors[familiar], live_errors[familiar], judged_days[familiar]
    return Refit(
        rows=judged.num_rows,
        learned_rows=learned.num_rows,
        live_mae=float(live_errors.mean()),
        mae=float(errors.mean()),
        gain=skill_with_interval(errors, live_errors, judged_days),
        judged_from=(date(1970, 1, 1) + timedelta(days=middle)).isoformat(),
        familiar_rows=int(familiar.sum()),
        familiar_gain=skill_with_interval(*on_familiar) if familiar.sum() >= FAMILIAR_ROWS else None,
        seconds=round(time.monotonic() - started, 2),
    )


def familiar_rows(inputs: tuple[Input, ...], trained_on: pa.Table, rows: pa.Table) -> NDArray[np.bool_]:
    """Which of n rows lie, in every input, where the training rows do: a known value, or between their FAMILIAR quantiles. bool [n].

    A missing value is familiar: the network learns to do without.
    """
    familiar = np.ones(rows.num_rows, dtype=np.bool_)
    for entry in inputs:
        column = rows[entry.name].combine_chunks()
        if entry.kind == "category":
            inside = pc.is_in(column, pc.unique(trained_on[entry.name]))
        else:
            low, high = pc.quantile(trained_on[entry.name], FAMILIAR).to_pylist()
            if low is None:
                continue
            inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
        familiar &= pc.fill_null(pc.or_kleene(inside, pc.is_null(column)), True).to_numpy(zero_copy_only=False)
    return familiar


def _learned(use_case: UseCase, early: pa.Table, before: Callable[[int], list[pa.Table]]) -> pa.Table:
    """What the challenger learns from: inputs and label of the months before, and of the partition's earlier half."""
    columns = [entry.name for entry in use_case.inputs]
    mine = early.select([*columns, OUTCOME]).rename_columns([*columns, use_case.label])
    wanted = use_case.retrain.refit_rows - mine.num_rows
    older = [month.select([*columns, use_case.label]) for month in before(max(0, wanted))]
    return pa.concat_tables([*older, mine], promote_options="permissive")


def _errors(use_case: UseCase, learned: pa.Table, judged: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absolute errors of the challenger and of the live model on the judged rows, [n] each."""
    contract = ModelContract.of(use_case, vocabulary(use_case, [learned]))
    live = np.asarray(column_of(judged, use_case.outputs[0].name), dtype=np.float64)
    columns = [entry.name for entry in use_case.inputs]
    asked = judged.select([*columns, OUTCOME]).rename_columns([*columns, use_case.label])
    known, judged_rows = (rows_of(contract, table, use_case.label) for table in (learned, asked))
    answer = trees_answer(contract, known, judged_rows, CHALLENGER)
    outcomes = matrix(judged, [OUTCOME])[:, 0]
    return np.abs(outcomes - answer.median), np.abs(outcomes - live)
