"""The governor's decisions as they are kept: for the budget, the pages, people.

`<storage root>/decisions/<use case>/<partition>.json`, and, where a retrain was asked for, a claim that only one run can hold:
`<storage root>/retrain_requests/<use case>/<partition>.<model version>.json`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings
from roundtrip.monitoring.governor import Action, Decision, Measurement
from roundtrip.monitoring.verdict import Cause, Verdict


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """One decision with what it rests on. Fields with a default are missing in records from before they were kept."""

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
    mae: float | None = None
    """Of the live model, in the label's unit."""
    baseline_mae: float | None = None
    refit_mae: float | None = None
    """Of a refit, on the partition's later half."""
    refit_gain: float | None = None
    """Share of the live model's MAE there that it saves."""
    refit_gain_low: float | None = None
    cause: Cause | None = None
    inputs_drifted: tuple[str, ...] = ()
    data_faults: tuple[str, ...] = ()
    revises: str | None = None
    """The verdict that this one replaces, because of outcomes or rows that came later: `unknown, decided at 2013-05-02T…`."""

    @classmethod
    def of(cls, use_case_name: str, measurement: Measurement, decision: Decision, *, at: datetime, run_dir: str) -> DecisionRecord:
        measured = {name: value for name, value in vars(measurement).items() if name in cls.__dataclass_fields__}
        return cls(
            use_case=use_case_name,
            action=decision.action,
            reasons=decision.reasons,
            decided_at=at.isoformat(timespec="seconds"),
            run_dir=run_dir,
            **measured,
        )

    def measurement(self) -> Measurement:
        """What it rests on, to be decided on again by another policy."""
        kept = {name: getattr(self, name) for name in Measurement.__dataclass_fields__}
        return Measurement(**kept | {"cause": self.cause or "none"})


def write_decision(record: DecisionRecord) -> None:
    """Keep the decision; that of a partition measured again replaces the earlier one."""
    storage.write_bytes(_decision_uri(record.use_case, record.partition), json.dumps(asdict(record), indent=2).encode())


def read_decisions(use_case_name: str) -> list[DecisionRecord]:
    """Every decision kept, by partition."""
    return [_record(storage.read_bytes(entry.uri)) for entry in storage.list_objects(_folder("decisions", use_case_name) + "/")]


def read_decision(use_case_name: str, partition: str) -> DecisionRecord | None:
    """The partition's decision; None when there is none."""
    try:
        return _record(storage.read_bytes(_decision_uri(use_case_name, partition)))
    except FileNotFoundError:
        return None


def claim_retrain(use_case_name: str, partition: str, *, model_version: str, run_dir: str) -> str:
    """Ask for the retrain in the name of the run `run_dir`, once: gives the run that holds the claim, this one or an earlier one.

    The store lets one of any number of claims through, however close they come, so an event that is delivered fifty times starts one run.
    """
    uri = storage.join(_folder("retrain_requests", use_case_name), f"{partition}.{model_version}.json")
    if storage.create_bytes(uri, json.dumps({"run_dir": run_dir}).encode()):
        return run_dir
    return str(json.loads(storage.read_bytes(uri))["run_dir"])


def _record(content: bytes) -> DecisionRecord:
    values = json.loads(content)
    lists = {name: tuple(entry) for name, entry in values.items() if isinstance(entry, list)}
    return DecisionRecord(**values | lists)


def _decision_uri(use_case_name: str, partition: str) -> str:
    return storage.join(_folder("decisions", use_case_name), f"{partition}.json")


def _folder(kind: str, use_case_name: str) -> str:
    return storage.join(settings().storage_root, kind, use_case_name)
