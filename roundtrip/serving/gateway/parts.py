"""The parts of a running gateway and the tasks that keep them going."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from roundtrip.contracts.settings import Settings
from roundtrip.serving.gateway.access_log import AccessLog
from roundtrip.serving.gateway.api_keys import ApiKeys, key_file
from roundtrip.serving.gateway.candidate_traffic import CandidateTraffic, Tally
from roundtrip.serving.gateway.follower import ReleaseFollower
from roundtrip.serving.gateway.live_model import Answers
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.predicting import Predicting
from roundtrip.serving.gateway.prediction_log import PredictionLog
from roundtrip.serving.gateway.release_history import ReleaseHistory
from roundtrip.serving.gateway.triton_http import TritonHttp
from roundtrip.serving.gateway.triton_watch import TritonWatch

log = logging.getLogger(__name__)

LAST_LOOK_S = 5.0
"""Seconds that the background tasks have to end when they are cancelled: one that does not must not keep the log from going up."""
LAST_UPLOAD_S = 10.0
"""Seconds that the last upload of the prediction log may take at shutdown; what is left goes up at the next start."""


class Parts:
    """Made when the application starts, within its running loop."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        state = settings.home_path / "gateway"
        self.metrics = metrics
        self.api_keys = ApiKeys(key_file(settings.home_path), settings.gateway_key)
        self.access_log = AccessLog(settings.home_path / "logs" / "gateway_access.jsonl")
        self.release_history = ReleaseHistory()
        self.triton = TritonHttp(settings.triton_http_url, settings.triton_admin_key)
        answers = Answers(self.triton, metrics)
        self.prediction_log = PredictionLog(state / "spool", settings.storage_root, metrics)
        tally = Tally()
        self.traffic = CandidateTraffic(answers, tally)
        self.predicting = Predicting(self.traffic, self.prediction_log, metrics)
        self.follower = ReleaseFollower(
            database_url=settings.database_url, kept=state / "releases.json", answers=answers, tally=tally, metrics=metrics
        )
        self.watch = TritonWatch(
            address=settings.triton_url,
            admin_key=settings.triton_admin_key,
            repository=Path(settings.triton_repository),
            answers=answers,
            metrics=metrics,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow releases, watch Triton and ship the prediction log until the application stops; then ship what is left."""
        await self.follower.remember()
        keepers = {
            "following releases": self.follower.keep_following(),
            "copying requests for candidates": self.traffic.keep_copying(),
            "watching Triton": self.watch.keep_watching(self.follower.models),
            "flushing the prediction log": self.prediction_log.keep_flushed(),
            "uploading the prediction log": self.prediction_log.keep_uploaded(),
            "writing the access log": self.access_log.keep_written(),
        }
        tasks = [asyncio.create_task(keeper, name=name) for name, keeper in keepers.items()]
        for task in tasks:
            task.add_done_callback(_stop_when_broken)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=LAST_LOOK_S)
            self.triton.close()
            self.release_history.close()
            self.access_log.write()
            await self._ship_the_rest()

    async def _ship_the_rest(self) -> None:
        self.prediction_log.close_segments()
        try:
            await asyncio.wait_for(asyncio.to_thread(self.prediction_log.upload), LAST_UPLOAD_S)
        except TimeoutError:
            log.warning("the store took more than %.0f s: the rest of the prediction log goes up at the next start", LAST_UPLOAD_S)


def _stop_when_broken(task: asyncio.Task[None]) -> None:
    """End the process when one of its keepers dies of a fault: a gateway that no longer follows releases must be restarted, not go on."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("%s died: the gateway stops, its supervisor starts it again", task.get_name(), exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)
