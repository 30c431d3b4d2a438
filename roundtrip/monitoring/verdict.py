"""The verdict: what a drift check found, in one word, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.performance import Performance

if TYPE_CHECKING:  # it loads torch and LightGBM: 3 CPU s of a decision that needs neither
    from roundtrip.monitoring.refit import Refit

Verdict = Literal["stable", "watch", "decayed", "unknown"]
Cause = Literal["none", "bad data", "data drift", "concept drift"]


def verdict_of(performance: Performance | None, refit: Refit | None, *, moved: bool, policy: RetrainPolicy) -> Verdict:
    """decayed: a refit gains enough, for certain · watch: enough or for certain, or skill was lost for certain, or inputs or predictions
    moved · unknown: too few outcomes to say, and nothing moved · stable: none of these.

    Without outcomes performance is unknown, so what moved is all there is to see: it is watched, and never decayed.
    """
    if performance is None or performance.rows < policy.minimum_outcomes or refit is None:
        return "watch" if moved else "unknown"
    large, certain = refit.gain.value >= policy.refit_gain, refit.gain.low > 0
    if large and certain:
        return "decayed"
    lost = performance.loss.value >= policy.skill_loss and performance.loss.low > 0
    return "watch" if large or lost or moved else "stable"


def cause_of(verdict: Verdict, refit: Refit | None, *, moved: bool, faulty: bool) -> Cause:
    """Why the verdict is what it is.

    bad data: the partition's data are broken, so nothing that was measured on them counts · concept drift: a refit gains on rows like those
    that the live model learned from, so the answer to the same question has changed · data drift: inputs moved, and if a refit gains at
    all, then on rows unlike those · none.
    """
    if faulty:
        return "bad data"
    if verdict == "decayed" and refit is not None:
        on_familiar = refit.familiar_gain
        return "concept drift" if on_familiar is not None and on_familiar.low > 0 else "data drift"
    return "data drift" if moved else "none"
