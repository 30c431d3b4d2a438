"""Pictures of the rows that a model is to learn from, before anything is trained on them: arrays in, PNG out.

The correction is what the network learns: label − baseline column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roundtrip.evaluation.drawing import BLUE, GREY, INK, ORANGE, OUTERMOST, Array, as_png, equal_groups, legend, new_figure, shade_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 80
"""Of a histogram."""
BINS = 20
"""Groups of equally many rows along a number."""
LARGEST = 20
"""Values of a group that are drawn: those with the most rows."""
ROW_INCHES = 0.23
"""Height of a line of text beside a bar."""


def label_distribution(labels: Array, baseline: Array, *, unit: str) -> bytes:
    """Where labels and the baseline column [n] lie, and how heavy their upper tails are."""
    figure, (left, right) = new_figure("Distribution of the label", width=9, height=3.8, panels=2)
    low, high = np.quantile(labels, [OUTERMOST, 1 - OUTERMOST])
    edges = np.linspace(low, high, BARS + 1)
    left.hist(labels, bins=edges.tolist(), color=BLUE, label="label")
    left.hist(baseline, bins=edges.tolist(), color=INK, histtype="step", label="baseline column")
    left.axvline(float(np.median(labels)), color=ORANGE, label=f"median {np.median(labels):.0f} {unit}, mean {labels.mean():.1f}")
    left.set(xlabel=f"{unit}, the middle {100 - 200 * OUTERMOST:.0f} % of rows", ylabel="rows")
    legend(left)
    for values, colour, name in ((labels, BLUE, "label"), (baseline, INK, "baseline column")):
        late = np.sort(values)
        right.plot(late, 1 - np.arange(len(late)) / len(late), color=colour, linewidth=1.4, label=name)
    right.set(xlim=(0, None), yscale="log", xlabel=unit, ylabel="share of rows at least so late")
    legend(right)
    return as_png(figure)


def baseline_against_label(baseline: Array, labels: Array, *, unit: str) -> bytes:
    """The label by the baseline column, both [n]: all rows as shades, medians of BINS groups as a line beside the diagonal."""
    figure, (axes,) = new_figure("What the baseline column says, and what came", width=8, height=4.6)
    shade_rows(figure, axes, baseline, labels)
    groups = equal_groups(baseline, BINS)
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.8, label="the same")
    across, up = ([float(np.median(values[group])) for group in groups] for values in (baseline, labels))
    axes.plot(across, up, color=ORANGE, marker="o", markersize=3, label="median")
    axes.set(xlabel=f"baseline column ({unit})", ylabel=f"label ({unit})")
    legend(axes)
    return as_png(figure)


def correction_by_value(groups: Mapping[str, Sequence[str | int]], correction: Array, *, unit: str) -> bytes:
    """Median and middle 80 % of the correction [n] for each value [n] of each group: numbers in order, names by their median."""
    tables = {name: _table_of(np.asarray(values), correction) for name, values in groups.items()}
    height = 1.5 + ROW_INCHES * max(len(names) for names, _ in tables.values())
    figure, panels = new_figure("Correction by value", width=9, height=height, panels=len(tables))
    for axes, (name, (names, quantiles)) in zip(panels, tables.items(), strict=True):
        low, middle, high = quantiles.T
        places = np.arange(len(names))
        axes.hlines(places, low, high, color=BLUE, linewidth=1, label="middle 80 %")
        axes.plot(middle, places, color=BLUE, linestyle="", marker="o", markersize=5, label="median")
        axes.axvline(float(np.median(correction)), color=ORANGE, linewidth=1, label="median of all")
        axes.set_yticks(places, names)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"label − baseline column ({unit})")
        axes.set_title(name, loc="left", fontsize=9, color=INK)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return as_png(figure)


def signals(numbers: Mapping[str, Array], correction: Array, *, unit: str) -> bytes:
    """How each number [n] (NaN: missing) goes with the correction [n]: rank correlations, and medians along the three strongest."""
    found = {name: rank_correlation(values, correction) for name, values in numbers.items()}
    names = sorted(found, key=lambda name: abs(found[name]), reverse=True)
    figure, (left, right) = new_figure("What goes with the correction", width=9, height=1.2 + ROW_INCHES * len(names), panels=2)
    left.barh(names, [found[name] for name in names], color=[BLUE if found[name] > 0 else ORANGE for name in names])
    left.invert_yaxis()
    left.set_xlabel("rank correlation (Spearman)")
    for name, colour, marker in zip(names, (BLUE, ORANGE, INK), "oD^", strict=False):
        known = ~np.isnan(numbers[name])
        medians = [float(np.median(correction[known][group])) for group in equal_groups(numbers[name][known], BINS)]
        right.plot(np.linspace(0, 100, len(medians)), medians, color=colour, marker=marker, markersize=4, label=name)
    right.set(xlabel="rows in order of the input (%)", ylabel=f"median correction ({unit})")
    legend(right)
    return as_png(figure)


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's ρ of two numbers [n], of the rows that lack neither; 0 where one of them is constant."""
    import pandas as pd

    known = ~(np.isnan(first) | np.isnan(second))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = pd.Series(first[known]).rank().corr(pd.Series(second[known]).rank())
    return 0.0 if np.isnan(found) else float(found)


def missing_values(shares: Mapping[str, float]) -> bytes:
    """The share of rows that lack each column (0 to 1), of those that any row lacks."""
    lacking = {name: share for name, share in sorted(shares.items(), key=lambda entry: -entry[1]) if share > 0}
    title = f"Missing values: {len(shares) - len(lacking)} of {len(shares)} columns have none"
    figure, (axes,) = new_figure(title, width=8, height=1.2 + ROW_INCHES * max(len(lacking), 1))
    bars = axes.barh(list(lacking), [100 * share for share in lacking.values()], color=BLUE)
    axes.bar_label(bars, fmt="{:.2g}", padding=3, fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("% of rows")
    return as_png(figure)


def baseline_over_time(moments: NDArray[np.datetime64], labels: Array, baseline: Array, *, unit: str) -> bytes:
    """The baseline [n] on the labels [n] by week and by month: its skill against saying 0, and both MAEs. `moments` [n]: of prediction."""
    figure, (left, right) = new_figure("The baseline over time", width=9, height=3.8, panels=2)
    errors = np.abs(np.stack([labels - baseline, labels]))
    days, by_week = _means(moments, errors, "datetime64[W]")
    _, by_month = _means(moments, errors, "datetime64[M]")
    left.plot(days, 1 - by_week[0] / by_week[1], color=GREY, linestyle="", marker="o", markersize=4, label="week")
    right.plot(days, by_week[0], color=BLUE, marker="o", markersize=4, label="baseline, by week")
    right.plot(days, by_week[1], color=GREY, marker="D", markersize=4, label="saying 0, by week")
    _draw_months(left, moments, 1 - by_month[0] / by_month[1])
    left.set(ylabel="skill: 1 − MAE / MAE of saying 0")
    right.set(ylabel=f"MAE ({unit})", ylim=(0, None))
    for axes in (left, right):
        legend(axes)
        axes.tick_params(axis="x", labelrotation=45)
    return as_png(figure)


def _draw_months(axes: Axes, moments: NDArray[np.datetime64], values: Array) -> None:
    months = np.unique(moments.astype("datetime64[M]"))
    ends = np.minimum((months + 1).astype("datetime64[D]"), moments.max().astype("datetime64[D]"))
    axes.hlines(values, months.astype("datetime64[D]"), ends, color=BLUE, linewidth=2, label="month")


def _means(moments: NDArray[np.datetime64], errors: Array, period: str) -> tuple[NDArray[np.datetime64], Array]:
    """The middle of the rows of each period, and the means of errors [k, n] in it [k, periods]."""
    member = np.unique(moments.astype(period), return_inverse=True)[1]
    seconds = moments.astype("datetime64[s]").astype(np.float64)
    middle, *means = (np.bincount(member, weights=values) / np.bincount(member) for values in (seconds, *errors))
    return middle.astype(np.int64).astype("datetime64[s]"), np.stack(means)


def _table_of(values: NDArray[np.str_] | NDArray[np.int64], correction: Array) -> tuple[list[str], Array]:
    """The names of the LARGEST values, and the quantiles 0.1, 0.5, 0.9 of the correction of each [values, 3]."""
    known, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    largest = np.sort(np.argsort(-counts, kind="stable")[:LARGEST])
    quantiles = np.array([np.quantile(correction[member == place], [0.1, 0.5, 0.9]) for place in largest])
    if not np.issubdtype(values.dtype, np.number):
        order = np.argsort(quantiles[:, 1], kind="stable")
        largest, quantiles = largest[order], quantiles[order]
    return [f"{known[place]}  ({counts[place]:,})" for place in largest], quantiles
