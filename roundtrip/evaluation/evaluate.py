"""Candidate, champion, yardstick and baseline on identical rows: the held-out span of the run's snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from roundtrip.contracts.columns import column_of, day_numbers
from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.quality import Evaluation, HeldOut, YardstickQuality, median_quality, quality
from roundtrip.evaluation.slices import Errors, slices_found

if TYPE_CHECKING:
    from roundtrip.evaluation.yardstick import TreesAnswer

Columns = Mapping[str, Sequence[Value]]
Predict = Callable[[Columns], NDArray[np.float32]]
"""Columns of n values → predictions [n, 3]: median, low, high."""


@dataclass(frozen=True)
class Champion:
    """The version that serves now."""

    version: str
    predict: Predict


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What each says of the n held-out rows."""

    rows: HeldOut
    candidate: NDArray[np.float32]
    """[n, 3]: median, low, high."""
    champion: NDArray[np.float32] | None
    """[n, 3]; None before the first release."""
    champion_version: str | None
    yardstick: TreesAnswer | None
    """None when it was not asked."""

    def medians(self) -> dict[str, NDArray[np.float64]]:
        """Who answered → its median of each row [n]."""
        found = {"candidate": self.candidate[:, 0].astype(np.float64)}
        if self.champion is not None:
            found["champion"] = self.champion[:, 0].astype(np.float64)
        if self.yardstick is not None:
            found["yardstick"] = self.yardstick.median
        return found | {"baseline": self.rows.baseline}


def ask(
    use_case: UseCase, held_out: pa.Table, *, candidate: Predict, gain: float, champion: Champion | None, yardstick: TreesAnswer | None
) -> Answers:
    """Ask all about every row of `held_out`. `gain`: the training rows' median of label − baseline column."""
    columns = {entry.name: column_of(held_out, entry.name) for entry in use_case.inputs}
    rows = HeldOut(
        labels=np.asarray(column_of(held_out, use_case.label), dtype=np.float64),
        baseline=np.asarray(columns[use_case.baseline.column], dtype=np.float64) + gain,
        days=day_numbers(held_out[use_case.prediction_time]),
    )
    return Answers(
        rows=rows,
        candidate=candidate(columns),
        champion=champion.predict(columns) if champion else None,
        champion_version=champion.version if champion else None,
        yardstick=yardstick,
    )


def evaluate(use_case: UseCase, held_out: pa.Table, answers: Answers) -> Evaluation:
    """Measure all answers about the rows of `held_out`."""
    rows, champions = answers.rows, answers.champion
    errors = Errors(
        candidate=rows.errors(answers.candidate[:, 0]),
        baseline=rows.errors(rows.baseline),
        champion=None if champions is None else rows.errors(champions[:, 0]),
        days=rows.days,
    )
    units = {entry.name: entry.unit for entry in use_case.inputs}
    found = (slices_found(entry, units[entry.input], column_of(held_out, entry.input), errors, use_case.gate) for entry in use_case.slices)
    return Evaluation(
        held_out_rows=held_out.num_rows,
        baseline_mae=float(errors.baseline.mean()),
        candidate=quality(answers.candidate, rows),
        champion=None if champions is None else quality(champions, rows),
        champion_version=answers.champion_version,
        excess=errors.excess(),
        nominal_coverage=use_case.nominal_coverage,
        slices=tuple(chain.from_iterable(found)),
        yardstick=_yardstick_quality(answers.yardstick, rows) if answers.yardstick else None,
    )


def _yardstick_quality(answer: TreesAnswer, rows: HeldOut) -> YardstickQuality:
    return YardstickQuality(**asdict(median_quality(answer.median, rows)), seconds=answer.seconds)
