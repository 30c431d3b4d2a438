"""Content negotiation (RFC 9110, sections 8.3, 8.4 and 12.5.1): the gateway takes and gives JSON, uncompressed; v2 has tensors after it."""

from __future__ import annotations

from starlette.requests import Request

from roundtrip.serving.gateway.binary_tensors import HEADER
from roundtrip.serving.gateway.problems import Problem

JSON, BINARY = "application/json", "application/octet-stream"
_RANGES = ("*/*", "application/*", JSON)
"""The media ranges that match JSON, the most specific last."""


def require_json_accepted(request: Request) -> None:
    """Raises Problem 406 when the caller's Accept leaves no room for JSON."""
    accepted = request.headers.get("accept")
    if accepted is not None and accepted not in _RANGES and not accepts_json(accepted):
        raise Problem(406, f"Accept is {accepted[:100]!r}, and this gateway answers in {JSON}: accept that, or leave the header out.")


def require_json_sent(request: Request) -> None:
    """Raises Problem 415 for a body that is announced as something else. One without is taken for JSON, as v2 clients send it."""
    sent = request.headers.get("content-type", JSON)
    if sent == BINARY and HEADER in request.headers:
        sent = JSON  # of which the beginning is
    if sent != JSON and sent.partition(";")[0].strip().lower() != JSON:
        raise Problem(415, f"Content-Type is {sent[:100]!r}: send {JSON}.", headers={"Accept": JSON})
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Problem(415, f"Content-Encoding is {coding[:40]!r}: send the body as it is.", headers={"Accept-Encoding": "identity"})


def accepts_json(accepted: str) -> bool:
    """Whether an Accept header lets JSON pass: the most specific range that matches decides, and a quality of 0 refuses."""
    qualities = {}
    for entry in accepted.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        if media_range in _RANGES:
            qualities[media_range] = _quality(parameters)
    most_specific = max(qualities, key=_RANGES.index, default=None)
    return most_specific is not None and qualities[most_specific] > 0


def _quality(parameters: list[str]) -> float:
    """1 when there is none, or none that is a number."""
    given = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 1.0
