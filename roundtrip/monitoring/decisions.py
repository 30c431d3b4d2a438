"""The governor's decisions as they are kept (`<storage root>/decisions/<use case>/<partition>.json`): for the budget, the pages, people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings
from roundtrip.monitoring.governor import Action, Decision, Measurement
from roundtrip.monitoring.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """One decision with what it rests on."""

    use_case: str
    partition: str
    model_version: str
    verdict: Verdict
    outcomes: int
    loss: float | None
    loss_low: float | None
    action: Action
    reasons: tuple[str, ...]
    decided_at: str
    """ISO time, UTC."""
    run_dir: str
    """Run folder of the check that it rests on."""

    @classmethod
    def of(cls, use_case_name: str, measurement: Measurement, decision: Decision, *, at: datetime, run_dir: str) -> DecisionRecord:
        return cls(
            use_case=use_case_name,
            partition=measurement.partition,
            model_version=measurement.model_version,
            verdict=measurement.verdict,
            outcomes=measurement.outcomes,
            loss=measurement.loss,
            loss_low=measurement.loss_low,
            action=decision.action,
            reasons=decision.reasons,
            decided_at=at.isoformat(timespec="seconds"),
            run_dir=run_dir,
        )


def write_decision(record: DecisionRecord) -> None:
    """Keep the decision; that of a partition measured again replaces the earlier one."""
    uri = storage.join(_folder(record.use_case), f"{record.partition}.json")
    storage.write_bytes(uri, json.dumps(asdict(record), indent=2).encode())


def read_decisions(use_case_name: str) -> list[DecisionRecord]:
    """Every decision kept, by partition."""
    found = (json.loads(storage.read_bytes(entry.uri)) for entry in storage.list_objects(_folder(use_case_name) + "/"))
    return [DecisionRecord(**values | {"reasons": tuple(values["reasons"])}) for values in found]


def _folder(use_case_name: str) -> str:
    return storage.join(settings().storage_root, "decisions", use_case_name)
