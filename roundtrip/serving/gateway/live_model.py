"""The live version of one use case, ready to answer: on Triton within a deadline, otherwise in this process with the same graph."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.gateway.batching import Batch, MicroBatches, row_count
from roundtrip.serving.gateway.deadlines import in_time, seconds_left
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.problems import Problem
from roundtrip.serving.gateway.schema import request_model, response_model
from roundtrip.serving.gateway.triton_http import NoAnswer, Reason, TritonHttp
from roundtrip.serving.release import Release, ReleasedVersion
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.tensors import Predictions, Tensors, tensors_of
from roundtrip.serving.triton_repository import LARGEST_BATCH

log = logging.getLogger(__name__)

TRITON_DEADLINE_S = 0.5
"""Seconds that Triton has for one request, before ONNX Runtime here answers it. Triton's worst under load and a release was 0.06 s."""
MOST_ROWS_WAITING = 8 * LARGEST_BATCH
"""Rows of one version that may wait for their answers at the same time: what comes on top is refused at once, for it would be late."""
RETRY_AFTER_S = 1
"""Seconds after which a refused caller should ask again: the waiting rows are answered within TRITON_DEADLINE_S, one way or the other."""


@dataclass(kw_only=True)
class LiveModel:
    """One version with all that a request needs. A request that took it finishes on it, whatever is live by then."""

    release: Release
    released: ReleasedVersion
    folder: Path
    scorer: Scorer
    request: type[BaseModel]
    response: type[BaseModel]
    on_triton: bool = field(default=False)
    """Whether Triton answered last. While it does not, requests don't wait for it; TritonWatch asks again every second."""
    candidate: LiveModel | None = field(default=None)
    """The version that is shown traffic beside this one, while a job watches it."""
    batches: MicroBatches = field(default_factory=MicroBatches)
    rows_waiting: int = 0
    """Rows that were taken in and have no answer yet."""

    @classmethod
    def load(cls, release: Release, released: ReleasedVersion) -> LiveModel:
        """Fetch the version, check its digest against the release document's, and open it.

        Raises DigestMismatch when the version is not the one that was released, FileNotFoundError when the store lacks it.
        """
        folder = fetch(release.use_case, released.version, digest=released.digest)
        scorer = Scorer(folder)
        return cls(
            release=release,
            released=released,
            folder=folder,
            scorer=scorer,
            request=request_model(scorer.contract),
            response=response_model(scorer.contract),
        )

    @property
    def contract(self) -> ModelContract:
        return self.scorer.contract


class Answers:
    """Asks Triton, and ONNX Runtime when Triton gives no answer."""

    def __init__(self, triton: TritonHttp, metrics: Metrics) -> None:
        self._triton = triton
        self._metrics = metrics

    async def answer(self, model: LiveModel, tensors: Tensors) -> tuple[Predictions, str]:
        """Predictions float32 [n, outputs] and who made them: `triton` or `onnxruntime`.

        Raises Problem 429 when more than MOST_ROWS_WAITING rows would wait for the version, 504 when the caller's deadline passes first.
        """
        rows = row_count(tensors)
        if model.rows_waiting + rows > MOST_ROWS_WAITING:
            raise Problem(
                429,
                f"{model.rows_waiting} rows wait for version {model.released.version} of {model.release.use_case} (limit "
                f"{MOST_ROWS_WAITING}), and {rows} more would be late: send fewer at the same time, and again after Retry-After.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        model.rows_waiting += rows
        try:
            return await self._answer(model, tensors)
        finally:
            model.rows_waiting -= rows

    async def _answer(self, model: LiveModel, tensors: Tensors) -> tuple[Predictions, str]:
        reason: Reason = "away"
        if model.on_triton:
            allowed_s = triton_deadline_s()
            try:
                return await self.ask_triton(model, tensors, deadline_s=allowed_s), "triton"
            except NoAnswer as error:
                if allowed_s == TRITON_DEADLINE_S or error.reason != "late":
                    self._note_absence(model, error)
                reason = error.reason
        self._metrics.fallbacks.labels(model.release.use_case, reason).inc()
        return await in_time(partial(asyncio.to_thread, model.scorer.answer, tensors)), "onnxruntime"

    async def ask_triton(self, model: LiveModel, tensors: Tensors, *, deadline_s: float) -> Predictions:
        """Triton's answer from this very version, by a call that other requests may share; raises NoAnswer."""
        return await model.batches.ask(partial(self._call, model), tensors, deadline_s=deadline_s)

    async def _call(self, model: LiveModel, batch: Batch) -> Predictions:
        self._metrics.batch_rows.observe(batch.rows)
        predictions = await self._triton.infer(
            model.released.triton_model, model.released.version, batch.tensors, deadline_s=batch.deadline_s, trace=batch.trace
        )
        if len(predictions) != batch.rows:
            raise NoAnswer("refused", f"Triton answered {len(predictions)} rows for {batch.rows}")
        return predictions

    async def probe(self, model: LiveModel, *, deadline_s: float) -> None:
        """Ask Triton for a row of nothing but missing values; raises NoAnswer when it gives none."""
        contract = model.contract
        numbers = np.full((1, len(contract.numbers)), np.nan, dtype=np.float32)
        categories = np.zeros((1, len(contract.categories)), dtype=np.int32)
        await self._call(model, Batch(tensors_of(numbers, categories), 1, deadline_s, trace=None))

    def _note_absence(self, model: LiveModel, error: NoAnswer) -> None:
        if model.on_triton:
            log.warning(
                "Triton gave no answer for %s version %s (%s: %s): ONNX Runtime answers until it does",
                model.release.use_case, model.released.version, error.reason, error,
            )  # fmt: skip
        model.on_triton = False
        self._metrics.triton_up.labels(model.release.use_case).set(0)


def triton_deadline_s() -> float:
    """Seconds for Triton: half of what the caller still allows at most, so that ONNX Runtime has the other half when Triton is stuck."""
    left = seconds_left()
    return TRITON_DEADLINE_S if left is None else min(TRITON_DEADLINE_S, left / 2)
