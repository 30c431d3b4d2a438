"""The pictures of a training and its evaluation, as the MLflow run shows them: arrays in, PNG out, each under 100 kB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roundtrip.evaluation.drawing import BLUE, GREEN, GREY, INK, ORANGE, Array, as_png, equal_groups, legend, new_figure, shade_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {"candidate": (BLUE, "o"), "champion": (ORANGE, "D"), "yardstick": (GREEN, "^"), "baseline": (GREY, "|")}
"""Who answered → colour and marker: told apart by shape, not by colour alone."""
LARGEST = 15
"""Values of a slicing input that are drawn: those with the most rows."""
BINS = 20
"""Groups of equally many rows along the predicted value."""
TEN = 10
"""Deciles."""


def learning_curve(losses: Sequence[float], maes: Sequence[float], *, unit: str) -> bytes:
    """Training loss and held-out MAE (in `unit`), each [epochs], side by side."""
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = new_figure("Learning curve", width=9, height=3.6, panels=2)
    epochs = range(1, len(losses) + 1)
    for axes, values, colour, label in (
        (left, losses, BLUE, "training loss (pinball, scaled)"),
        (right, maes, ORANGE, f"held-out MAE ({unit})"),
    ):
        axes.plot(epochs, values, color=colour, marker="o", markersize=4)
        axes.annotate(f"{values[-1]:.3f}", (epochs[-1], values[-1]), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.15)
    return as_png(figure)


def optimization_history(complete: Mapping[int, float], pruned: Mapping[int, float], *, declared: float | None, unit: str) -> bytes:
    """MAE by number of trial, in `unit`: of complete ones, the least so far as a line; of pruned ones what they reported last.

    `declared`: MAE of the declared recipe, where there is one.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = new_figure("Trials", width=8, height=4)
    best, steps = np.minimum.accumulate([complete[number] for number in sorted(complete)]), sorted(complete)
    last = max([*complete, *pruned])
    axes.step([*steps, last], [*best, best[-1]], where="post", color=BLUE, linewidth=1.2, label=f"least so far: {best[-1]:.3f}")
    axes.plot(steps, [complete[number] for number in steps], linestyle="", marker="o", markersize=5, color=BLUE, label="complete")
    if pruned:
        axes.plot(list(pruned), list(pruned.values()), linestyle="", marker="x", markersize=5, color=GREY, label="ended early")
    if declared is not None:
        axes.axhline(declared, color=ORANGE, linestyle="--", linewidth=1, label=f"declared recipe: {declared:.3f}")
    every, low = [*complete.values(), *pruned.values()], float(best[-1])
    span = float(max(np.median(every), declared or 0)) - low or 1.0
    top = min(max(every) + 0.2 * span, low + 4 * span)  # one that went astray would squeeze all others into a line
    above = sum(value > top for value in every)
    axes.set(xlabel=f"trial ({above} above the axes)" if above else "trial", ylabel=f"validation MAE ({unit})")
    axes.set(xlim=(-0.5, last + 0.5), ylim=(low - 0.2 * span, top))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)
    return as_png(figure)


def parameter_importance(importances: Mapping[str, float]) -> bytes:
    """Share of the MAE's variance over the trials that each parameter explains, the largest on top."""
    figure, (axes,) = new_figure("What the MAE depends on", width=8, height=max(3.4, 1.4 + 0.3 * len(importances)))
    ordered = sorted(importances.items(), key=lambda entry: entry[1])
    bars = axes.barh([name for name, _ in ordered], [share for _, share in ordered], color=BLUE, height=0.6)
    axes.bar_label(bars, labels=[f"{share:.0%}" for _, share in ordered], padding=4, fontsize=8, color=INK)
    axes.set(xlabel="share of the variance explained (fANOVA)", xlim=(0, 1.08 * max(importances.values())))
    return as_png(figure)


def residuals(medians: Array, labels: Array, *, unit: str) -> bytes:
    """Label − prediction by prediction, both [n] in `unit`: all rows as shades, median and middle 80 % of BINS groups as lines."""
    figure, (axes,) = new_figure("Residuals by predicted value", width=8, height=4.6)
    misses = labels - medians
    shade_rows(figure, axes, medians, misses)
    groups = equal_groups(medians, BINS)
    places = [float(medians[group].mean()) for group in groups]
    low, middle, high = np.array([np.quantile(misses[group], [0.1, 0.5, 0.9]) for group in groups]).T
    axes.plot(places, middle, color=ORANGE, marker="o", markersize=3, label="median")
    for ends, label in ((low, "middle 80 % of rows"), (high, None)):
        axes.plot(places, ends, color=ORANGE, linestyle="--", linewidth=1, label=label)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel=f"predicted ({unit})", ylabel=f"actual − predicted ({unit})")
    legend(axes)
    return as_png(figure)


def calibration(answers: NDArray[np.float32], labels: Array, *, quantiles: Sequence[float], unit: str) -> bytes:
    """How often labels [n] fall below each quantile of answers [n, 3], and into the interval, by its width. `quantiles`: as declared."""
    figure, (left, right) = new_figure("Calibration of the interval", width=9, height=4, panels=2)
    nominal = [quantiles[place] for place in (1, 0, 2)]
    observed = [float(np.mean(labels <= answers[:, place])) for place in (1, 0, 2)]
    left.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
    left.plot(nominal, observed, color=BLUE, marker="o", label="candidate")
    for at, found in zip(nominal, observed, strict=True):
        left.annotate(f"p{at * 100:.0f}: {found:.1%}", (at, found), xytext=(7, -12), textcoords="offset points", fontsize=8, color=INK)
    left.set(xlim=(0, 1.12), ylim=(0, 1.05), xlabel="nominal share of outcomes below", ylabel="observed share")
    legend(left)
    _draw_inside_by_width(right, answers.astype(np.float64), labels, share=nominal[2] - nominal[0], unit=unit)
    return as_png(figure)


def _draw_inside_by_width(axes: Axes, answers: Array, labels: Array, *, share: float, unit: str) -> None:
    width = answers[:, 2] - answers[:, 1]
    inside = (answers[:, 1] <= labels) & (labels <= answers[:, 2])
    groups = equal_groups(width, TEN)
    found = [float(inside[group].mean()) for group in groups]
    names = [f"{width[group].mean():.0f}" for group in groups]
    places = range(len(groups))
    axes.axhline(share, color=GREY, linestyle="--", linewidth=1, label=f"nominal {share:.0%}")
    axes.plot(places, found, color=BLUE, marker="o", label=f"observed, {inside.mean():.1%} of all")
    axes.set_xticks(places, names)
    axes.set(ylim=(0, 1.05), xlabel=f"mean width in each tenth of the rows ({unit})", ylabel="share of outcomes inside")
    legend(axes)


def error_by_slice(slices: Mapping[str, Sequence[str | None]], medians: Mapping[str, Array], labels: Array, *, unit: str) -> bytes:
    """MAE of each that answered (name of MARKS → its medians [n]), by the values [n] of each slicing input."""
    tables = {name: _slice_table(values, medians, labels) for name, values in slices.items()}
    heights = [len(table[0]) + 1.5 for table in tables.values()]
    figure, panels = new_figure("Error by slice", width=8, height=1.4 + 0.27 * sum(heights), panels=len(tables), heights=heights)
    for axes, (name, (rows, errors, hidden)) in zip(panels, tables.items(), strict=True):
        places = range(len(rows))
        for who, values in errors.items():
            colour, marker = MARKS[who]
            axes.plot(values, places, linestyle="", marker=marker, markersize=7 if marker != "|" else 12, color=colour, label=who)
        axes.set_yticks(places, [f"{value}  ({count:,})" for value, count in rows.items()])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_title(f"{name} (rows)" + (f", {hidden} smaller left out" if hidden else ""), loc="left", fontsize=9, color=INK)
    panels[-1].set_xlabel(f"mean absolute error ({unit})")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(medians), frameon=False)
    return as_png(figure)


def _slice_table(
    values: Sequence[str | None], medians: Mapping[str, Array], labels: Array
) -> tuple[dict[str, int], dict[str, list[float]], int]:
    """Value → rows, who → MAE of each of these values, and how many smaller values are left out."""
    names, member = np.unique([str(value) for value in values], return_inverse=True)
    counts = np.bincount(member)
    largest = np.argsort(-counts, kind="stable")[:LARGEST]
    errors = {who: (np.bincount(member, weights=np.abs(labels - found)) / counts)[largest].tolist() for who, found in medians.items()}
    return {str(names[place]): int(counts[place]) for place in largest}, errors, len(names) - len(largest)
