"""Sees to it that Triton serves the live versions: asks each for an answer, loads what a restarted Triton lost, restarts what is stuck."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from roundtrip.contracts.errors import RoundtripError
from roundtrip.serving.gateway.live_model import Answers, LiveModel
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.triton_http import NoAnswer
from roundtrip.serving.triton_client import TritonClient
from roundtrip.serving.triton_repository import put_version, sole_writer

log = logging.getLogger(__name__)

WATCH_S = 1.0
"""Seconds between two questions to Triton: how long it is left out at most after it is back."""
DEADLINE_S = 2.0
"""Seconds for one answer; cores that Spark and training use can hold Triton up for a good part of one."""
PATIENCE = 3
"""Answers in a row that a loaded version may miss before its model is unloaded and loaded again: Triton never restarts a dead backend."""


class TritonWatch:
    """One per gateway; several of them only repeat idempotent loads."""

    def __init__(self, *, address: str, admin_key: str, repository: Path, answers: Answers, metrics: Metrics) -> None:
        self._address = address
        self._admin_key = admin_key
        self._repository = repository
        self._answers = answers
        self._metrics = metrics
        self._missed: dict[str, int] = {}
        self._said: dict[str, str] = {}

    async def keep_watching(self, models: dict[str, LiveModel]) -> None:
        """Look at every live model each WATCH_S, for as long as the gateway runs."""
        while True:
            for model in list(models.values()):
                await self._look_at(model)
            await asyncio.sleep(WATCH_S)

    async def _look_at(self, model: LiveModel) -> None:
        name = model.release.use_case
        try:
            await self._answers.probe(model, deadline_s=DEADLINE_S)
        except NoAnswer:
            model.on_triton = False
            self._missed[name] = self._missed.get(name, 0) + 1
            await asyncio.to_thread(self._repair, model)
        else:
            if not model.on_triton:
                log.info("Triton answers for %s version %s again", name, model.released.version)
                self._said.pop(name, None)
            model.on_triton = True
            self._missed[name] = 0
        self._metrics.triton_up.labels(name).set(int(model.on_triton))

    def _repair(self, model: LiveModel) -> None:
        """Load a version that Triton does not have; unload and load one that it calls ready but that misses PATIENCE answers."""
        name, triton_model = model.release.use_case, model.released.triton_model
        try:
            with sole_writer(self._repository), TritonClient(self._address, self._admin_key) as triton:
                stuck = model.released.version in triton.ready_versions(triton_model)
                if stuck and self._missed[name] < PATIENCE:
                    return
                log.warning(
                    "Triton %s version %s of %s: loading it again", "is stuck with" if stuck else "lacks", model.released.version, name
                )
                put_version(self._repository, model.folder, name, model.released.version)
                if stuck:
                    triton.unload(triton_model)
                triton.load(triton_model)
                self._missed[name] = 0
        except (RoundtripError, OSError) as error:
            self._say(name, f"Triton can't be repaired for {name} yet: {error}")

    def _say(self, about: str, message: str) -> None:
        """Log a message once, not at every look."""
        if self._said.get(about) != message:
            log.warning(message)
            self._said[about] = message
