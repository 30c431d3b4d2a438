"""How a model ages: trained on each month, tested on each later one.

The learner is a few boosted trees, so a matrix of a year takes a minute and not an hour: how fast what is learned goes out of date is a
property of the data, and hardly one of the learner. On the diagonal the month's earlier half is learned, its later half tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.drawing import INK, as_png, new_figure
from roundtrip.evaluation.yardstick import TreeRecipe, trees_answer
from roundtrip.monitoring.scored_rows import days
from roundtrip.training.rows import rows_of, vocabulary

LEARNER = TreeRecipe(rounds=100, learning_rate=0.1, leaves=31)
"""A quarter of the yardstick's trees, of half its leaves: a month has fewer rows to learn from."""
FEWEST_ROWS = 500
"""Labelled rows below which a month is neither learned from nor tested on."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model on one month. MAE in the label's unit; skill, a fraction, against the best carry-over that there could be: by the median
    gain of the tested rows themselves, so that all models of a month are compared with the same and hard months with easy ones.
    """

    trained_on: str
    tested_on: str
    rows: int
    mae: float
    baseline_mae: float
    skill: float


@dataclass(frozen=True, kw_only=True)
class DecayMatrix:
    """Every cell, by month of training and of test."""

    use_case: str
    unit: str
    months: tuple[str, ...]
    cells: tuple[Cell, ...]

    def figures(self) -> dict[str, object]:
        """As JSON takes it."""
        return asdict(self)

    def grid(self, figure: str) -> NDArray[np.float64]:
        """A figure of the cells, [months trained on, months tested on], NaN where there is none."""
        found = np.full((len(self.months), len(self.months)), np.nan)
        for cell in self.cells:
            found[self.months.index(cell.trained_on), self.months.index(cell.tested_on)] = getattr(cell, figure)
        return found


def decay_matrix(use_case: UseCase, rows: Mapping[str, pa.Table], *, tell: Callable[[str], None] = lambda month: None) -> DecayMatrix:
    """The matrix of months → labelled rows (features and label). `tell` is called with each month before it is learned.

    Raises SnapshotUnusable when fewer than two months have FEWEST_ROWS rows.
    """
    months = [month for month in sorted(rows) if rows[month].num_rows >= FEWEST_ROWS]
    if len(months) < 2:
        raise SnapshotUnusable(
            f"{use_case.name}: {len(months)} months have {FEWEST_ROWS} labelled rows (2 at least): ingest more months and their outcomes."
        )
    cells: list[Cell] = []
    for place, month in enumerate(months):
        tell(month)
        day = days(rows[month], use_case.prediction_time)
        later = pa.array(day >= (day.min() + day.max() + 1) // 2)
        cells += _cells(use_case, month, rows[month].filter(pc.invert(later)), {month: rows[month].filter(later)})
        cells += _cells(use_case, month, rows[month], {other: rows[other] for other in months[place + 1 :]})
    unit = use_case.outputs[0].unit
    return DecayMatrix(use_case=use_case.name, unit=unit, months=tuple(months), cells=tuple(cells))


def picture(matrix: DecayMatrix) -> bytes:
    """PNG: MAE and skill, a row for each month trained on, a column for each month tested on."""
    side = 2.2 + 0.48 * len(matrix.months)
    title = f"{matrix.use_case}: trained on one month, tested on those after it"
    figure, panels = new_figure(title, width=2 * side, height=side, panels=2)
    drawn = (
        ("mae", f"MAE ({matrix.unit}; darker is worse)", "Blues", "{:.1f}"),
        ("skill", "skill against the baseline (darker is worse)", "Blues_r", "{:.2f}"),
    )
    for axes, (figure_name, heading, shades, form) in zip(panels, drawn, strict=True):
        grid = matrix.grid(figure_name)
        axes.imshow(grid, cmap=shades, aspect="auto", alpha=0.55)
        for (row, column), value in np.ndenumerate(grid):
            if not np.isnan(value):
                axes.text(column, row, form.format(value), ha="center", va="center", fontsize=7, color=INK)
        axes.set_title(heading, fontsize=9, color=INK, loc="left")
        axes.set_xticks(range(len(matrix.months)), matrix.months, rotation=60, ha="right")
        axes.set_yticks(range(len(matrix.months)), matrix.months)
        axes.set(xlabel="tested on", ylabel="trained on")
        axes.grid(visible=False)
    return as_png(figure)


def _cells(use_case: UseCase, month: str, learned: pa.Table, asked: Mapping[str, pa.Table]) -> list[Cell]:
    """One model on several months; none where there is nothing to test."""
    if not asked or not learned.num_rows or not all(rows.num_rows for rows in asked.values()):
        return []
    contract = ModelContract.of(use_case, vocabulary(use_case, [learned]))
    tested = pa.concat_tables(asked.values(), promote_options="permissive")
    known, questions = (rows_of(contract, table, use_case.label) for table in (learned, tested))
    median = trees_answer(contract, known, questions, LEARNER).median
    labels, carried = _labels(use_case, tested)
    return [_cell(month, other, labels[part], median[part], carried[part]) for other, part in _parts(asked)]


def _cell(month: str, other: str, labels: NDArray[np.float64], median: NDArray[np.float64], carried: NDArray[np.float64]) -> Cell:
    gains = labels - carried
    mae, baseline_mae = float(np.abs(labels - median).mean()), float(np.abs(gains - np.median(gains)).mean())
    return Cell(
        trained_on=month,
        tested_on=other,
        rows=len(labels),
        mae=round(mae, 4),
        baseline_mae=round(baseline_mae, 4),
        skill=round(1 - mae / baseline_mae, 4),
    )


def _parts(asked: Mapping[str, pa.Table]) -> Sequence[tuple[str, slice]]:
    """Where each month's rows lie among all that are asked."""
    ends = np.cumsum([rows.num_rows for rows in asked.values()]).tolist()
    return [(month, slice(end - rows.num_rows, end)) for (month, rows), end in zip(asked.items(), ends, strict=True)]


def _labels(use_case: UseCase, rows: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels and the baseline's column, [n] each."""
    label, column = (np.asarray(column_of(rows, name), dtype=np.float64) for name in (use_case.label, use_case.baseline.column))
    return label, column
