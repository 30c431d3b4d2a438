"""Alerts: what people are told of without looking. Each says what happened, value and limit, and links its section of docs/operate.md.

Input drift alone is no alert, as it is no retrain: a season would ring every month. Channels: operators/alert_channels.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from airflow.sdk import BaseNotifier

from operators.alert_channels import Message, send
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Figure, Receipt, RunFolder
from roundtrip.contracts.report_addresses import page_address, runbook_address
from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class _Performance(msgspec.Struct):
    mae: float
    baseline_mae: float
    skill: float
    skill_at_release: float | None = None


class _Measured(msgspec.Struct):
    """Of measure_drift's figures."""

    verdict: str
    model_version: str
    outcomes: int
    inputs_broken: list[str] = []
    performance: _Performance | None = None


class _Decided(msgspec.Struct):
    """Of decide_retrain's figures."""

    action: str
    reasons: list[str]
    cause: str | None = None


class VerdictAlert(BaseNotifier):
    """On *Decide on a retrain*, done or skipped: the model decayed, or the month's data is broken."""

    def notify(self, context: Context) -> None:
        folder, partition = _folder(context), context["dag_run"].partition_key or context["params"].get("partition") or ""
        message = message_of_verdict(
            _use_case(context),
            partition,
            measured=_receipt(folder, "measure_drift").figures,
            decided=_receipt(folder, "decide_retrain").figures,
        )
        if message is not None:
            send(_with_run(message, context))


class RollbackAlert(BaseNotifier):
    """On *Roll back*, done: a version was taken out."""

    def notify(self, context: Context) -> None:
        folder = _folder(context)
        by_hand = storage.exists(folder.receipt_uri("find_live_version"))
        asked = str(_receipt(folder, "find_live_version").figures["why"]) if by_hand else ""
        figures = _receipt(folder, "roll_back_release").figures
        send(_with_run(message_of_rollback(_use_case(context), figures, asked=asked), context))


class FailureAlert(BaseNotifier):
    """On every task that fails and is not tried again."""

    def notify(self, context: Context) -> None:
        told = str(context.get("exception") or "see its log")
        task = f"{context['dag_run'].dag_id}, task {context['ti'].task_id}"
        links = {"Runbook": runbook_address("a-task-that-failed"), "Page": page_address(_use_case(context))}
        send(_with_run(Message(title=f"{task} failed", told=told, links=links), context))


def message_of_verdict(use_case: str, partition: str, *, measured: Mapping[str, Figure], decided: Mapping[str, Figure]) -> Message | None:
    """None where the month's verdict is nothing to be told of. `measured`, `decided`: figures of the two receipts."""
    found, decision = msgspec.convert(measured, _Measured), msgspec.convert(decided, _Decided)
    if found.inputs_broken or decision.cause == "bad data":
        anchor, what = "a-month-whose-data-is-broken", "data is broken"
    elif found.verdict == "decayed":
        anchor, what = "a-model-that-decayed", "the model decayed"
    else:
        return None
    asked = "A retrain was asked for." if decision.action == "retrain" else "No retrain was asked for."
    links = {"Runbook": runbook_address(anchor), "Page": page_address(use_case)}
    return Message(title=f"{use_case} {partition}: {what}", told=" ".join([_performance(found), *decision.reasons, asked]), links=links)


def message_of_rollback(use_case: str, figures: Mapping[str, Figure], *, asked: str) -> Message:
    """`figures`: those of roll_back_release's receipt; `asked`: why somebody asked for it, empty where a release failed."""
    serves = f"Version {figures['live_version']} serves." if figures.get("live_version") else "No version serves."
    why = f"Asked for: {asked}." if asked else "A step of its release failed: the run says which one, with value and limit."
    links = {"Runbook": runbook_address("a-version-that-was-rolled-back"), "Page": page_address(use_case)}
    return Message(title=f"{use_case}: version {figures['version']} was rolled back", told=f"{why} {serves}", links=links)


def run_address(dag_id: str, run_id: str) -> str:
    """The run in Airflow's UI."""
    return storage.join(settings().airflow_url, "dags", dag_id, "runs", quote(run_id, safe=""))


def _performance(found: _Measured) -> str:
    figures = found.performance
    if figures is None:
        return f"Version {found.model_version}, {found.outcomes:,} outcomes."
    released = "" if figures.skill_at_release is None else f" ({figures.skill_at_release:.3f} at its release)"
    return (
        f"Version {found.model_version}: MAE {figures.mae:.2f}, baseline {figures.baseline_mae:.2f}, skill {figures.skill:.3f}{released}, "
        f"on {found.outcomes:,} outcomes."
    )


def _with_run(message: Message, context: Context) -> Message:
    run = {"Run": run_address(context["dag_run"].dag_id, context["dag_run"].run_id)}
    return Message(title=message.title, told=message.told, links={**message.links, **run})


def _use_case(context: Context) -> str:
    return context["dag_run"].dag_id.partition(".")[0]


def _folder(context: Context) -> RunFolder:
    return RunFolder.of(context["dag_run"].dag_id, context["dag_run"].run_id)


def _receipt(folder: RunFolder, job: str) -> Receipt:
    """Whatever it says: a decision not to retrain is a receipt that says no."""
    return Receipt.from_json(storage.read_bytes(folder.receipt_uri(job)))
