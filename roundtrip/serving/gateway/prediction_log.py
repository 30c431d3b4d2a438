"""The prediction log: every prediction as one JSON line, first in a local spool, then as files in the store.

A line is written to the spool before its answer is sent, so a killed gateway loses none (fsync follows within a second, against a
loss of power). A segment is closed after a few seconds, uploaded to `<storage root>/prediction_log/<use case>/<segment>.jsonl`
and removed here only then; its name is unique, so an upload that is repeated writes the same object again. Files, not Delta:
only the Spark server writes tables.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from roundtrip.contracts import storage
from roundtrip.serving.gateway.metrics import Metrics

log = logging.getLogger(__name__)

FLUSH_S = 1.0
"""Seconds between two fsyncs of the spool."""
SEGMENT_S = 5.0
"""Seconds after which a segment with lines is closed and uploaded."""


class PredictionLog:
    """The spool folder and its uploads. `append` and `close_segments` belong to one thread."""

    def __init__(self, spool: Path, storage_root: str, metrics: Metrics) -> None:
        """Segments that a former process left open are closed: they go up with the first upload."""
        self._spool = spool
        self._storage_root = storage_root
        self._metrics = metrics
        self._open: dict[str, tuple[Path, int]] = {}
        self._flushing, self._uploading = threading.Lock(), threading.Lock()
        for left in spool.glob("*/*.open"):
            _close(left)

    def append(self, use_case: str, lines: bytes) -> None:
        """Write whole lines to the open segment of the use case."""
        try:
            os.write(self._descriptor(use_case), lines)
        except OSError:
            self._metrics.log_lost.inc(lines.count(b"\n"))
            log.exception("could not write to the spool %s: free its disk; these predictions are missing from the log", self._spool)

    def flush(self) -> None:
        """Force what was written down to the disk; may run in another thread."""
        with self._flushing:
            for _, descriptor in list(self._open.values()):
                os.fsync(descriptor)

    def close_segments(self) -> None:
        """Close the open segments, so that they can be uploaded; the next append opens new ones."""
        with self._flushing:
            while self._open:
                _, (path, descriptor) = self._open.popitem()
                os.close(descriptor)
                _close(path)

    def upload(self) -> None:
        """Upload every closed segment and remove it here. One that can't be uploaded stays for the next time."""
        with self._uploading:
            self._upload_closed()

    def _upload_closed(self) -> None:
        waiting = sorted(self._spool.glob("*/*.jsonl"))
        for place, path in enumerate(waiting):
            self._metrics.log_waiting.set(len(waiting) - place)
            uri = storage.join(self._storage_root, "prediction_log", path.parent.name, path.name)
            try:
                storage.write_bytes(uri, path.read_bytes())
            except (BotoCoreError, ClientError, OSError) as error:
                log.warning("%d segments of the prediction log wait in %s: %s", len(waiting) - place, self._spool, error)
                return
            path.unlink()
        self._metrics.log_waiting.set(0)

    async def keep_flushed(self) -> None:
        """Flush every FLUSH_S and close segments every SEGMENT_S, for as long as the gateway runs."""
        flushes = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            flushes += 1
            await asyncio.to_thread(self.flush)
            if flushes * FLUSH_S >= SEGMENT_S:
                flushes = 0
                self.close_segments()

    async def keep_uploaded(self) -> None:
        """Upload what is closed every second, for as long as the gateway runs; a store that is away is asked again."""
        while True:
            await asyncio.to_thread(self.upload)
            await asyncio.sleep(FLUSH_S)

    def _descriptor(self, use_case: str) -> int:
        if use_case not in self._open:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            path = self._spool / use_case / f"{stamp}-{secrets.token_hex(8)}.open"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[use_case] = path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._open[use_case][1]


def _close(path: Path) -> None:
    """`….open` → `….jsonl`; a last line that its process did not finish is cut off, an empty segment removed."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        path.unlink()
        return
    if len(whole) < len(content):
        path.write_bytes(whole)
    path.rename(path.with_suffix(".jsonl"))
