"""The answers a second over the time of the faults bench, by who gave them, with the faults as marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.serving.steady_caller import Called
from roundtrip.evaluation.drawing import BLUE, GREEN, INK, ORANGE, QUIET, as_png, new_figure

LABEL_HEIGHTS = 4
"""In turn, so that the names of faults that lie close together don't cover each other."""


def picture(called: Sequence[Called], faults: Mapping[str, tuple[float, float]]) -> bytes:
    """A PNG. `faults`: name → its begin and end, in seconds since 1970."""
    called = [each for each in called if not each.tries_again]
    begun = min(each.due for each in called)
    seconds = int(max(each.ended for each in called) - begun) + 1
    kinds = {
        "Triton's": ([each for each in called if each.good and each.served_by == "triton"], BLUE),
        "ONNX Runtime's, in the gateway": ([each for each in called if each.good and each.served_by != "triton"], GREEN),
        "none, or an error": ([each for each in called if not each.good], ORANGE),
    }
    figure, (axes,) = new_figure("Answers a second, at a constant number of requests", width=10, height=3.6)
    counts = [np.bincount([int(each.ended - begun) for each in chosen], minlength=seconds) for chosen, _ in kinds.values()]
    axes.stackplot(
        np.arange(seconds), *counts, labels=list(kinds), colors=[colour for _, colour in kinds.values()], step="post", linewidth=0
    )
    usual = float(np.median(np.sum(counts, axis=0)))
    for number, (name, (start, end)) in enumerate(faults.items()):
        axes.axvspan(start - begun, max(end, start + 1) - begun, color=QUIET, alpha=0.45, zorder=3, linewidth=0)
        axes.text(start - begun, (1.1 + 0.12 * (number % LABEL_HEIGHTS)) * usual, name, fontsize=7.5, color=INK, zorder=4)
    axes.set(xlabel="seconds", ylabel="answers a second", xlim=(0, seconds), ylim=(0, 1.9 * usual))
    axes.legend(loc="upper left", ncols=len(kinds), frameon=False, labelcolor=INK, fontsize=8)
    return as_png(figure)
