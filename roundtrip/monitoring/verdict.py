"""The verdict: what a drift check found, in one word."""

from __future__ import annotations

from typing import Literal

from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.performance import Performance

Verdict = Literal["stable", "watch", "decayed", "unknown"]


def verdict_of(performance: Performance | None, *, moved: bool, policy: RetrainPolicy) -> Verdict:
    """decayed: the loss is large and its interval excludes zero · watch: one of both, or inputs or predictions moved ·
    unknown: too few outcomes to say · stable: none of these.
    """
    if performance is None or performance.rows < policy.minimum_outcomes:
        return "unknown"
    large, certain = performance.loss.value >= policy.skill_loss, performance.loss.low > 0
    if large and certain:
        return "decayed"
    return "watch" if large or certain or moved else "stable"
