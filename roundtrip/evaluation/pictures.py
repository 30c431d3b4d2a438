"""The pictures of a training and its evaluation, as the MLflow run shows them: arrays in, PNG out, each under 100 kB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
DOTS_PER_INCH, COLOURS = 110, 128
INK, QUIET, BLUE, ORANGE, GREEN, GREY = "#1b1f24", "#d6dae0", "#0b62d6", "#b3541e", "#1a7f52", "#7a828e"
MARKS = {"candidate": (BLUE, "o"), "champion": (ORANGE, "D"), "yardstick": (GREEN, "^"), "baseline": (GREY, "|")}
"""Who answered → colour and marker: told apart by shape, not by colour alone."""
LARGEST = 15
"""Values of a slicing input that are drawn: those with the most rows."""
BINS = 20
"""Groups of equally many rows along the predicted value."""
TEN = 10
"""Deciles."""
OUTERMOST = 0.005
"""Share of the rows left outside the residuals' axes on each side: a dozen flights a day late would squeeze all others into a line."""


FAINTEST = 0.2
"""Rows that would be white: a single one is to be seen."""


def learning_curve(losses: Sequence[float], maes: Sequence[float], *, unit: str) -> bytes:
    """Training loss and held-out MAE (in `unit`), each [epochs], side by side."""
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = _figure("Learning curve", width=9, height=3.6, panels=2)
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
    return _png(figure)


def optimization_history(complete: Mapping[int, float], pruned: Mapping[int, float], *, declared: float | None, unit: str) -> bytes:
    """MAE by number of trial, in `unit`: of complete ones, the least so far as a line; of pruned ones what they reported last.

    `declared`: MAE of the declared recipe, where there is one.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = _figure("Trials", width=8, height=4)
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
    _legend(axes)
    return _png(figure)


def parameter_importance(importances: Mapping[str, float]) -> bytes:
    """Share of the MAE's variance over the trials that each parameter explains, the largest on top."""
    figure, (axes,) = _figure("What the MAE depends on", width=8, height=max(3.4, 1.4 + 0.3 * len(importances)))
    ordered = sorted(importances.items(), key=lambda entry: entry[1])
    bars = axes.barh([name for name, _ in ordered], [share for _, share in ordered], color=BLUE, height=0.6)
    axes.bar_label(bars, labels=[f"{share:.0%}" for _, share in ordered], padding=4, fontsize=8, color=INK)
    axes.set(xlabel="share of the variance explained (fANOVA)", xlim=(0, 1.08 * max(importances.values())))
    return _png(figure)


def residuals(medians: Array, labels: Array, *, unit: str) -> bytes:
    """Label − prediction by prediction, both [n] in `unit`: all rows as shades, median and middle 80 % of BINS groups as lines."""
    figure, (axes,) = _figure("Residuals by predicted value", width=8, height=4.6)
    misses = labels - medians
    window = [np.quantile(values, [OUTERMOST, 1 - OUTERMOST]) for values in (medians, misses)]
    shades = axes.hexbin(
        medians, misses, gridsize=60, extent=(*window[0], *window[1]), bins="log", mincnt=1, cmap="Blues", vmin=FAINTEST, linewidths=0
    )
    bar = figure.colorbar(shades, ax=axes, label="rows", format="{x:,.0f}")
    bar.ax.set_ylim(1, max(2.0, float(np.asarray(shades.get_array()).max())))
    bar.outline.set_visible(False)  # type: ignore[operator]
    groups = _equal_groups(medians, BINS)
    places = [float(medians[group].mean()) for group in groups]
    low, middle, high = np.array([np.quantile(misses[group], [0.1, 0.5, 0.9]) for group in groups]).T
    axes.plot(places, middle, color=ORANGE, marker="o", markersize=3, label="median")
    for ends, label in ((low, "middle 80 % of rows"), (high, None)):
        axes.plot(places, ends, color=ORANGE, linestyle="--", linewidth=1, label=label)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlim=window[0], ylim=window[1], xlabel=f"predicted ({unit})", ylabel=f"actual − predicted ({unit})")
    _legend(axes)
    return _png(figure)


def calibration(answers: NDArray[np.float32], labels: Array, *, quantiles: Sequence[float], unit: str) -> bytes:
    """How often labels [n] fall below each quantile of answers [n, 3], and into the interval, by its width. `quantiles`: as declared."""
    figure, (left, right) = _figure("Calibration of the interval", width=9, height=4, panels=2)
    nominal = [quantiles[place] for place in (1, 0, 2)]
    observed = [float(np.mean(labels <= answers[:, place])) for place in (1, 0, 2)]
    left.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
    left.plot(nominal, observed, color=BLUE, marker="o", label="candidate")
    for at, found in zip(nominal, observed, strict=True):
        left.annotate(f"p{at * 100:.0f}: {found:.1%}", (at, found), xytext=(7, -12), textcoords="offset points", fontsize=8, color=INK)
    left.set(xlim=(0, 1.12), ylim=(0, 1.05), xlabel="nominal share of outcomes below", ylabel="observed share")
    _legend(left)
    _draw_inside_by_width(right, answers.astype(np.float64), labels, share=nominal[2] - nominal[0], unit=unit)
    return _png(figure)


def _draw_inside_by_width(axes: Axes, answers: Array, labels: Array, *, share: float, unit: str) -> None:
    width = answers[:, 2] - answers[:, 1]
    inside = (answers[:, 1] <= labels) & (labels <= answers[:, 2])
    groups = _equal_groups(width, TEN)
    found = [float(inside[group].mean()) for group in groups]
    names = [f"{width[group].mean():.0f}" for group in groups]
    places = range(len(groups))
    axes.axhline(share, color=GREY, linestyle="--", linewidth=1, label=f"nominal {share:.0%}")
    axes.plot(places, found, color=BLUE, marker="o", label=f"observed, {inside.mean():.1%} of all")
    axes.set_xticks(places, names)
    axes.set(ylim=(0, 1.05), xlabel=f"mean width in each tenth of the rows ({unit})", ylabel="share of outcomes inside")
    _legend(axes)


def error_by_slice(slices: Mapping[str, Sequence[str | None]], medians: Mapping[str, Array], labels: Array, *, unit: str) -> bytes:
    """MAE of each that answered (name of MARKS → its medians [n]), by the values [n] of each slicing input."""
    tables = {name: _slice_table(values, medians, labels) for name, values in slices.items()}
    heights = [len(table[0]) + 1.5 for table in tables.values()]
    figure, panels = _figure("Error by slice", width=8, height=1.4 + 0.27 * sum(heights), panels=len(tables), heights=heights)
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
    return _png(figure)


def _slice_table(
    values: Sequence[str | None], medians: Mapping[str, Array], labels: Array
) -> tuple[dict[str, int], dict[str, list[float]], int]:
    """Value → rows, who → MAE of each of these values, and how many smaller values are left out."""
    names, member = np.unique([str(value) for value in values], return_inverse=True)
    counts = np.bincount(member)
    largest = np.argsort(-counts, kind="stable")[:LARGEST]
    errors = {who: (np.bincount(member, weights=np.abs(labels - found)) / counts)[largest].tolist() for who, found in medians.items()}
    return {str(names[place]): int(counts[place]) for place in largest}, errors, len(names) - len(largest)


def _equal_groups(values: Array, groups: int) -> list[NDArray[np.int64]]:
    """Rows in order of `values` [n], in that many groups of equally many (fewer where there are fewer rows)."""
    return [group for group in np.array_split(np.argsort(values, kind="stable"), groups) if len(group)]


def _figure(title: str, *, width: float, height: float, panels: int = 1, heights: Sequence[float] = ()) -> tuple[Figure, list[Axes]]:
    """An empty figure in inches; its panels side by side, or one below the other where `heights` gives their shares."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    if heights:
        found = figure.subplots(panels, 1, squeeze=False, sharex=True, height_ratios=list(heights))
    else:
        found = figure.subplots(1, panels, squeeze=False)
    for axes in found.flat:
        axes.grid(color=QUIET, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.tick_params(colors=INK, labelsize=8, length=0)
        axes.xaxis.label.set_size(9)
        axes.yaxis.label.set_size(9)
    return figure, list(found.flat)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, labelcolor=INK, fontsize=8)


def _png(figure: Figure) -> bytes:
    """In COLOURS colours, which is a third of the bytes and can't be told apart."""
    from PIL import Image

    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()
