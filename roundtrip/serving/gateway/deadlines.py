"""The moment by which a caller wants its answer. It bounds what is done for the request: the call to Triton and the fallback."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from starlette.requests import Request

from roundtrip.serving.gateway.problems import Problem
from roundtrip.serving.http_headers import DEADLINE

LONGEST_MS = 9_999_999
_MILLISECONDS = re.compile(r"[1-9][0-9]{0,6}")

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""On time.monotonic()'s clock; none when the caller named none, and in the background tasks."""

T = TypeVar("T")


def take_over_deadline(request: Request) -> None:
    """Hold the request to its caller's deadline, counted from its arrival; raises Problem 400 for a header that is no such number."""
    given = request.headers.get(DEADLINE)
    if given is None:
        return
    if not _MILLISECONDS.fullmatch(given):
        raise Problem(400, f"{DEADLINE} is {given[:40]!r}: send whole milliseconds from 1 to {LONGEST_MS}, or leave it out.")
    _deadline.set(request.state.arrived + int(given) / 1000)


def seconds_left() -> float | None:
    """Seconds until the caller's deadline, None without one; raises Problem 504 when it has passed."""
    deadline = _deadline.get()
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise _too_late()
    return left


async def in_time(work: Callable[[], Awaitable[T]]) -> T:
    """The result of `work`; raises Problem 504 when the caller's deadline passes first."""
    left = seconds_left()
    try:
        async with asyncio.timeout(left):
            return await work()
    except TimeoutError:
        raise _too_late() from None


def _too_late() -> Problem:
    return Problem(504, f"no answer within the milliseconds of {DEADLINE}: allow more, or ask with fewer rows.")
