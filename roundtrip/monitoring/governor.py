"""The governor: whether to ask for a retrain, and if not, everything that held it back.

A pure function of what was measured, the use case's policy and the history. A retrain costs, and is only worth what a refit gains
(refit.py). Input drift alone asks for none: inputs drift with every season. Nor does lost skill alone: a hard month costs skill too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from roundtrip.contracts.names import months_apart, months_back
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.verdict import Cause, Verdict

Action = Literal["retrain", "hold"]

BUDGET_PARTITIONS = 12
"""Partitions that the budget of retrains covers: a year of months."""


class _Performance(msgspec.Struct):
    mae: float
    baseline_mae: float
    loss: float
    loss_low: float


class _Refit(msgspec.Struct):
    mae: float
    live_mae: float
    gain: float
    gain_low: float


class _Measured(msgspec.Struct):
    """The figures of measure_drift's receipt that a decision rests on."""

    model_version: str
    verdict: Verdict
    cause: Cause
    outcomes: int
    inputs_drifted: tuple[str, ...]
    data_faults: tuple[str, ...]
    performance: _Performance | None
    refit: _Refit | None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What `measure_drift` found for a partition. MAE in the label's unit; losses and gains as fractions."""

    partition: str
    model_version: str
    """The version whose predictions were measured."""
    verdict: Verdict
    cause: Cause
    outcomes: int
    """Rows with an outcome."""
    mae: float | None = None
    """Of the live model on them; None without outcomes, as all that follows."""
    baseline_mae: float | None = None
    loss: float | None = None
    """Skill lost since the release."""
    loss_low: float | None = None
    """Lower end of its 95 % interval."""
    refit_mae: float | None = None
    """Of the refit on the partition's later half; None with too few outcomes, as all that follows."""
    refit_gain: float | None = None
    """Share of the live model's MAE there that the refit saves."""
    refit_gain_low: float | None = None
    """Lower end of its 95 % interval."""
    inputs_drifted: tuple[str, ...] = ()
    data_faults: tuple[str, ...] = ()
    """What is wrong with the partition's data, a sentence each: broken inputs, checks that failed."""

    @classmethod
    def of(cls, partition: str, figures: Mapping[str, Figure], *, failed_builds: tuple[str, ...]) -> Measurement:
        """From the figures of measure_drift's receipt, and what is known of the partition's tables."""
        measured = msgspec.convert(figures, _Measured)
        performance, refit = measured.performance, measured.refit
        faults = (*measured.data_faults, *failed_builds)
        return cls(
            partition=partition,
            model_version=measured.model_version,
            verdict=measured.verdict,
            cause="bad data" if faults else measured.cause,
            outcomes=measured.outcomes,
            mae=performance.mae if performance else None,
            baseline_mae=performance.baseline_mae if performance else None,
            loss=performance.loss if performance else None,
            loss_low=performance.loss_low if performance else None,
            refit_mae=refit.mae if refit else None,
            refit_gain=refit.gain if refit else None,
            refit_gain_low=refit.gain_low if refit else None,
            inputs_drifted=measured.inputs_drifted,
            data_faults=faults,
        )


@dataclass(frozen=True, kw_only=True)
class History:
    """What was released, measured and asked for before."""

    live_version: str | None
    trained_through: str | None
    """Last partition in the live version's snapshot."""
    retrains_asked: tuple[str, ...]
    """Partitions for which a retrain was asked for, without the one measured."""
    decayed: tuple[str, ...] = ()
    """Earlier partitions in which the measured version had decayed."""
    run_in_flight: str | None
    """Id of a train_and_release run that is under way."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`reasons` of a hold are everything that held it back; those of a retrain are why."""

    action: Action
    reasons: tuple[str, ...]


def decide(measurement: Measurement, policy: RetrainPolicy, history: History) -> Decision:
    """Ask for a retrain when a refit gains enough, for certain, and nothing holds it back."""
    held_back = (*_no_case(measurement, policy), *_held_back(measurement, policy, history))
    if held_back:
        return Decision(action="hold", reasons=held_back)
    why = (
        f"{measurement.partition}: a refit would save {_percent(measurement.refit_gain)} of the live model's error (limit "
        f"{_percent(policy.refit_gain)}), at least {_percent(measurement.refit_gain_low)} with 95 % confidence, on "
        f"{measurement.outcomes:,} outcomes: {measurement.cause}."
    )
    return Decision(action="retrain", reasons=(why,))


def is_decayed(measurement: Measurement, policy: RetrainPolicy) -> bool:
    """Whether a refit gains enough, for certain, by this policy."""
    gain, low = measurement.refit_gain, measurement.refit_gain_low
    return gain is not None and low is not None and gain >= policy.refit_gain and low > 0


def _no_case(measurement: Measurement, policy: RetrainPolicy) -> tuple[str, ...]:
    """Why there is no case for a retrain at all."""
    if measurement.outcomes < policy.minimum_outcomes:
        wait = f"{measurement.outcomes:,} outcomes are too few to judge (minimum {policy.minimum_outcomes:,}): wait for more."
        return (wait, *_watched(measurement, policy))
    if is_decayed(measurement, policy):
        return ()
    gain, low = measurement.refit_gain, measurement.refit_gain_low
    if gain is None or low is None:
        return ("What a refit gains is unknown: the outcomes cover too few days for a later half to judge it on.",)
    reasons = []
    if gain < policy.refit_gain:
        reasons.append(
            f"A refit would save {_percent(gain)} of the live model's error, less than the limit of {_percent(policy.refit_gain)}."
        )
    if low <= 0:
        reasons.append(f"What a refit saves may be chance: its 95 % interval starts at {_percent(low)}.")
    return (*reasons, *_watched(measurement, policy))


def _watched(measurement: Measurement, policy: RetrainPolicy) -> tuple[str, ...]:
    """What was seen that asks for no retrain by itself."""
    seen = []
    loss, low = measurement.loss, measurement.loss_low
    if measurement.outcomes >= policy.minimum_outcomes and loss is not None and low is not None and loss >= policy.skill_loss and low > 0:
        seen.append(
            f"{loss * 100:.1f} points of skill were lost since the release: months that are harder, not a model that knows too little."
        )
    if measurement.inputs_drifted:
        seen.append(f"Inputs drifted ({', '.join(measurement.inputs_drifted)}), but input drift alone never retrains.")
    return tuple(seen)


def _held_back(measurement: Measurement, policy: RetrainPolicy, history: History) -> tuple[str, ...]:
    """What would hold a retrain back whatever it gains."""
    rules = (
        _bad_data(measurement),
        _other_version(measurement, history),
        _in_flight(history),
        _persistence(measurement, policy, history),
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


def _persistence(measurement: Measurement, policy: RetrainPolicy, history: History) -> str:
    """Only where there is a case: without one the partition itself breaks the row."""
    wanted = months_back(measurement.partition, policy.persistence_partitions - 1)[:-1]
    missing = [month for month in wanted if month not in history.decayed]
    if not missing or not is_decayed(measurement, policy):
        return ""
    row = next((place for place, month in enumerate(reversed(wanted)) if month not in history.decayed), len(wanted)) + 1
    return f"Persistence: decay was seen in {row} of the {policy.persistence_partitions} partitions in a row that it takes."


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


def _percent(fraction: float | None) -> str:
    """0.0312 → 3.1 %."""
    return "nothing" if fraction is None else f"{fraction * 100:.1f} %"
