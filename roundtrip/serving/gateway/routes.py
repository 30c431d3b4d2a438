"""What callers see.

Every route asks for the API key, but for live and ready (probes have none) and the documentation (a browser has none at first).
"""

from __future__ import annotations

import hmac
from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import APIKeyHeader
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from roundtrip.serving.gateway import v2_protocol
from roundtrip.serving.gateway.live_model import LiveModel
from roundtrip.serving.gateway.parts import Parts
from roundtrip.serving.gateway.problems import TITLES, Problem, ProblemDetails

LARGEST_BODY = 2 * 2**20
"""Bytes of a request body at most: 1,024 rows of a contract with twenty inputs are 0.7 MB."""
RETRY_AFTER_S = 10
"""Seconds after which a caller should ask again for a use case that has no live version yet."""

_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="`ROUNDTRIP_GATEWAY_KEY` in `.roundtrip/env`")


def parts_of(request: Request) -> Parts:
    """The running gateway's parts."""
    return cast(Parts, request.app.state.parts)


async def require_key(request: Request, key: Annotated[str | None, Security(_api_key)]) -> None:
    """Refuses a request without the gateway's API key, compared in constant time."""
    if key is None or not hmac.compare_digest(key.encode(), parts_of(request).api_key):
        raise Problem(401, "send the gateway's API key in the header X-API-Key (ROUNDTRIP_GATEWAY_KEY in .roundtrip/env).")


async def live_model(use_case: str, request: Request) -> LiveModel:
    """The model that serves the use case now; raises Problem 404 for an unknown use case, 503 for one with no live version."""
    follower = parts_of(request).follower
    model = follower.models.get(use_case)
    if model is not None:
        return model
    retry = {"Retry-After": str(RETRY_AFTER_S)}
    if not follower.informed:
        raise Problem(503, "the gateway has not read the release document yet: is PostgreSQL up?", headers=retry)
    if use_case not in follower.releases:
        known = ", ".join(sorted(follower.releases)) or "none"
        raise Problem(404, f"no version of {use_case!r} was ever staged (use cases with one: {known}): run its train_and_release first.")
    raise Problem(
        503, f"{use_case!r} has no live version here yet: none was promoted, or it is being loaded. Ask again later.", headers=retry
    )


async def body_of(request: Request) -> bytes:
    """The request's body; raises Problem 413 as soon as it is longer than LARGEST_BODY, however it is sent."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Problem(
                413, f"the body is larger than {LARGEST_BODY} bytes: send fewer rows per request.", headers={"Connection": "close"}
            )
    return bytes(body)


Live = Annotated[LiveModel, Depends(live_model)]
Body = Annotated[bytes, Depends(body_of)]

probes = APIRouter(tags=["health"])
guarded = APIRouter(
    dependencies=[Depends(require_key)],
    responses={status: {"model": ProblemDetails, "description": TITLES[status]} for status in (401, 404, 422, 503)},
)


@guarded.post("/v1/models/{use_case}:predict", include_in_schema=False)
async def predict(model: Live, body: Body, request: Request) -> Response:
    """Predict for the instances of the body, with the live version."""
    request_id = request.state.request_id
    answered = await parts_of(request).predicting.predict_json(model, body, request_id)
    return _json(
        {
            "use_case": model.release.use_case,
            "model_version": answered.model.released.version,
            "served_by": answered.served_by,
            "request_id": request_id,
            "predictions": answered.by_name(),
        }
    )


@guarded.post("/v2/models/{use_case}/infer", tags=["v2"], response_model=v2_protocol.InferResponse)
async def infer(model: Live, body: Body, request: Request) -> Response:
    """KServe v2 infer in JSON: one tensor for each input of the contract, one for each output."""
    asked = v2_protocol.parse_infer(body, request.headers.get("inference-header-content-length"))
    answered = await parts_of(request).predicting.predict_rows(model, v2_protocol.rows_of(asked), request.state.request_id)
    answer = v2_protocol.InferResponse(
        model_name=model.release.use_case,
        model_version=answered.model.released.version,
        id=asked.id or request.state.request_id,
        parameters={"served_by": answered.served_by},
        outputs=v2_protocol.outputs_of(asked, answered.model.contract, answered.predictions),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@guarded.get("/v2/models/{use_case}", tags=["v2"])
async def describe(model: Live) -> Response:
    """The live version's inputs and outputs with their units."""
    return _json(v2_protocol.metadata(model.contract, model.released.version))


@guarded.get("/v2/models/{use_case}/ready", tags=["v2"])
async def model_ready(model: Live) -> Response:
    """200 when the use case has a live version here, 503 when not."""
    return _json({"name": model.release.use_case, "version": model.released.version, "ready": True})


@guarded.get("/v2", tags=["v2"])
async def describe_server() -> Response:
    """The server's name and protocol extensions (none)."""
    return _json({"name": "roundtrip_gateway", "version": "1", "extensions": []})


@guarded.get("/metrics", tags=["health"])
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(parts_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


@probes.get("/v2/health/live")
async def live() -> Response:
    """200 while the process answers."""
    return _json({"live": True})


@probes.get("/v2/health/ready")
async def ready(request: Request) -> Response:
    """200 once the release document is known and every live version in it is loaded; 503 before."""
    is_ready = parts_of(request).follower.caught_up
    return _json({"ready": is_ready}, status=200 if is_ready else 503)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
