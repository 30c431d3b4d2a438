"""What the governor must know of the past: the live version, earlier decisions, runs in flight, and what is wrong with the data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.receipts import Receipt
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.monitoring.decisions import read_decisions
from roundtrip.monitoring.governor import History
from roundtrip.monitoring.reference import trained_through
from roundtrip.serving.release import live_version

IN_FLIGHT_AT_MOST = timedelta(hours=26)
"""A train run whose last receipt is older than this has been given up: nothing waits for it any more. A tuning may take 24 h."""
RETRIED_WITHIN = timedelta(hours=1)
"""A failed job that Airflow tries again has left a new receipt by then."""
LAST_JOBS = ("promote_release", "roll_back_release")
"""Jobs with which a train run ends."""


def read_history(use_case: UseCase, partition: str, *, version: str, now: datetime) -> History:
    """The history as a decision on `partition` needs it, in which `version` was measured."""
    live = live_version(use_case.name)
    others = [record for record in read_decisions(use_case.name) if record.partition != partition]
    return History(
        live_version=live,
        trained_through=trained_through(use_case.name, live) if live else None,
        retrains_asked=tuple(record.partition for record in others if record.action == "retrain"),
        decayed=tuple(record.partition for record in others if record.verdict == "decayed" and record.model_version == version),
        run_in_flight=run_in_flight(use_case.name, now=now),
    )


def run_in_flight(use_case_name: str, *, now: datetime) -> str | None:
    """The run folder's name of a train run that has begun and not ended; None when there is none.

    A run has ended when its last job got done, when a job's answer was no, or when a job failed and is not tried again.
    """
    runs = _runs_uri(f"{use_case_name}.train_and_release")
    receipts: dict[str, list[Receipt]] = {}
    for entry in storage.list_objects(runs):
        name, _, file = entry.uri.removeprefix(runs).partition("/")
        if file.startswith("receipts/"):
            receipts.setdefault(name, []).append(Receipt.from_json(storage.read_bytes(entry.uri)))
    return next((name for name, left in receipts.items() if _is_under_way(left, now)), None)


def failed_builds(use_case: UseCase, partition: str) -> tuple[str, ...]:
    """The partition's tables that failed (checks, row contract) when they were last built, a sentence each."""
    return tuple(
        f"Table {receipt.part.partition('.')[0]} failed when it was last built: {receipt.reason}"
        for receipt in _last_builds(use_case, partition)
        if receipt.answer == "failed"
    )


def _last_builds(use_case: UseCase, partition: str) -> Iterator[Receipt]:
    """The newest build_table receipt of each table of the partition."""
    newest: dict[str, Receipt] = {}
    for feed in use_case.feeds:
        for entry in storage.list_objects(_runs_uri(f"{use_case.name}.{feed.dag}")):
            if "/receipts/build_table." in entry.uri and entry.uri.endswith(f".{partition}.json"):
                receipt = Receipt.from_json(storage.read_bytes(entry.uri))
                newest[receipt.part] = max(receipt, newest.get(receipt.part, receipt), key=lambda each: each.started_at)
    yield from newest.values()


def _is_under_way(receipts: list[Receipt], now: datetime) -> bool:
    if any(receipt.answer == "no" or (receipt.job in LAST_JOBS and receipt.answer == "done") for receipt in receipts):
        return False
    last = max(receipts, key=lambda receipt: receipt.started_at)
    if last.exit_code == BadRequest.exit_code:
        return False
    ended = datetime.fromisoformat(last.started_at) + timedelta(seconds=last.seconds)
    return now - ended < (RETRIED_WITHIN if last.answer == "failed" else IN_FLIGHT_AT_MOST)


def _runs_uri(dag_id: str) -> str:
    return storage.join(settings().storage_root, "runs", dag_id) + "/"
