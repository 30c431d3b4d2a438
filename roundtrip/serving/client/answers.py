"""What the gateway said: predictions by output name, or the error that its refusal stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from roundtrip.contracts.errors import RequestRefused


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one row."""

    values: Mapping[str, float]
    """Output → value, in the unit that the contract gives."""
    key: str | None
    """The row's, where it gave one."""
    model_version: str
    """Version that answered: a call of several requests may see a release go by."""
    served_by: str
    """`triton`, or `onnxruntime` in the gateway while Triton gives no answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for the rows of one call, in their order."""

    use_case: str
    request_id: str
    """Under which the prediction log has the rows."""
    predictions: tuple[Prediction, ...]


class Unanswered(Exception):
    """A try that may succeed when it is made again. `retry_after_s`: seconds that the gateway asked to wait first."""

    def __init__(self, said: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(said)
        self.retry_after_s = retry_after_s


class _Answer(msgspec.Struct):
    model_version: str
    served_by: str
    predictions: list[dict[str, float | str]]


class _Problem(msgspec.Struct):
    detail: str


_answer_of, _problem_of = msgspec.json.Decoder(_Answer).decode, msgspec.json.Decoder(_Problem).decode


def accepted(response: httpx.Response) -> httpx.Response:
    """The response, if it is a success. Raises Unanswered for 429 and 5xx, RequestRefused for all else."""
    if response.is_success:
        return response
    said = f"{response.status_code} {response.reason_phrase}: {_detail(response)}"
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise Unanswered(said, retry_after_s=_seconds_asked_for(response.headers.get("Retry-After", "")))
    raise RequestRefused(f"the gateway at {response.request.url} refuses the request. {said}")


def predictions_in(response: httpx.Response) -> Sequence[Prediction]:
    """The predictions of a :predict answer."""
    told = _answer_of(response.content)
    return [
        Prediction(
            values={name: value for name, value in row.items() if isinstance(value, float)},
            key=str(row["key"]) if "key" in row else None,
            model_version=told.model_version,
            served_by=told.served_by,
        )
        for row in told.predictions
    ]


def _detail(response: httpx.Response) -> str:
    """The detail of a problem (RFC 9457); of what something in front of the gateway said, the beginning."""
    try:
        return _problem_of(response.content).detail
    except msgspec.DecodeError:
        return response.text[:200]


def _seconds_asked_for(retry_after: str) -> float:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3): a number or a date; 0 for none, or one that is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
