"""The access log: a JSON line for each request but the probes'. Who asked, what it got and when; no row, no answer, no key."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

WRITE_S = 0.5
"""Seconds between two writes: what a kill -9 loses of the access log at most. The prediction log loses nothing."""
LARGEST_FILE = 20_000_000
"""Bytes after which a new file is begun, as for the services' logs."""
OLDER_FILES = 2


class Access(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One request. What follows `trace_id` is there when it was about a use case, or was answered with predictions."""

    at: datetime
    method: str
    route: str
    status: int
    seconds: float
    key: str | None
    """Name of the API key; null when none was right."""
    request_id: str
    trace_id: str
    use_case: str | None = None
    version: str | None = None
    served_by: str | None = None
    rows: int | None = None


class AccessLog:
    """Lines wait in memory and are written together in a thread, so that no answer waits for the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[Access] = []
        self._encode = msgspec.json.Encoder().encode
        self._file = RotatingFileHandler(path, maxBytes=LARGEST_FILE, backupCount=OLDER_FILES, delay=True)
        self._writing = threading.Lock()

    def add(self, access: Access) -> None:
        self._waiting.append(access)

    def write(self) -> None:
        """Write what waits."""
        with self._writing:
            waiting, self._waiting = self._waiting, []
            if waiting:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                text = b"\n".join(map(self._encode, waiting)).decode()
                self._file.handle(logging.makeLogRecord({"msg": "%s", "args": (text,)}))

    async def keep_written(self) -> None:
        """Write every WRITE_S, for as long as the gateway runs."""
        while True:
            await asyncio.sleep(WRITE_S)
            await asyncio.to_thread(self.write)
