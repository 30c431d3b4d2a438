"""How every picture of Roundtrip looks: colours, axes, legend, PNG."""

from __future__ import annotations

from collections.abc import Sequence
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
FAINTEST = 0.2
"""Rows that would be white: a single one is to be seen."""
OUTERMOST = 0.005
"""Share of the rows left outside the axes on each side: a dozen flights a day late would squeeze all others into a line."""


def equal_groups(values: Array, groups: int) -> list[NDArray[np.int64]]:
    """Rows in order of `values` [n], in that many groups of equally many (fewer where there are fewer rows)."""
    return [group for group in np.array_split(np.argsort(values, kind="stable"), groups) if len(group)]


def new_figure(title: str, *, width: float, height: float, panels: int = 1, heights: Sequence[float] = ()) -> tuple[Figure, list[Axes]]:
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


def shade_rows(figure: Figure, axes: Axes, across: Array, up: Array) -> None:
    """All rows, by two numbers [n] of each, as shades that say how many lie there."""
    window = [np.quantile(values, [OUTERMOST, 1 - OUTERMOST]) for values in (across, up)]
    shades = axes.hexbin(
        across, up, gridsize=60, extent=(*window[0], *window[1]), bins="log", mincnt=1, cmap="Blues", vmin=FAINTEST, linewidths=0
    )
    bar = figure.colorbar(shades, ax=axes, label="rows", format="{x:,.0f}")
    bar.ax.set_ylim(1, max(2.0, float(np.asarray(shades.get_array()).max())))
    bar.outline.set_visible(False)  # type: ignore[operator]
    axes.set(xlim=window[0], ylim=window[1])


def legend(axes: Axes) -> None:
    """The axes' legend, in the pictures' style."""
    axes.legend(frameon=False, labelcolor=INK, fontsize=8)


def as_png(figure: Figure) -> bytes:
    """The figure as PNG, in COLOURS colours, which is a third of the bytes and can't be told apart."""
    from PIL import Image

    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()
