"""What another policy would have decided on the partitions that were measured: a dry run over the kept decisions.

What was measured stays as it was: a retrain that this policy would have asked for, and that one did not, would have put another model
live, of whose errors nobody knows. So read the first difference as it stands, and what follows it as a hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.decisions import DecisionRecord
from roundtrip.monitoring.governor import Decision, History, decide, is_decayed


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One partition: what was decided, and what would have been."""

    record: DecisionRecord
    decision: Decision

    @property
    def differs(self) -> bool:
        return self.record.action != self.decision.action


def replay(records: Sequence[DecisionRecord], policy: RetrainPolicy) -> list[Replayed]:
    """Decide on each record again, in order of partitions. Cooldown, budget and persistence go by what this policy would have asked for."""
    replayed: list[Replayed] = []
    asked: list[str] = []
    decayed: list[str] = []
    for record in sorted(records, key=lambda each: each.partition):
        measurement = record.measurement()
        history = History(
            live_version=record.model_version,
            trained_through=asked[-1] if asked else None,
            retrains_asked=tuple(asked),
            decayed=tuple(decayed),
            run_in_flight=None,
        )
        decision = decide(measurement, policy, history)
        if is_decayed(measurement, policy):
            decayed.append(record.partition)
        if decision.action == "retrain":
            asked.append(record.partition)
            decayed.clear()
        replayed.append(Replayed(record=record, decision=decision))
    return replayed
