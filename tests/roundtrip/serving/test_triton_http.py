"""What Triton may do to a connection, by a server that misbehaves on purpose; the real Triton answers in test_gateway_in_a_release.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import numpy as np
import pytest

from roundtrip.serving.gateway.triton_http import NoAnswer, TritonHttp
from roundtrip.serving.tensors import Predictions, Tensors

ONE_ROW: Tensors = {"numbers": np.array([[1.0, 2.0]], dtype=np.float32), "categories": np.array([[3]], dtype=np.int32)}
PREDICTIONS = np.array([[7.0, 8.0, 9.0]], dtype=np.float32)


def answer(status: str = "200 OK", *, described: object = None, content: bytes = PREDICTIONS.tobytes(), more: str = "") -> bytes:
    """An answer as Triton gives it."""
    outputs = {"outputs": [{"name": "predictions", "datatype": "FP32", "shape": [1, 3]}]}
    text = msgspec.json.encode(outputs if described is None else described)
    sizes = f"Inference-Header-Content-Length: {len(text)}\r\nContent-Length: {len(text) + len(content)}\r\n"
    return f"HTTP/1.1 {status}\r\n{sizes}{more}\r\n".encode() + text + content


class Server:
    """Gives the next of its replies to each request: bytes, or None to close the connection without one."""

    def __init__(self, *replies: bytes | None, delay_s: float = 0.0) -> None:
        self.replies = list(replies)
        self.delay_s = delay_s
        self.connections = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                await reader.readexactly(length)
                self.heads.append(head)
                await asyncio.sleep(self.delay_s)
                reply = self.replies.pop(0)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def served_by(server: Server) -> AsyncIterator[TritonHttp]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    triton = TritonHttp(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", "the-key")
    yield triton
    triton.close()
    listening.close()


async def ask(triton: TritonHttp, *, deadline_s: float = 5.0) -> Predictions:
    return await triton.infer("tiny", "1", ONE_ROW, deadline_s=deadline_s, trace=None)


def test_one_connection_serves_one_request_after_the_other() -> None:
    async def ask_thrice() -> Server:
        server = Server(answer(), answer(), answer())
        async with served_by(server) as triton:
            for _ in range(3):
                np.testing.assert_array_equal(await ask(triton), PREDICTIONS)
        return server

    server = asyncio.run(ask_thrice())
    assert server.connections == 1
    assert all(b"admin-key: the-key\r\n" in head and head.startswith(b"POST /v2/models/tiny/versions/1/infer ") for head in server.heads)


@pytest.mark.parametrize(
    ("reply", "reason", "said"),
    [
        (None, "unreachable", "closed the connection"),
        (answer()[:-1], "late", "no answer within 0.200 s"),
        (b"220 mail.example ESMTP\r\n\r\n", "unreachable", "no HTTP"),
        (answer("400 Bad Request", described={"error": "no such version"}, content=b""), "refused", "no such version"),
        (answer("403 Forbidden", described={"error": "restricted"}, content=b""), "refused", "status 403"),
        (answer(described={"outputs": []}), "refused", "can't be read"),
        (answer(described={"outputs": [{"name": "other", "datatype": "FP32", "shape": [1, 3]}]}), "refused", "'other'"),
        (answer(described={"outputs": [{"name": "predictions", "datatype": "FP64", "shape": [1, 3]}]}), "refused", "FP64"),
        (answer(content=PREDICTIONS.tobytes()[:-4]), "refused", "can't be read"),
        (answer(content=PREDICTIONS.tobytes()[:-1]), "refused", "can't be read"),
    ],
)
def test_what_can_t_be_used_is_no_answer_and_the_next_request_is_served(reply: bytes | None, reason: str, said: str) -> None:
    async def ask_twice() -> NoAnswer:
        async with served_by(Server(reply, answer())) as triton:
            with pytest.raises(NoAnswer, match=said) as raised:
                await ask(triton, deadline_s=0.2)
            np.testing.assert_array_equal(await ask(triton), PREDICTIONS)
        return raised.value

    assert asyncio.run(ask_twice()).reason == reason


def test_a_late_answer_is_never_taken_for_the_next_request_s() -> None:
    other = np.array([[-1.0, -1.0, -1.0]], dtype=np.float32)

    async def ask_twice() -> tuple[Predictions, int]:
        server = Server(answer(content=other.tobytes()), answer(), delay_s=0.1)
        async with served_by(server) as triton:
            with pytest.raises(NoAnswer, match="no answer within"):
                await ask(triton, deadline_s=0.05)
            return await ask(triton), server.connections

    found, connections = asyncio.run(ask_twice())
    np.testing.assert_array_equal(found, PREDICTIONS)
    assert connections == 2


def test_a_connection_that_triton_closes_is_not_used_again() -> None:
    async def ask_twice() -> int:
        server = Server(answer(more="Connection: close\r\n"), answer())
        async with served_by(server) as triton:
            await ask(triton)
            await ask(triton)
        return server.connections

    assert asyncio.run(ask_twice()) == 2


def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    async def cancel_and_ask() -> tuple[Predictions, int]:
        server = Server(answer(content=np.zeros(3, dtype=np.float32).tobytes()), answer(), delay_s=0.05)
        async with served_by(server) as triton:
            asking = asyncio.create_task(ask(triton))
            await asyncio.sleep(0.02)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            return await ask(triton), server.connections

    found, connections = asyncio.run(cancel_and_ask())
    np.testing.assert_array_equal(found, PREDICTIONS)
    assert connections == 2
