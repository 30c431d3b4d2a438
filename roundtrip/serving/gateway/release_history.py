"""What GET /v1/models shows: the release documents that this gateway stands at, and their history from PostgreSQL."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.serving.gateway.problems import Problem
from roundtrip.serving.release import HistoryEntry, Release, history

SHOWN = 100
"""Changes of a release document that one answer shows, the newest first."""
DEADLINE_S = 2.0
"""Seconds that PostgreSQL has for a history."""


def shown(release: Release) -> dict[str, object]:
    """The document with what names its row."""
    return {"use_case": release.use_case, "generation": release.generation, **release.to_document()}


class ReleaseHistory:
    """Reads one history at a time, in a thread of its own: a PostgreSQL that hangs takes no thread from the fallback's."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="release-history")

    async def read(self, use_case: str) -> list[dict[str, object]]:
        """The last changes, the newest first: who, when and why. Raises Problem 503 when PostgreSQL does not answer in time."""
        reading = asyncio.get_running_loop().run_in_executor(self._thread, history, use_case)
        try:
            entries: list[HistoryEntry] = await asyncio.wait_for(reading, DEADLINE_S)
        except (ServiceUnavailable, TimeoutError) as error:
            detail = f"PostgreSQL gave no history of {use_case} within {DEADLINE_S:.0f} s: {error or 'it hangs'}"
            raise Problem(503, f"{detail}. GET /v1/models shows the releases without it.", headers={"Retry-After": "10"}) from error
        return [asdict(entry) for entry in entries[-SHOWN:][::-1]]

    def close(self) -> None:
        """Read no more; a thread that still waits for PostgreSQL is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)
