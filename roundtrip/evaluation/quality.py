"""How good predictions are: error, skill against the baseline with its interval, coverage, and what an evaluation holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import msgspec
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
class MedianQuality:
    """The figures of one model's median on the held-out rows."""

    mae: float
    skill: float
    """1 − MAE / MAE of the baseline."""
    skill_low: float
    skill_high: float
    """95 % bootstrap interval of the skill, errors of model and baseline paired."""


@dataclass(frozen=True, kw_only=True)
class Quality(MedianQuality):
    """The same of a model that gives an interval too."""

    coverage: float
    """Share of labels between the low and the high quantile."""


@dataclass(frozen=True, kw_only=True)
class YardstickQuality(MedianQuality):
    """The same of the boosted trees."""

    seconds: float
    """What the yardstick cost: growing the trees and asking them."""


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
    yardstick: YardstickQuality | None = None
    """None in an evaluation from before it was measured."""

    def figures(self) -> dict[str, Figure]:
        """For the receipt."""
        return asdict(self)

    @classmethod
    def from_figures(cls, figures: Mapping[str, Figure]) -> Evaluation:
        """The evaluation that a receipt holds."""
        return msgspec.convert(figures, cls)

    def metrics(self) -> dict[str, float]:
        """The single figures, named as MLflow shows them."""
        metrics = {"held_out_rows": float(self.held_out_rows), "baseline_mae": self.baseline_mae, **_prefixed("candidate", self.candidate)}
        others = {"champion": self.champion, "yardstick": self.yardstick}
        metrics |= {name: value for who, found in others.items() if found for name, value in _prefixed(who, found).items()}
        if self.excess is None:
            return metrics
        return metrics | {"excess": self.excess.value, "excess_low": self.excess.low, "excess_high": self.excess.high}

    def lines(self, unit: str) -> list[str]:
        """For the job's log: one for each that was measured, with its MAE in `unit`."""
        measured = {"candidate": self.candidate, f"champion {self.champion_version}": self.champion, "yardstick (trees)": self.yardstick}
        return [
            f"{self.held_out_rows:,} held-out rows",
            *(_line(name, found, unit) for name, found in measured.items() if found is not None),
            f"{'baseline':18s} MAE {self.baseline_mae:.3f} {unit}",
        ]


def _prefixed(name: str, quality: MedianQuality) -> dict[str, float]:
    return {f"{name}_{figure}": value for figure, value in asdict(quality).items()}


def _line(name: str, found: MedianQuality, unit: str) -> str:
    return f"{name:18s} MAE {found.mae:.3f} {unit}  skill {found.skill:.3f} ({found.skill_low:.3f} to {found.skill_high:.3f})"


def quality(predictions: NDArray[np.float32], rows: HeldOut) -> Quality:
    """The quality of predictions [n, 3] (median, low, high)."""
    median, low, high = predictions.astype(np.float64).T
    coverage = float(np.mean((low <= rows.labels) & (rows.labels <= high)))
    return Quality(**asdict(median_quality(median, rows)), coverage=coverage)


def median_quality(median: Array, rows: HeldOut) -> MedianQuality:
    """The quality of medians [n]."""
    errors = rows.errors(median)
    skill = skill_with_interval(errors, rows.errors(rows.baseline), rows.days)
    return MedianQuality(mae=float(errors.mean()), skill=skill.value, skill_low=skill.low, skill_high=skill.high)
