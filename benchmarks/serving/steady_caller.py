"""Callers in a process of their own, at a constant rate, that write down every request: `python -m benchmarks.serving.steady_caller FILE`.

Reads Calls as JSON from stdin (so that no key is in an argument) and appends one Called a request to FILE as a JSON line, until SIGTERM.
Most are asked once and never again; a few beside them by roundtrip.serving.client, which tries again until its deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.serving.load_client import HttpConnection, Load
from roundtrip.contracts.errors import RoundtripError
from roundtrip.serving.client import AsyncClient

OK = 200
LONGEST_ERROR = 160
"""Characters of what an answer that is no success says."""
IDLE_S = 3.0
"""Seconds after which a free connection is not used again: the gateway closes it after five, perhaps just when a request is on its way."""


class Calls(msgspec.Struct, kw_only=True):
    """What to send."""

    gateway_url: str
    gateway_key: str
    use_case: str
    rows: list[dict[str, float | str | None]]
    """Taken in turn, one a request."""
    rate: float
    """Requests a second, sent whether or not earlier ones are answered, each once."""
    client_rate: float
    """The same of the client that tries again."""
    timeout_s: float
    """Seconds after which an answer is no good any more."""


class Called(msgspec.Struct, kw_only=True):
    """One request and what came of it."""

    due: float
    """When it was to be sent, in seconds since 1970."""
    late_ms: float
    """By how much the caller itself was late."""
    milliseconds: float
    """From `due` to the answer or the failure."""
    row: int
    """Place of its row."""
    tries_again: bool
    status: int = 0
    """0: no answer."""
    version: str = ""
    served_by: str = ""
    outputs: list[float] = []
    error: str = ""

    @property
    def ended(self) -> float:
        return self.due + self.milliseconds / 1000

    @property
    def good(self) -> bool:
        return self.status == OK


Asked = Callable[[int], Awaitable[dict[str, Any]]]
"""Row's place → the fields of Called that its answer gives."""


class KeptConnection(HttpConnection):
    """Keeps what it received, and knows when it is closed."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self.received = bytearray()
        self.closed = False
        self.used_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self._answered is not None and not self._answered.done():
            self.received += data
            super().data_received(data)
        elif self._transport is not None:
            self._transport.close()  # nobody waits any more for this answer

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        super().connection_lost(error)

    def can_be_used(self) -> bool:
        """Whether a request may go over it; closes one that was free for too long."""
        if not self.closed and time.monotonic() - self.used_at < IDLE_S:
            return True
        if self._transport is not None:
            self._transport.close()
        return False

    async def answer(self, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self.received.clear()
        await self.ask(body)
        self.used_at = time.monotonic()
        head, _, content = bytes(self.received).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), content


class BareCaller:
    """Asks once, on a connection that is free, else on a new one."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        url = f"{calls.gateway_url}/v1/models/{calls.use_case}:predict"
        self._load = Load(url=url, headers={"X-API-Key": calls.gateway_key}, bodies=[], concurrency=1, seconds=0)
        self._bodies = [msgspec.json.encode({"instances": [row]}) for row in calls.rows]
        self._free: list[KeptConnection] = []

    async def ask(self, row: int) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._calls.timeout_s):
                connection = await self._connected()
                status, content = await connection.answer(self._bodies[row])
        except (OSError, TimeoutError) as error:
            return {"error": type(error).__name__}
        self._free.append(connection)
        if status != OK:
            return {"status": status, "error": content.decode(errors="replace")[:LONGEST_ERROR]}
        said = msgspec.json.decode(content)
        (prediction,) = said["predictions"]
        return {
            "status": status,
            "version": said["model_version"],
            "served_by": said["served_by"],
            "outputs": list(prediction.values()),
        }

    async def _connected(self) -> KeptConnection:
        while self._free:
            if (connection := self._free.pop()).can_be_used():
                return connection
        address = urlsplit(self._load.url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        _, connection = await asyncio.get_running_loop().create_connection(lambda: KeptConnection(self._load), host, port)
        return connection


class PatientCaller:
    """Asks as the project's client does."""

    def __init__(self, calls: Calls) -> None:
        self._rows = calls.rows
        self._client = AsyncClient(calls.use_case, url=calls.gateway_url, key=calls.gateway_key, deadline_s=calls.timeout_s)

    async def ask(self, row: int) -> dict[str, Any]:
        try:
            answer = await self._client.predict([self._rows[row]])
        except RoundtripError as error:
            return {"error": str(error)[:LONGEST_ERROR]}
        (prediction,) = answer.predictions
        return {
            "status": OK,
            "version": prediction.model_version,
            "served_by": prediction.served_by,
            "outputs": list(prediction.values.values()),
        }


async def keep_calling(ask: Asked, rate: float, rows: int, write: Callable[[Called], None], *, tries_again: bool) -> None:
    """Send requests until this task is cancelled; those under way are waited for."""
    under_way: set[asyncio.Task[None]] = set()

    async def timed(due: float, row: int) -> None:
        late_s = time.time() - due
        said = await ask(row)
        took_s = time.time() - due
        write(Called(due=due, late_ms=1000 * late_s, milliseconds=1000 * took_s, row=row, tries_again=tries_again, **said))

    begun, number = time.time(), 0
    try:
        while True:
            due = begun + number / rate
            await asyncio.sleep(due - time.time())
            asking = asyncio.create_task(timed(due, number % rows))
            under_way.add(asking)
            asking.add_done_callback(under_way.discard)
            number += 1
    finally:
        await asyncio.gather(*under_way)


async def call_until_stopped(calls: Calls, place: Path) -> None:
    with place.open("ab") as file:

        def write(called: Called) -> None:
            file.write(msgspec.json.encode(called) + b"\n")

        bare, patient = BareCaller(calls), PatientCaller(calls)
        tasks = [
            asyncio.create_task(keep_calling(bare.ask, calls.rate, len(calls.rows), write, tries_again=False)),
            asyncio.create_task(keep_calling(patient.ask, calls.client_rate, len(calls.rows), write, tries_again=True)),
        ]
        calling = asyncio.gather(*tasks)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, calling.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await calling
        await asyncio.wait(tasks)


def main() -> None:
    calls = msgspec.json.decode(sys.stdin.buffer.read(), type=Calls)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call_until_stopped(calls, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
