"""Asks Triton for predictions over HTTP: KServe's v2 protocol with binary tensors, on connections that stay open.

gRPC's asyncio client takes 0.42 CPU ms of this process for a call and the call 1.3 ms, aiohttp as much; this takes 0.07 and 0.6 (a row,
two cores). httptools parses, which uvicorn stands on.
"""

from __future__ import annotations

import asyncio
from typing import Literal, cast
from urllib.parse import urlsplit

import httptools
import msgspec
import numpy as np

from roundtrip.serving.gateway.trace_context import TraceContext
from roundtrip.serving.tensors import OUTPUT, Predictions, Tensors

ADMIN_HEADER = "admin-key"
Reason = Literal["away", "unreachable", "late", "refused"]
_SIZE_OF_JSON = b"inference-header-content-length"
_SAID = 300
"""Characters of a refusal that are handed on."""


class NoAnswer(Exception):
    """Triton gave no answer that can be used: it was not asked (away), not reached, too late, or it refused."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _Described(msgspec.Struct):
    """The JSON before the binary tensors of an answer."""

    outputs: list[_Output]


_described = msgspec.json.Decoder(_Described).decode


class TritonHttp:
    """Triton at an address, as many connections as calls are under way at the same time."""

    def __init__(self, url: str, admin_key: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._headers = f"Host: {address.netloc}\r\nContent-Type: application/octet-stream\r\n{ADMIN_HEADER}: {admin_key}\r\n"
        self._idle: list[_Connection] = []

    async def infer(self, model: str, version: str, tensors: Tensors, *, deadline_s: float, trace: TraceContext | None) -> Predictions:
        """The version's predictions, float32 [n, outputs], within the deadline; raises NoAnswer when there are none.

        The version is always named: a request without one would move to the newest by itself.
        """
        request = self._request(f"/v2/models/{model}/versions/{version}/infer", tensors, trace)
        connection = None
        try:
            async with asyncio.timeout(deadline_s):
                connection = self._take_idle() or await self._connect()
                answer = await connection.ask(request)
        except TimeoutError:
            raise NoAnswer("late", f"no answer within {deadline_s:.3f} s") from None
        except OSError as error:
            raise NoAnswer("unreachable", f"{self._host}:{self._port}: {error}") from error
        finally:
            if connection is not None and not connection.is_waiting:
                self._idle.append(connection)
            elif connection is not None:
                connection.drop()  # its answer, should it still come, must not be taken for the next one's
        return _predictions(*answer)

    def close(self) -> None:
        """Close the connections that nobody waits on."""
        for connection in self._idle:
            connection.drop()

    def _request(self, path: str, tensors: Tensors, trace: TraceContext | None) -> bytes:
        inputs, contents = [], []
        for name, array in tensors.items():
            content = array.tobytes()
            datatype = "FP32" if array.dtype == np.float32 else "INT32"
            inputs.append({"name": name, "shape": array.shape, "datatype": datatype, "parameters": {"binary_data_size": len(content)}})
            contents.append(content)
        described = msgspec.json.encode({"inputs": inputs, "outputs": [{"name": OUTPUT, "parameters": {"binary_data": True}}]})
        traced = "".join(f"{name}: {value}\r\n" for name, value in trace.headers) if trace is not None else ""
        sizes = f"Inference-Header-Content-Length: {len(described)}\r\nContent-Length: {len(described) + sum(map(len, contents))}\r\n"
        head = f"POST {path} HTTP/1.1\r\n{self._headers}{traced}{sizes}\r\n".encode()
        return b"".join((head, described, *contents))

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection


class _Connection(asyncio.Protocol):
    """One request at a time. httptools calls the methods on_…"""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes, int]] | None = None
        self._body = bytearray()
        self._size_of_json = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_waiting(self) -> bool:
        """Whether the answer to the last request has not come whole."""
        return self._answer is not None

    async def ask(self, request: bytes) -> tuple[int, bytes, int]:
        """Status, body and the bytes of it that are JSON; raises ConnectionError when the connection is lost first."""
        assert self._transport is not None  # made by create_connection
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("it closed the connection"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.connection_lost(ConnectionAbortedError(f"what it sent is no HTTP: {error}"))
            self.drop()

    def on_message_begin(self) -> None:
        self._body, self._size_of_json = bytearray(), 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _SIZE_OF_JSON:
            self._size_of_json = int(value)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if not self._parser.should_keep_alive() or answer is None:
            self.drop()
        if answer is not None and not answer.done():
            answer.set_result((self._parser.get_status_code(), bytes(self._body), self._size_of_json))


def _predictions(status: int, body: bytes, size_of_json: int) -> Predictions:
    if status != 200:
        raise NoAnswer("refused", f"status {status}: {body[:_SAID].decode(errors='replace')}")
    try:
        (output,) = _described(body[:size_of_json]).outputs
        if (output.name, output.datatype) != (OUTPUT, "FP32"):
            raise ValueError(f"the answer is {output.name!r} in {output.datatype}, not {OUTPUT!r} in FP32")
        return np.frombuffer(body, dtype=np.float32, offset=size_of_json).reshape(output.shape)
    except ValueError as error:  # of msgspec, of numpy, or of the line above
        raise NoAnswer("refused", f"its answer can't be read: {error}") from error
