"""What a candidate gets of the traffic: copies in the shadow, a share of the requests in the canary.

No caller waits for a copy, and none sees a candidate fail: the live version answers then, and the failure is counted.

In the canary, of a request that one version answers the other gets a copy, which counts for nothing: a process that is asked less often is
slower for that alone. Without the copies candidates took 1.2 to 1.6 times as long as the live version for a tenth of the requests and 1.05
times for half of them; with copies 0.95 to 1.05 times for any share.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from pydantic import BaseModel

from roundtrip.serving.gateway.live_model import Answers, LiveModel, triton_deadline_s
from roundtrip.serving.gateway.schema import columns_of
from roundtrip.serving.gateway.triton_http import NoAnswer
from roundtrip.serving.release import Release
from roundtrip.serving.tensors import Predictions, Tensors, tensors_of
from roundtrip.serving.traffic import Counts

MOST_COPIES = 64
"""Requests whose copies may wait; further ones are not copied."""


@dataclass
class _Sides:
    """What was counted at one generation of a release document."""

    generation: int
    candidate: Counts = field(default_factory=Counts)
    live: Counts = field(default_factory=Counts)


class Tally:
    """Counts of this process, for the job that watches: of each use case at the newest generation of its document."""

    def __init__(self) -> None:
        self._gateway = secrets.token_hex(8)
        self._sides: dict[str, _Sides] = {}

    def of(self, release: Release) -> _Sides:
        """The counts at this generation of the document; where it is no longer the newest, counts that go nowhere."""
        held = self._sides.get(release.use_case)
        return held if held is not None and held.generation == release.generation else _Sides(release.generation)

    def follow(self, generations: Mapping[str, int]) -> None:
        """Count at these generations of the documents, where one is new from nothing. To be told before a model serves by it."""
        for use_case, generation in generations.items():
            if use_case not in self._sides or self._sides[use_case].generation != generation:
                self._sides[use_case] = _Sides(generation)

    def rows(self) -> list[tuple[str, int, str, str, str]]:
        """Rows of the table release_traffic: totals since this process started, so that writing one twice changes nothing."""
        return [
            (use_case, sides.generation, self._gateway, json.dumps(asdict(sides.candidate)), json.dumps(asdict(sides.live)))
            for use_case, sides in self._sides.items()
            if sides.candidate.requests or sides.live.requests
        ]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A request that one of the two versions is to see, and what is counted of it."""

    of: LiveModel
    instances: Sequence[BaseModel]
    counts: Counts = field(default_factory=Counts)
    beside: Predictions | None = None


class CandidateTraffic:
    """Answers requests while a candidate is watched."""

    def __init__(self, answers: Answers, tally: Tally) -> None:
        self._answers = answers
        self._tally = tally
        self._copies: asyncio.Queue[_Copy] = asyncio.Queue(MOST_COPIES)

    async def answer(self, model: LiveModel, instances: Sequence[BaseModel], name: str) -> tuple[LiveModel, Predictions, str]:
        """Which model answered, float32 [n, outputs], and by which engine. `name` of the request: the same one is always treated alike."""
        candidate, release = model.candidate, model.release
        if candidate is None:
            return model, *await self._answers.answer(model, _tensors(model, instances))
        sides = self._tally.of(release)
        chosen = release.stage == "canary" and is_chosen(name, candidate.released.version, share=release.share)
        if chosen:
            found = await self._ask(candidate, instances, sides.candidate)
            if found is not None:
                self._copy(_Copy(model, instances))
                return candidate, found, "triton"
        started = time.perf_counter()
        predictions, served_by = await self._answers.answer(model, _tensors(model, instances))
        if served_by == "triton":
            sides.live.answered(predictions, time.perf_counter() - started)
        else:
            sides.live.failed()
        if release.stage == "shadow":
            self._copy(_Copy(candidate, instances, sides.candidate, predictions))
        elif not chosen:
            self._copy(_Copy(candidate, instances))
        return model, predictions, served_by

    def _copy(self, copy: _Copy) -> None:
        if not self._copies.full():
            self._copies.put_nowait(copy)

    async def keep_copying(self) -> None:
        """Ask about the copies, one after the other, for as long as the gateway runs."""
        while True:
            copy = await self._copies.get()
            await self._ask(copy.of, copy.instances, copy.counts, beside=copy.beside)

    async def _ask(
        self, model: LiveModel, instances: Sequence[BaseModel], counts: Counts, *, beside: Predictions | None = None
    ) -> Predictions | None:
        """That version's answer, None when it gives none that could be used."""
        started = time.perf_counter()
        try:
            predictions = await self._answers.ask_triton(model, _tensors(model, instances), deadline_s=triton_deadline_s())
        except NoAnswer:
            predictions = None
        if predictions is None or not np.isfinite(predictions).all():
            counts.failed()
            return None
        counts.answered(predictions, time.perf_counter() - started, beside=beside)
        return predictions


def is_chosen(name: str, version: str, *, share: int) -> bool:
    """Whether the candidate answers the request of that name: `share` percent of all names, and those of a smaller share among them."""
    digest = hashlib.blake2b(f"{version} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % 10_000 < share * 100


def _tensors(model: LiveModel, instances: Sequence[BaseModel]) -> Tensors:
    return tensors_of(*model.contract.encode(columns_of(model.contract, instances)))
