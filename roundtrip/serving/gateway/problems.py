"""Errors as problem details (RFC 9457), with the `error` member that v2 clients read."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from roundtrip.contracts.errors import RoundtripError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
ERRORS_SHOWN = 20
"""Invalid fields that one answer lists: enough to fix a client, not a copy of its request."""

TITLES = {
    400: "Malformed request",
    401: "API key missing or wrong",
    403: "API key without the scope",
    404: "Not found",
    405: "Method not allowed",
    406: "Only JSON is given",
    413: "Request too large",
    415: "Only JSON is taken",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
    504: "Deadline passed",
}


class FieldError(BaseModel):
    """One invalid field."""

    pointer: str = Field(description="JSON pointer into the request")
    detail: str


class ProblemDetails(BaseModel):
    """An error as RFC 9457 puts it; `error` repeats the detail for v2 clients."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    error: str
    errors: list[FieldError] = []


PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
"""What a refusal holds, for the OpenAPI document."""


class Problem(RoundtripError):
    """A request that is refused: HTTP status, what is wrong with the value and how to repair it."""

    def __init__(
        self, status: int, detail: str, *, errors: list[dict[str, str]] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors or []
        self.headers = dict(headers or {})


def invalid(error: ValidationError) -> Problem:
    """The problem of a body that breaks the contract: 400 when it is no JSON, 422 otherwise, each field with a JSON pointer."""
    found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return Problem(400, f"the body is no JSON: {found[0]['msg']}.")
    listed = [{"pointer": "#/" + "/".join(map(str, entry["loc"])), "detail": _sentence(entry["msg"], entry["input"])} for entry in found]
    first = listed[0]
    return Problem(422, f"{first['pointer']}: {first['detail']}. {len(found)} in all; see `errors`.", errors=listed[:ERRORS_SHOWN])


async def answer_problem(request: Request, error: Exception) -> Response:
    """The response for any exception that leaves a route."""
    if isinstance(error, Problem):
        return _response(request, error)
    if isinstance(error, HTTPException):
        return _response(request, Problem(error.status_code, str(error.detail), headers=error.headers))
    log.error("request %s failed", request.state.request_id, exc_info=error)
    return _response(request, Problem(500, f"a fault in the gateway; its log has the reason under request {request.state.request_id}."))


def _response(request: Request, problem: Problem) -> Response:
    content: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Request refused"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "request_id": request.state.request_id,
        "error": problem.detail,
    }
    if problem.errors:
        content["errors"] = problem.errors
    return Response(msgspec.json.encode(content), problem.status, problem.headers, MEDIA_TYPE)


def _sentence(message: str, value: object) -> str:
    shown = repr(value)
    return f"{message}, not {shown if len(shown) <= 60 else shown[:57] + '…'}"
