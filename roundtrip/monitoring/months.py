"""The measured months as pages and metrics read them: the governor's decisions, each with the figures of the check that it rests on.

Reads two small objects a month, of the newest months only, and no table. What a decision or receipt of another age lacks is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from roundtrip.contracts import storage
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.settings import settings

READERS = 12
"""Objects read at a time: a store answers one in milliseconds to tens of them, and a year is two dozen."""

Cause = Literal["none", "bad data", "data drift", "concept drift"]


class InputEffect(msgspec.Struct, frozen=True):
    """How far an input moved: its effect size (PSI) with the interval, or a note why there is none."""

    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    drifted: bool = False
    note: str = ""


class Refit(msgspec.Struct, frozen=True):
    """What a model fitted anew on the recent window would gain, as a fraction of the live model's MAE."""

    gain: float
    gain_low: float | None = None
    gain_high: float | None = None


class Skew(msgspec.Struct, frozen=True):
    """Training-serving skew: rows whose inputs were logged online and computed offline too."""

    rows: int
    features: dict[str, int] = {}
    """Input → rows whose two values differ."""


class Performance(msgspec.Struct, frozen=True):
    """Errors in the unit of the label, skills as fractions."""

    mae: float
    baseline_mae: float
    skill: float
    skill_low: float | None = None
    """Ends of its 95 % interval; None where only the decision is left."""
    skill_high: float | None = None
    skill_at_release: float | None = None
    loss: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None


class _Figures(msgspec.Struct, frozen=True):
    rows: int = 0
    inputs: dict[str, InputEffect] = {}
    predictions: InputEffect | None = None
    performance: Performance | None = None
    refit: Refit | None = None
    skew: Skew | None = None


class _Check(msgspec.Struct, frozen=True):
    """A receipt of measure_drift."""

    figures: _Figures
    links: dict[str, str]


class _Kept(msgspec.Struct, frozen=True):
    """A decision document. The figures in it are there for when the check's run folder is not."""

    partition: str
    model_version: str
    verdict: str
    outcomes: int
    action: str
    reasons: tuple[str, ...]
    decided_at: datetime
    run_dir: str
    cause: Cause | None = None
    mae: float | None = None
    baseline_mae: float | None = None
    refit_gain: float | None = None
    refit_gain_low: float | None = None

    @property
    def performance(self) -> Performance | None:
        if self.mae is None or not self.baseline_mae:
            return None
        return Performance(mae=self.mae, baseline_mae=self.baseline_mae, skill=1 - self.mae / self.baseline_mae)

    @property
    def refit(self) -> Refit | None:
        return None if self.refit_gain is None else Refit(gain=self.refit_gain, gain_low=self.refit_gain_low)


_NO_CHECK = _Check(figures=_Figures(), links={})
_check_of, _kept_of = msgspec.json.Decoder(_Check).decode, msgspec.json.Decoder(_Kept).decode


@dataclass(frozen=True, kw_only=True)
class Month:
    """A measured month: what the model did on it, and what the governor made of that."""

    partition: str
    model_version: str
    verdict: str
    cause: Cause | None
    action: str
    """retrain or hold."""
    reasons: tuple[str, ...]
    decided_at: datetime
    outcomes: int
    """Rows with an outcome."""
    run_dir: str
    """Run folder of the check."""
    rows: int
    inputs: Mapping[str, InputEffect]
    predictions: InputEffect | None
    performance: Performance | None
    refit: Refit | None
    skew: Skew | None
    links: Mapping[str, str]
    """Title → address, of the check's receipt."""

    @property
    def refit_mae(self) -> float | None:
        """The MAE that a refit would have had on the month: the live model's, less the gain."""
        return self.performance.mae * (1 - self.refit.gain) if self.performance and self.refit else None

    @property
    def inputs_drifted(self) -> tuple[str, ...]:
        return tuple(name for name, found in self.inputs.items() if found.drifted)


def newest_months(use_case_name: str, count: int) -> list[Month]:
    """The newest `count` months with a decision, in their order; none before the first check."""
    folder = storage.join(settings().storage_root, "decisions", use_case_name) + "/"
    newest = [entry.uri for entry in storage.list_objects(folder)][-count:]
    with ThreadPoolExecutor(READERS) as readers:
        decisions = list(readers.map(_decision, newest))
        checks = list(readers.map(_check, decisions))
    return [_month(kept, check) for kept, check in zip(decisions, checks, strict=True)]


def _decision(uri: str) -> _Kept:
    return _kept_of(storage.read_bytes(uri))


def _check(kept: _Kept) -> _Check:
    """The receipt of the check; an empty one where its run folder was removed since."""
    try:
        return _check_of(storage.read_bytes(RunFolder(kept.run_dir).receipt_uri("measure_drift")))
    except FileNotFoundError:
        return _NO_CHECK


def _month(kept: _Kept, check: _Check) -> Month:
    figures = check.figures
    return Month(
        partition=kept.partition,
        model_version=kept.model_version,
        verdict=kept.verdict,
        cause=kept.cause,
        action=kept.action,
        reasons=kept.reasons,
        decided_at=kept.decided_at,
        outcomes=kept.outcomes,
        run_dir=kept.run_dir,
        rows=figures.rows,
        inputs=figures.inputs,
        predictions=figures.predictions,
        performance=figures.performance or kept.performance,
        refit=figures.refit or kept.refit,
        skew=figures.skew,
        links=check.links,
    )
