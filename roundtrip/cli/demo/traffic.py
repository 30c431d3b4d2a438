"""Requests to the gateway while all else happens: a steady trickle, and a sample of each month's rows. Counted, and kept on disk."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import httpx
import msgspec

Row = Mapping[str, float | int | str | None]

REQUESTS_PER_S = 30.0
"""The trickle: enough that a gap of 50 ms in serving shows, and under 2 % of what the gateway can answer."""
SAMPLE_THREADS = 4
"""Requests of a sample that are under way at once."""
FLUSH_S = 2.0
"""Seconds between two writes of the counts: what a kill -9 can lose of them."""
ANSWER_WITHIN_S = 10.0
"""Seconds after which a request counts as failed."""


class Counted(msgspec.Struct, kw_only=True):
    """One line of the record: what was sent since the line before. `month` says whose sample is complete with it."""

    at: str
    sent: int = 0
    failed: int = 0
    answers: dict[str, int] = {}
    failure: str = ""
    month: str = ""


_counted = msgspec.json.Decoder(Counted).decode


@dataclass
class Counts:
    """Requests since the demo first ran on this stack."""

    sent: int = 0
    failed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Model version → answers it gave."""
    first_failure: str = ""
    months: set[str] = field(default_factory=set)
    """Months whose sample was sent."""

    def add(self, line: Counted) -> None:
        self.sent += line.sent
        self.failed += line.failed
        self.answers.update(line.answers)
        self.first_failure = self.first_failure or line.failure
        self.months.update([line.month] if line.month else [])


def recorded_counts(record: Path) -> Counts:
    """The counts of every earlier run of the demo; a line cut off by a kill is left out."""
    counts = Counts()
    for line in record.read_bytes().splitlines() if record.exists() else []:
        try:
            counts.add(_counted(line))
        except msgspec.DecodeError:
            continue
    return counts


class Traffic:
    """Sends requests until it is closed: `with Traffic(...) as traffic: traffic.trickle(rows)`."""

    def __init__(self, *, url: str, key: str, use_case_name: str, record: Path) -> None:
        self._address = f"{url.rstrip('/')}/v1/models/{use_case_name}:predict"
        self._ready = f"{url.rstrip('/')}/v2/models/{use_case_name}/ready"
        self._client = httpx.Client(headers={"X-API-Key": key}, timeout=ANSWER_WITHIN_S)
        self._record = record
        self.counts = recorded_counts(record)
        self._unwritten = Counted(at="")
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._rows: itertools.cycle[Row] | None = None
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in (self._keep_trickling, self._keep_writing)]

    def __enter__(self) -> Traffic:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def can_be_answered(self) -> bool:
        """Whether the gateway has a live version of the use case by now: a request before that is no failure of serving."""
        try:
            return self._client.get(self._ready).is_success
        except httpx.HTTPError:
            return False

    def trickle(self, rows: Sequence[Row]) -> None:
        """From now on ask about these rows, over and over, REQUESTS_PER_S times a second."""
        self._rows = itertools.cycle(rows)

    def send_sample(self, month: str, rows: Sequence[Row]) -> None:
        """Ask about each of these rows once, and note that the month's sample is complete."""
        with ThreadPoolExecutor(SAMPLE_THREADS) as pool:
            list(pool.map(self._ask, rows))
        self._count(month=month)
        self._write()

    def _ask(self, row: Row) -> None:
        try:
            answer = self._client.post(self._address, json={"instances": [row]})
            answer.raise_for_status()
            self._count(sent=1, version=str(answer.json()["model_version"]))
        except (httpx.HTTPError, KeyError, ValueError) as error:
            said = error.response.text[:300] if isinstance(error, httpx.HTTPStatusError) else ""
            self._count(sent=1, failure=f"{type(error).__name__}: {error} {said}".strip())

    def _count(self, *, sent: int = 0, version: str = "", failure: str = "", month: str = "") -> None:
        line = Counted(at="", sent=sent, failed=int(bool(failure)), answers={version: 1} if version else {}, failure=failure, month=month)
        with self._lock:
            self.counts.add(line)
            waiting = self._unwritten
            self._unwritten = Counted(
                at="",
                sent=waiting.sent + line.sent,
                failed=waiting.failed + line.failed,
                answers=dict(Counter(waiting.answers) + Counter(line.answers)),
                failure=waiting.failure or failure,
                month=waiting.month or month,
            )

    def _keep_trickling(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / REQUESTS_PER_S, time.monotonic() - 1)
            if self._rows is not None:
                self._ask(next(self._rows))

    def _keep_writing(self) -> None:
        while not self._stopped.wait(FLUSH_S):
            self._write()
        self._write()

    def _write(self) -> None:
        with self._lock:
            line, self._unwritten = self._unwritten, Counted(at="")
            if line.sent or line.month:
                line.at = datetime.now(UTC).isoformat(timespec="seconds")
                with self._record.open("ab") as record:
                    record.write(msgspec.json.encode(line) + b"\n")
