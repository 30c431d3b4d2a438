"""Follows the release document: loads a version that went live, sees it answer, then moves the use case to it."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from roundtrip.contracts.errors import RoundtripError
from roundtrip.serving.gateway.candidate_traffic import Tally
from roundtrip.serving.gateway.live_model import Answers, LiveModel
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.triton_http import NoAnswer
from roundtrip.serving.release import CONNECT_TIMEOUT_S, READ_ALL, TELL_TRAFFIC, Release, create_schema

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Seconds between two looks at the release document: how long a promotion waits for the gateway at most."""
PROBE_DEADLINE_S = 2.0
"""Seconds a version that is to take over has for its first answer on Triton; the old one serves meanwhile."""
UNREADY = (RoundtripError, OSError, BotoCoreError, ClientError, NoAnswer)
"""What may keep a version from being loaded and answering here."""


class ReleaseFollower:
    """`models` holds the live model of each use case. The last document is kept on disk, so a restart needs no PostgreSQL."""

    def __init__(self, *, database_url: str, kept: Path, answers: Answers, tally: Tally, metrics: Metrics) -> None:
        self.models: dict[str, LiveModel] = {}
        self.releases: dict[str, Release] = {}
        """The documents as they were read last; `_stood` holds those whose live version serves here, and is what is kept on disk."""
        self.informed = False
        """Whether a release document was read, from PostgreSQL or from disk: before that, nothing can be said about any use case."""
        self._database_url = database_url
        self._kept = kept
        self._answers = answers
        self._tally = tally
        self._metrics = metrics
        self._connection: psycopg.Connection | None = None
        self._stood: dict[str, Release] = {}
        self._said: dict[str, str] = {}

    @property
    def caught_up(self) -> bool:
        """Whether every live version of the documents is loaded here."""
        return self.informed and all(release.live is None or name in self.models for name, release in self.releases.items())

    async def remember(self) -> None:
        """Load what served when the gateway ran last: until then no request is taken in, and those who come early wait."""
        await self._take_all(self._read_kept())

    async def keep_following(self) -> None:
        """Read the document every POLL_S, for as long as the gateway runs."""
        while True:
            await self._look()
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        try:
            rows = await asyncio.to_thread(self._read_rows, self._tally.rows())
        except psycopg.Error as error:
            if self._connection is not None:
                self._connection.close()
            self._metrics.database_up.set(0)
            for model in self.models.values():
                model.candidate = None  # nobody can see what is counted of it
            self._say("PostgreSQL", f"PostgreSQL does not answer, the last release document stays in force: {error}")
            return
        self._metrics.database_up.set(1)
        self._said.pop("PostgreSQL", None)
        self.informed = True
        await self._take_all([Release.from_row(*row) for row in rows])

    def _read_rows(self, counted: list[tuple[str, int, str, str, str]]) -> list[tuple[str, int, dict[str, object], bool]]:
        """Tells what was counted of candidates, and gives every release document.

        In a thread: psycopg's asynchronous connection can swallow the cancellation that ends a task."""
        if self._connection is None or self._connection.closed:
            create_schema(self._database_url)
            self._connection = psycopg.connect(
                self._database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, tcp_user_timeout=1000 * CONNECT_TIMEOUT_S
            )
        if counted:
            self._connection.cursor().executemany(TELL_TRAFFIC, counted)
        return self._connection.execute(READ_ALL).fetchall()

    async def _take_all(self, releases: list[Release]) -> None:
        self._tally.follow({release.use_case: release.generation for release in releases})
        for release in releases:
            self.releases[release.use_case] = release
            if await self._stands_at(release) and self._stood.get(release.use_case) != release:
                self._stood[release.use_case] = release
                self._metrics.generation.labels(release.use_case).set(release.generation)
                self._keep()

    async def _stands_at(self, release: Release) -> bool:
        """Move to the release's live version where needed. When that fails, what served goes on serving and the next poll tries again."""
        current = self.models.get(release.use_case)
        if release.live is None:
            self.models.pop(release.use_case, None)
            return True
        if current is not None and current.released == release.live:
            current.release = release
            await self._show_candidate(current)
            return True
        try:
            model = await asyncio.to_thread(LiveModel.load, release, release.live)
            await self._see_it_answer(model, current)
        except UNREADY as error:
            self._say(release.use_case, f"can't move {release.use_case} to version {release.live.version} yet: {error}")
            return False
        self._said.pop(release.use_case, None)
        self.models[release.use_case] = model
        log.info("%s is served by version %s (generation %d)", release.use_case, release.live.version, release.generation)
        return True

    async def _show_candidate(self, model: LiveModel) -> None:
        """Load a candidate that takes traffic, beside the live model. One that no longer does is shown nothing more, at once."""
        release, held, shown = model.release, model.candidate, model.release.candidate_to_show
        if shown is None:
            model.candidate = None
            return
        if held is not None and held.released == shown:
            return
        model.candidate = None
        try:
            candidate = await asyncio.to_thread(LiveModel.load, release, shown)
            await self._answers.probe(candidate, deadline_s=PROBE_DEADLINE_S)
        except UNREADY as error:
            self._say(f"{release.use_case}, candidate", f"can't show {release.use_case} version {shown.version} traffic yet: {error}")
            return
        self._said.pop(f"{release.use_case}, candidate", None)
        model.candidate = candidate

    async def _see_it_answer(self, model: LiveModel, current: LiveModel | None) -> None:
        """A version takes over from another only once Triton answers with it. With nothing to take over from, ONNX Runtime can start."""
        try:
            await self._answers.probe(model, deadline_s=PROBE_DEADLINE_S)
            model.on_triton = True
        except NoAnswer:
            if current is not None and current.on_triton:
                raise

    def _read_kept(self) -> list[Release]:
        if not self._kept.exists():
            return []
        self.informed = True
        return [Release.from_row(*row) for row in json.loads(self._kept.read_bytes())]

    def _keep(self) -> None:
        rows = [[release.use_case, release.generation, release.to_document()] for release in self._stood.values()]
        partial = self._kept.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(rows))
        partial.replace(self._kept)

    def _say(self, about: str, message: str) -> None:
        """Log a message once, not at every poll."""
        if self._said.get(about) != message:
            log.warning(message)
            self._said[about] = message
