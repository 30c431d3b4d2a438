"""A load generator in a process of its own: reads a Load as JSON from stdin (so that no key is in an argument), prints a Measured.

`python -m benchmarks.serving.load_client`. HTTP/1.1 is spoken by hand over kept-alive connections, on uvloop: a general client would take
more of the two cores than what it measures. What it takes itself is in the result.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, cast
from urllib.parse import urlsplit

import grpc
import msgspec
import numpy as np
import uvloop
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Load(msgspec.Struct, kw_only=True):
    """What to send. `bodies` are taken in turn, in base64."""

    url: str
    """http://host:port/path, or grpc://host:port for a v2 ModelInfer of protobuf bodies."""
    headers: dict[str, str] = {}
    bodies: list[str]
    concurrency: int
    """Requests under way at most, each on a connection of its own."""
    rate: float | None = None
    """Requests a second, sent whether or not earlier ones are answered; None: the next one as soon as one is answered."""
    seconds: float
    warm_up_s: float = 1.0
    """Seconds before that, which are not counted."""


class Measured(msgspec.Struct, kw_only=True):
    """What was answered. Latencies in milliseconds, with a rate from the moment at which the request was due."""

    sent: int
    """With those of the warm-up; the other figures are without."""
    requests: int
    failed: int
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    client_cpu_ms_per_request: float
    client_cores: float
    """Of a core, on average."""


class Connection(Protocol):
    """Sends a body, and says whether the answer was a success."""

    async def ask(self, body: bytes) -> bool: ...


class HttpConnection(asyncio.Protocol):
    """One kept-alive connection with one request at a time."""

    def __init__(self, load: Load) -> None:
        address = urlsplit(load.url)
        named = {"Host": address.netloc, "Content-Type": "application/json", **load.headers}
        self._head = f"POST {address.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._received = bytearray()
        self._answered: asyncio.Future[bool] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0 or self._answered is None:
            return
        head = bytes(self._received[:head_end]).lower()
        start = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[start:].split(b"\r\n", 1)[0])
        if len(self._received) >= head_end + 4 + length:
            self._received.clear()
            self._answered.set_result(head.startswith(b"http/1.1 200"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError("the server closed the connection"))

    async def ask(self, body: bytes) -> bool:
        assert self._transport is not None  # made by create_connection
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return await self._answered


class GrpcConnection:
    """One channel with one request at a time."""

    def __init__(self, load: Load) -> None:
        channel = grpc.aio.insecure_channel(urlsplit(load.url).netloc, options=[("grpc.use_local_subchannel_pool", 1)])
        self._headers = tuple(load.headers.items())
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

    async def ask(self, body: bytes) -> bool:
        answer = await self._stub.ModelInfer(service_pb2.ModelInferRequest.FromString(body), metadata=self._headers)
        return len(answer.raw_output_contents) == 1


class Recorder:
    """Latencies of what ended after the warm-up."""

    def __init__(self, counted_from: float) -> None:
        self.counted_from = counted_from
        self.latencies_s: list[float] = []
        self.sent = self.failed = 0

    async def timed(self, due: float, asking: Awaitable[bool]) -> None:
        try:
            succeeded = await asking
        except (OSError, grpc.aio.AioRpcError):
            succeeded = False
        ended = time.perf_counter()
        self.sent += 1
        if due >= self.counted_from:
            self.latencies_s.append(ended - due)
            self.failed += not succeeded


async def measure(load: Load) -> Measured:
    """Send the load, and measure what comes back after the warm-up."""
    connections = [await connected(load) for _ in range(load.concurrency)]
    bodies = itertools.cycle([base64.b64decode(body) for body in load.bodies])
    started = time.perf_counter()
    recorder, until = Recorder(started + load.warm_up_s), started + load.warm_up_s + load.seconds
    cpu_at_start = asyncio.create_task(cpu_after(load.warm_up_s))
    send: Callable[..., Awaitable[None]] = keep_busy if load.rate is None else keep_rate
    await send(load, connections, bodies, recorder, until)
    seconds, cpu_s = time.perf_counter() - recorder.counted_from, time.process_time() - await cpu_at_start
    count = len(recorder.latencies_s)
    p50, p95, p99 = (1000 * np.percentile(recorder.latencies_s, [50, 95, 99])).tolist()
    return Measured(
        sent=recorder.sent, requests=count, failed=recorder.failed, requests_per_s=round(count / seconds, 1),
        p50_ms=round(p50, 3), p95_ms=round(p95, 3), p99_ms=round(p99, 3),
        client_cpu_ms_per_request=round(1000 * cpu_s / count, 4), client_cores=round(cpu_s / seconds, 3),
    )  # fmt: skip


async def connected(load: Load) -> Connection:
    address = urlsplit(load.url)
    if address.scheme == "grpc":
        return GrpcConnection(load)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: HttpConnection(load), address.hostname or "127.0.0.1", address.port or 80)
    return connection


async def keep_busy(load: Load, connections: list[Connection], bodies: Iterator[bytes], recorder: Recorder, until: float) -> None:
    """A request on every connection, the next one as soon as it is answered."""

    async def repeat(connection: Connection) -> None:
        while (now := time.perf_counter()) < until:
            await recorder.timed(now, connection.ask(next(bodies)))

    await asyncio.gather(*map(repeat, connections))


async def keep_rate(load: Load, connections: list[Connection], bodies: Iterator[bytes], recorder: Recorder, until: float) -> None:
    """A request every 1/rate seconds, on the connection that has been free the longest; it waits, and that counts, when none is."""
    assert load.rate is not None  # or keep_busy would send
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def ask_when_free(body: bytes) -> bool:
        connection = await free.get()
        try:
            return await connection.ask(body)
        finally:
            free.put_nowait(connection)

    due, under_way = time.perf_counter(), set()
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asking = asyncio.create_task(recorder.timed(due, ask_when_free(next(bodies))))
        under_way.add(asking)
        asking.add_done_callback(under_way.discard)
        due += 1 / load.rate
    await asyncio.gather(*under_way)


async def cpu_after(seconds: float) -> float:
    """CPU seconds of this process at that time from now."""
    await asyncio.sleep(seconds)
    return time.process_time()


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(measure(load))))


if __name__ == "__main__":
    main()
