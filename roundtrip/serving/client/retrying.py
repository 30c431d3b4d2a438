"""When to try again, and until when: full jitter, what the gateway asks for, and one deadline over all."""

from __future__ import annotations

import time
from typing import TypeVar

from tenacity import BaseRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential
from tenacity.wait import wait_base

from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.serving.client.answers import Unanswered
from roundtrip.serving.http_headers import DEADLINE

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
"""Waits are even between 0 and a bound, which begins with the first of these and doubles up to the second."""

Tries = TypeVar("Tries", bound=BaseRetrying)


class Deadline:
    """The end of one call, with all its requests, tries and waits."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left; a millisecond at least, for httpx takes 0 as none."""
        return max(0.001, self._ends - time.monotonic())

    def header(self) -> dict[str, str]:
        return {DEADLINE: str(max(1, round(1000 * self.left_s)))}

    def comes_first(self, state: RetryCallState) -> bool:
        """Whether it passes before the next try would be made."""
        return time.monotonic() + state.upcoming_sleep >= self._ends


class _AskedFor(wait_base):
    """Seconds that the gateway asked to wait, to which the jitter is added: those who were told the same must not come back at once."""

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = retry_state.outcome.exception() if retry_state.outcome else None
        return failure.retry_after_s if isinstance(failure, Unanswered) else 0.0


def tries(kind: type[Tries], deadline: Deadline) -> Tries:
    """A tenacity retrying of that kind: what is Unanswered is tried again until the deadline, then raised."""
    return kind(
        retry=retry_if_exception_type(Unanswered),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S) + _AskedFor(),
        stop=deadline.comes_first,
        reraise=True,
    )


def gave_up(address: str, deadline: Deadline, last: Unanswered) -> ServiceUnavailable:
    """The error of a call whose last try before the deadline was in vain."""
    asked = f" It asks to wait {last.retry_after_s:g} s: give the call a later deadline." if last.retry_after_s else ""
    return ServiceUnavailable(
        f"the gateway at {address} gave no answer within the deadline of {deadline.seconds:g} s. The last try: {last}.{asked} "
        "See `roundtrip status`."
    )
