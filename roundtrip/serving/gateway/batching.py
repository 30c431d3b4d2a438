"""Micro-batching: requests for one version that wait at the same time travel to Triton as one.

There is no timer. A request is sent at once while fewer than CALLS_IN_FLIGHT calls are under way for its version, so an idle
gateway adds nothing; under load the requests that arrive meanwhile go together with the next call. Triton's own dynamic batcher
spares none of what a call costs on either side: at 32 callers this doubles to triples what two cores answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import numpy as np

from roundtrip.serving.gateway.trace_context import TraceContext, current_trace
from roundtrip.serving.gateway.triton_http import NoAnswer
from roundtrip.serving.tensors import Predictions, Tensors
from roundtrip.serving.triton_repository import LARGEST_BATCH

CALLS_IN_FLIGHT = 2
"""Calls under way for one version at most: while Triton works on one, the next is on its way."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one call to Triton carries."""

    tensors: Tensors
    rows: int
    deadline_s: float
    """Seconds from now until the last of its requests gives up."""
    trace: TraceContext | None
    """Of one of its requests, a sampled one where there is one: a call has room for one parent."""


Send = Callable[[Batch], Coroutine[None, None, Predictions]]


@dataclass(slots=True, eq=False)
class _Waiting:
    tensors: Tensors
    rows: int
    until: float
    trace: TraceContext | None
    answer: asyncio.Future[Predictions]


class MicroBatches:
    """The requests that wait for one version."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._calls: set[asyncio.Task[Predictions]] = set()

    async def ask(self, send: Send, tensors: Tensors, *, deadline_s: float) -> Predictions:
        """The rows' answers, from a call that may carry other requests too.

        Raises NoAnswer when that call fails, or when there is no answer within deadline_s. A request that gives up, or is cancelled,
        leaves the call to the others.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(tensors, row_count(tensors), loop.time() + deadline_s, current_trace.get(), loop.create_future())
        timer = loop.call_at(waiting.until, _give_up, waiting.answer, deadline_s)
        self._waiting.append(waiting)
        self._send_waiting(send)
        try:
            return await waiting.answer
        finally:
            timer.cancel()

    def _send_waiting(self, send: Send) -> None:
        while len(self._calls) < CALLS_IN_FLIGHT and (together := self._next()):
            call = asyncio.get_running_loop().create_task(send(_stacked(together)))
            self._calls.add(call)
            call.add_done_callback(lambda ended, together=together: self._settle(together, ended, send))  # type: ignore[misc]

    def _next(self) -> list[_Waiting]:
        """The requests that have waited longest, as many as fit into one call; those that gave up are dropped."""
        together: list[_Waiting] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            if not first.answer.done():
                if together and rows + first.rows > LARGEST_BATCH:
                    break
                together.append(first)
                rows += first.rows
            self._waiting.popleft()
        return together

    def _settle(self, together: list[_Waiting], ended: asyncio.Task[Predictions], send: Send) -> None:
        self._calls.discard(ended)
        start = 0
        for waiting in together:
            end = start + waiting.rows
            if not waiting.answer.done():
                if ended.cancelled():
                    waiting.answer.cancel()
                elif (error := ended.exception()) is not None:
                    waiting.answer.set_exception(error)
                else:
                    waiting.answer.set_result(ended.result()[start:end])
            start = end
        self._send_waiting(send)


def row_count(tensors: Tensors) -> int:
    return len(next(iter(tensors.values())))


def _stacked(together: list[_Waiting]) -> Batch:
    first = together[0]
    tensors = first.tensors
    if len(together) > 1:
        tensors = {name: np.concatenate([waiting.tensors[name] for waiting in together]) for name in tensors}
    traces = [waiting.trace for waiting in together if waiting.trace is not None]
    return Batch(
        tensors=tensors,
        rows=sum(waiting.rows for waiting in together),
        deadline_s=max(waiting.until for waiting in together) - asyncio.get_running_loop().time(),
        trace=next((trace for trace in traces if trace.sampled), traces[0] if traces else None),
    )


def _give_up(answer: asyncio.Future[Predictions], deadline_s: float) -> None:
    if not answer.done():
        answer.set_exception(NoAnswer("late", f"no answer within {deadline_s:.3f} s"))
