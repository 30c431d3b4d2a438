"""The governor: whether to ask for a retrain, and if not, everything that held it back.

A pure function of what was measured, the use case's policy and the history. Input drift alone never asks for a retrain: inputs drift
with every season, and what a refit gains is only seen in the outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from roundtrip.contracts.names import months_apart
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.verdict import Verdict

Action = Literal["retrain", "hold"]

BUDGET_PARTITIONS = 12
"""Partitions that the budget of retrains covers: a year of months."""


class _Loss(msgspec.Struct):
    loss: float
    loss_low: float


class _Measured(msgspec.Struct):
    """The figures of measure_drift's receipt that a decision rests on."""

    model_version: str
    verdict: Verdict
    outcomes: int
    inputs_drifted: tuple[str, ...]
    inputs_broken: tuple[str, ...]
    performance: _Loss | None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What `measure_drift` found for a partition."""

    partition: str
    model_version: str
    """The version whose predictions were measured."""
    verdict: Verdict
    outcomes: int
    """Rows with an outcome."""
    loss: float | None
    """Skill lost since the release; None without outcomes."""
    loss_low: float | None
    """Lower end of its 95 % interval."""
    inputs_drifted: tuple[str, ...]
    data_faults: tuple[str, ...]
    """What is wrong with the partition's data, a sentence each: broken inputs, checks that failed."""

    @classmethod
    def of(cls, partition: str, figures: Mapping[str, Figure], *, failed_builds: tuple[str, ...]) -> Measurement:
        """From the figures of measure_drift's receipt, and what is known of the partition's tables."""
        measured = msgspec.convert(figures, _Measured)
        return cls(
            partition=partition,
            model_version=measured.model_version,
            verdict=measured.verdict,
            outcomes=measured.outcomes,
            loss=measured.performance.loss if measured.performance else None,
            loss_low=measured.performance.loss_low if measured.performance else None,
            inputs_drifted=measured.inputs_drifted,
            data_faults=(*(f"Input {name} arrives empty." for name in measured.inputs_broken), *failed_builds),
        )


@dataclass(frozen=True, kw_only=True)
class History:
    """What was released and asked for before."""

    live_version: str | None
    trained_through: str | None
    """Last partition in the live version's snapshot."""
    retrains_asked: tuple[str, ...]
    """Partitions for which a retrain was asked for, without the one measured."""
    run_in_flight: str | None
    """Id of a train_and_release run that is under way."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`reasons` of a hold are everything that held it back; those of a retrain are why."""

    action: Action
    reasons: tuple[str, ...]


def decide(measurement: Measurement, policy: RetrainPolicy, history: History) -> Decision:
    """Ask for a retrain when the skill decayed for certain and nothing holds it back."""
    held_back = (*_no_case(measurement, policy), *_held_back(measurement, policy, history))
    if held_back:
        return Decision(action="hold", reasons=held_back)
    why = (
        f"{measurement.partition}: {_points(measurement.loss)} of skill lost since release (limit {_points(policy.skill_loss)}), "
        f"at least {_points(measurement.loss_low)} with 95 % confidence, on {measurement.outcomes:,} outcomes."
    )
    return Decision(action="retrain", reasons=(why,))


def _no_case(measurement: Measurement, policy: RetrainPolicy) -> tuple[str, ...]:
    """Why there is no case for a retrain at all."""
    if measurement.outcomes < policy.minimum_outcomes:
        return (f"{measurement.outcomes:,} outcomes are too few to judge (minimum {policy.minimum_outcomes:,}): wait for more.",)
    if measurement.verdict == "decayed":
        return ()
    if measurement.loss is None or measurement.loss_low is None:
        return ("No loss was measured: the partition has no outcomes beside its predictions.",)
    reasons = []
    if measurement.loss < policy.skill_loss:
        reasons.append(f"Lost {_points(measurement.loss)} of skill since release, less than the limit of {_points(policy.skill_loss)}.")
    if measurement.loss_low <= 0:
        reasons.append(f"The loss may be chance: its 95 % interval starts at {_points(measurement.loss_low)}.")
    if measurement.inputs_drifted:
        reasons.append(f"Inputs drifted ({', '.join(measurement.inputs_drifted)}), but input drift alone never retrains.")
    return tuple(reasons)


def _held_back(measurement: Measurement, policy: RetrainPolicy, history: History) -> tuple[str, ...]:
    """What would hold a retrain back whatever the loss."""
    rules = (
        _bad_data(measurement),
        _other_version(measurement, history),
        _in_flight(history),
        _cooldown(measurement, policy, history),
        _budget(measurement, policy, history),
    )
    return tuple(reason for reason in rules if reason)


def _bad_data(measurement: Measurement) -> str:
    if not measurement.data_faults:
        return ""
    return f"Bad data: fix it, don't retrain. {' '.join(measurement.data_faults)}"


def _other_version(measurement: Measurement, history: History) -> str:
    if history.live_version is None or history.live_version == measurement.model_version:
        return ""
    return f"Version {measurement.model_version} was measured, but {history.live_version} is live by now: measure that one."


def _in_flight(history: History) -> str:
    return f"The train run {history.run_in_flight} is in flight: wait for it." if history.run_in_flight else ""


def _cooldown(measurement: Measurement, policy: RetrainPolicy, history: History) -> str:
    if history.trained_through is None:
        return ""
    passed = months_apart(history.trained_through, measurement.partition)
    if passed >= policy.cooldown_partitions:
        return ""
    return f"Cooldown: {passed} of {policy.cooldown_partitions} partitions passed since {history.trained_through}, the live model's last."


def _budget(measurement: Measurement, policy: RetrainPolicy, history: History) -> str:
    asked = [month for month in history.retrains_asked if 0 < months_apart(month, measurement.partition) < BUDGET_PARTITIONS]
    if len(asked) < policy.budget_per_year:
        return ""
    months = ", ".join(sorted(asked))
    return f"Budget spent: {len(asked)} of {policy.budget_per_year} retrains in {BUDGET_PARTITIONS} partitions ({months})."


def _points(fraction: float | None) -> str:
    """A skill as points of a hundred: 0.0312 → 3.1 points."""
    return "no" if fraction is None else f"{fraction * 100:.1f} points"
