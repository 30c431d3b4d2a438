"""How good predictions are: error, skill against the baseline with its interval, coverage, and what an evaluation holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from roundtrip.contracts.receipts import Figure
from roundtrip.evaluation.skill import Excess, skill_with_interval
from roundtrip.evaluation.slices import SliceFound

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """n rows that no model trained on, and what the baseline says of them."""

    labels: Array
    """[n], in the label's unit."""
    baseline: Array
    """[n]."""
    days: NDArray[np.int64]
    """[n], any numbering: rows of one day share weather and congestion, so the interval resamples days."""

    def errors(self, median: NDArray[np.float32] | Array) -> Array:
        """Absolute errors [n] of that prediction [n]."""
        return np.abs(self.labels - median.astype(np.float64))


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The figures of one model on the held-out rows."""

    mae: float
    skill: float
    """1 − MAE / MAE of the baseline."""
    skill_low: float
    skill_high: float
    """95 % bootstrap interval of the skill, errors of model and baseline paired."""
    coverage: float
    """Share of labels between the low and the high quantile."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate_model` found: everything on identical rows."""

    held_out_rows: int
    baseline_mae: float
    candidate: Quality
    champion: Quality | None
    champion_version: str | None
    excess: Excess | None
    """The candidate's MAE above the champion's; None without a champion."""
    nominal_coverage: float
    """Share of labels that the interval is meant to hold."""
    slices: tuple[SliceFound, ...]

    def figures(self) -> dict[str, Figure]:
        """For the receipt."""
        values = asdict(self)
        return {"baseline": {"mae": values.pop("baseline_mae")}, **values}

    def metrics(self) -> dict[str, float]:
        """The single figures, named as MLflow shows them."""
        metrics = {"held_out_rows": float(self.held_out_rows), "baseline_mae": self.baseline_mae, **_prefixed("candidate", self.candidate)}
        if self.champion is None or self.excess is None:
            return metrics
        excess = {"excess": self.excess.value, "excess_low": self.excess.low, "excess_high": self.excess.high}
        return metrics | _prefixed("champion", self.champion) | excess

    @classmethod
    def from_figures(cls, figures: Mapping[str, Figure]) -> Evaluation:
        """The evaluation that a receipt holds."""
        values = cast("dict[str, dict[str, float]]", dict(figures))
        return cls(
            held_out_rows=int(cast("int", figures["held_out_rows"])),
            baseline_mae=values["baseline"]["mae"],
            candidate=Quality(**values["candidate"]),
            champion=Quality(**values["champion"]) if figures["champion"] else None,
            champion_version=cast("str | None", figures["champion_version"]),
            excess=Excess(**values["excess"]) if figures["excess"] else None,
            nominal_coverage=cast("float", figures["nominal_coverage"]),
            slices=tuple(SliceFound.from_figures(entry) for entry in cast("list[dict[str, Figure]]", figures["slices"])),
        )


def _prefixed(name: str, quality: Quality) -> dict[str, float]:
    return {f"{name}_{figure}": value for figure, value in asdict(quality).items()}


def quality(predictions: NDArray[np.float32], rows: HeldOut) -> Quality:
    """The quality of predictions [n, 3] (median, low, high)."""
    median, low, high = predictions.astype(np.float64).T
    errors = rows.errors(median)
    skill = skill_with_interval(errors, rows.errors(rows.baseline), rows.days)
    return Quality(
        mae=float(errors.mean()),
        skill=skill.value,
        skill_low=skill.low,
        skill_high=skill.high,
        coverage=float(np.mean((low <= rows.labels) & (rows.labels <= high))),
    )
