"""The event 'a marker lies in the landing zone', for the AssetWatcher that starts an ingest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings

MARKER = "_READY"


class LandingMarkerTrigger(BaseEventTrigger):
    """Fires once for every `_READY` marker of a feed that it hasn't seen; the payload names the partition and the marker.

    It only looks: find_new_files claims the markers. After a restart it fires again for those not claimed yet, and the
    ingest that finds nothing new ends as skipped.
    """

    def __init__(self, use_case: str, feed: str, look_again_s: float = 2.0) -> None:
        super().__init__()
        self.use_case = use_case
        self.feed = feed
        self.look_again_s = look_again_s

    def serialize(self) -> tuple[str, dict[str, str | float]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"use_case": self.use_case, "feed": self.feed, "look_again_s": self.look_again_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Looks forever. A storage that is away is looked for again: a trigger that fails would stay away for good."""
        seen: set[tuple[str, str]] = set()
        while True:
            try:
                markers = await asyncio.to_thread(self.markers)
            except Exception as error:  # noqa: BLE001 - boto3's errors can't be named without importing it here
                self.log.warning("can't list the landing zone, looking again in %s s: %s", self.look_again_s, error)
            else:
                for uri, _tag in sorted(markers - seen):
                    yield TriggerEvent({"partition": uri.split("/")[-2], "marker": uri})
                seen = markers  # one that was claimed and lands again is new again
            await asyncio.sleep(self.look_again_s)

    def markers(self) -> set[tuple[str, str]]:
        """URI and entity tag of every marker that lies in the feed's landing zone."""
        prefix = storage.join(settings().storage_root, "landing", self.use_case, self.feed) + "/"
        return {(found.uri, found.etag) for found in storage.list_objects(prefix) if found.uri.endswith(f"/{MARKER}")}
