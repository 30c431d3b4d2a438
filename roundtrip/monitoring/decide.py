"""One decision of the governor, with its side effects: the claim that one run alone can hold, and the record that is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.decisions import DecisionRecord, claim_retrain, read_decision, write_decision
from roundtrip.monitoring.governor import Decision, Measurement, decide
from roundtrip.monitoring.history import read_history


def decide_on(use_case: UseCase, measurement: Measurement, *, run_dir: str, now: datetime) -> Decision:
    """Decide on what the run `run_dir` measured, and keep the decision.

    A retrain is asked for once for a partition and version: the run that holds the claim gets the same answer as often as it asks, every
    other one a hold, and the record of the request stays. Otherwise the record of a partition measured again says what it revises.
    """
    decision = decide(
        measurement, use_case.retrain, read_history(use_case, measurement.partition, version=measurement.model_version, now=now)
    )
    before = read_decision(use_case.name, measurement.partition)
    if decision.action == "retrain":
        holder = claim_retrain(use_case.name, measurement.partition, model_version=measurement.model_version, run_dir=run_dir)
        if holder != run_dir:
            return Decision(action="hold", reasons=(_asked_already(measurement, holder),))
    elif before is not None and before.action == "retrain" and before.run_dir != run_dir:
        return Decision(action="hold", reasons=(*decision.reasons, _asked_already(measurement, before.run_dir)))
    record = DecisionRecord.of(use_case.name, measurement, decision, at=now, run_dir=run_dir)
    write_decision(replace(record, revises=_revised(before, run_dir)))
    return decision


def _asked_already(measurement: Measurement, holder: str) -> str:
    return f"{holder} asked for a retrain for {measurement.partition} already: start train_and_release by hand to train once more."


def _revised(before: DecisionRecord | None, run_dir: str) -> str | None:
    """What a record replaces: nothing where the same run decides again."""
    if before is None:
        return None
    if before.run_dir == run_dir:
        return before.revises
    return f"{before.verdict} of {before.outcomes:,} outcomes, decided at {before.decided_at}"
