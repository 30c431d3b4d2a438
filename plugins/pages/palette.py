"""The colours of the pages, light and dark. Their contrast is computed in a test (WCAG 2.2, AA): text 4.5, lines and marks 3 to 1."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Palette:
    """CSS colours, #rrggbb; a field `x` is the property --x of the style sheet."""

    ground: str
    panel: str
    """Behind cards and table cells that stand out."""
    tint: str
    """Behind a cell whose value is beyond its limit."""
    line: str
    """Rules between rows and grid lines: decoration, of no contrast."""
    ink: str
    quiet: str
    link: str
    good: str
    warn: str
    bad: str
    model: str
    baseline: str
    refit: str
    release: str
    button: str
    button_ink: str
    border: str
    """Around fields and buttons."""


LIGHT = Palette(
    ground="#ffffff", panel="#f5f7f9", tint="#fdeee2", line="#d8dee4", ink="#1b1f24", quiet="#57606b", link="#0b57c9", good="#116329",
    warn="#7d4e00", bad="#a40e26", model="#0b57c9", baseline="#6b7480", refit="#0a7c5c", release="#9a3d8f", button="#0b57c9",
    button_ink="#ffffff", border="#79828e",
)  # fmt: skip
DARK = Palette(
    ground="#14171c", panel="#1c2128", tint="#3a2a1c", line="#363c45", ink="#e7eaee", quiet="#a3acb8", link="#79b0ff", good="#5fbf63",
    warn="#dcb03c", bad="#ff8a80", model="#79b0ff", baseline="#98a1ad", refit="#4cc9a4", release="#dd90d3", button="#2f6fd6",
    button_ink="#ffffff", border="#78818d",
)  # fmt: skip


def declarations(palette: Palette) -> str:
    """The palette as declarations of a style sheet."""
    return " ".join(f"--{name.replace('_', '-')}: {colour};" for name, colour in asdict(palette).items())
