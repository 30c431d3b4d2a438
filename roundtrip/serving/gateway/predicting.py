"""What happens to the rows of a request, in whichever protocol they came: validate, encode, answer, log."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import cast

import msgspec
from pydantic import BaseModel, ValidationError

from roundtrip.serving.gateway.candidate_traffic import CandidateTraffic
from roundtrip.serving.gateway.live_model import LiveModel
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.prediction_log import PredictionLog
from roundtrip.serving.gateway.problems import invalid
from roundtrip.serving.gateway.schema import PredictRequest
from roundtrip.serving.tensors import Predictions

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Answered:
    """The predictions for a request's rows: float32 [n, outputs]."""

    model: LiveModel
    keys: list[str | None]
    predictions: Predictions
    served_by: str

    @cached_property
    def outputs(self) -> list[dict[str, float]]:
        """One object a row, output → value."""
        names = [output.name for output in self.model.contract.outputs]
        return [dict(zip(names, map(_shortest, row), strict=True)) for row in self.predictions.tolist()]

    def by_name(self) -> list[dict[str, float | str]]:
        """The outputs of each row, with its key where it gave one."""
        return [{**row} if key is None else {**row, "key": key} for row, key in zip(self.outputs, self.keys, strict=True)]


class Predicting:
    """The path of a request, shared by :predict and v2 infer."""

    def __init__(self, traffic: CandidateTraffic, prediction_log: PredictionLog, metrics: Metrics) -> None:
        self._traffic = traffic
        self._log = prediction_log
        self._metrics = metrics

    async def predict_json(self, model: LiveModel, body: bytes, request_id: str) -> Answered:
        """Answer a :predict body; raises Problem when it breaks the contract."""
        try:
            request = cast(PredictRequest, model.request.model_validate_json(body))
        except ValidationError as error:
            raise invalid(error) from error
        return await self._predict(model, request.instances, request_id)

    async def predict_rows(self, model: LiveModel, rows: Sequence[dict[str, object]], request_id: str) -> Answered:
        """Answer rows that came as tensors; raises Problem when they break the contract."""
        try:
            request = cast(PredictRequest, model.request.model_validate({"instances": list(rows)}))
        except ValidationError as error:
            raise invalid(error) from error
        return await self._predict(model, request.instances, request_id)

    async def _predict(self, model: LiveModel, instances: Sequence[BaseModel], request_id: str) -> Answered:
        keys = [instance.__dict__["key"] for instance in instances]
        answering, predictions, served_by = await self._traffic.answer(model, instances, keys[0] or request_id)
        answered = Answered(answering, keys, predictions, served_by)
        self._metrics.predictions.labels(model.release.use_case, answering.released.version, served_by).inc(len(instances))
        self._log.append(model.release.use_case, log_lines(answered, instances, request_id))
        return answered


def log_lines(answered: Answered, instances: Sequence[BaseModel], request_id: str) -> bytes:
    """One JSON line for each row: who asked when, what it held (`inputs`), which version said what (`outputs`)."""
    now = datetime.now(UTC)
    this_month, predicted_at, batch = now.strftime("%Y-%m"), now.isoformat(), secrets.token_hex(16)
    inputs = answered.model.contract.names
    lines = []
    for place, (instance, outputs) in enumerate(zip(instances, answered.outputs, strict=True)):
        row = instance.__dict__
        line = {
            "prediction_id": f"{batch}-{place}",
            "request_id": request_id,
            "use_case": answered.model.release.use_case,
            "key": row["key"],
            "event_month": row["event_month"] or this_month,
            "predicted_at": predicted_at,
            "model_version": answered.model.released.version,
            "served_by": answered.served_by,
            "inputs": {name: row[name] for name in inputs},
            "outputs": outputs,
        }
        lines.append(_encode(line))
    return b"\n".join(lines) + b"\n"


def _shortest(value: float) -> float:
    """The value with the seven significant digits that a float32 holds."""
    return float(f"{value:.7g}")
