"""The demo's chart: the live model's error and the baseline's by month, with what was found and each change of model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from roundtrip.cli.demo.summary import Month, Release

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES, DOTS_PER_INCH = (9.6, 4.4), 160


@dataclass(frozen=True, kw_only=True)
class Colours:
    background: str
    ink: str
    quiet: str
    model: str
    baseline: str
    retrain: str


LIGHT = Colours(background="#ffffff", ink="#1b1f24", quiet="#d6dae0", model="#0b62d6", baseline="#7a828e", retrain="#b3541e")
DARK = Colours(background="#14171c", ink="#e7eaee", quiet="#363c45", model="#6aa8ff", baseline="#98a1ad", retrain="#f0a267")
MARKERS = {"stable": "o", "watch": "^", "decayed": "X", "unknown": "s"}
"""Marker by verdict: told apart by shape, not by colour alone."""


def chart_png(months: Sequence[Month], releases: Sequence[Release], colours: Colours) -> bytes:
    """PNG, 1536 × 704 pixels. Months without outcomes have no point."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, facecolor=colours.background, layout="constrained")
    axes = figure.add_subplot(facecolor=colours.background)
    _draw_errors(axes, months, colours)
    _draw_retrains(axes, [month.partition for month in months if month.mae is not None], releases, colours)
    axes.set_ylabel("mean absolute error (minutes)", color=colours.ink)
    axes.margins(x=0.06, y=0.25)
    axes.tick_params(colors=colours.ink)
    axes.grid(axis="y", color=colours.quiet, linewidth=0.6)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, labelcolor=colours.ink, loc="upper left", ncols=2)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_errors(axes: Axes, months: Sequence[Month], colours: Colours) -> None:
    measured = [(month, month.mae, month.baseline_mae) for month in months if month.mae is not None and month.baseline_mae is not None]
    names = [month.partition for month, _, _ in measured]
    axes.plot(names, [baseline for _, _, baseline in measured], color=colours.baseline, linestyle="--", label="baseline")
    axes.plot(names, [mae for _, mae, _ in measured], color=colours.model, linewidth=2, label="live model")
    for place, (month, mae, _) in enumerate(measured):
        axes.plot(place, mae, marker=MARKERS.get(month.verdict, "o"), markersize=8, color=colours.model)
        axes.annotate(
            f"v{month.model_version}\n{month.verdict}", (place, mae), xytext=(0, -30), ha="center", textcoords="offset points",
            fontsize=8, color=colours.ink,
        )  # fmt: skip


def _draw_retrains(axes: Axes, names: Sequence[str], releases: Sequence[Release], colours: Colours) -> None:
    """A line after the month that asked for the retrain: the new version answers from the next month on."""
    for release in releases:
        if release.partition in names:
            place = names.index(release.partition) + 0.5
            axes.axvline(place, color=colours.retrain, linewidth=1.2)
            axes.annotate(
                f"retrained: v{release.version}", (place, 1), xycoords=("data", "axes fraction"), xytext=(-4, -4), ha="right", va="top",
                textcoords="offset points", fontsize=8, rotation=90, color=colours.retrain,
            )  # fmt: skip
