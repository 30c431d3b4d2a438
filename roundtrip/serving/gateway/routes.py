"""What callers see.

Every route asks for an API key, but for live and ready (probes have none) and the documentation (a browser has none at first).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client.exposition import choose_encoder
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from roundtrip.serving.gateway import v2_protocol
from roundtrip.serving.gateway.api_keys import KeyScope
from roundtrip.serving.gateway.binary_tensors import HEADER
from roundtrip.serving.gateway.deadlines import take_over_deadline
from roundtrip.serving.gateway.guards import body_of, check_key, check_known, live_model, parts_of, reader, scraper
from roundtrip.serving.gateway.live_model import LiveModel
from roundtrip.serving.gateway.negotiation import BINARY, JSON, require_json_accepted, require_json_sent
from roundtrip.serving.gateway.problems import PROBLEM_CONTENT, TITLES, answer_problem
from roundtrip.serving.gateway.release_history import shown

Live = Annotated[LiveModel, Depends(live_model)]
Body = Annotated[bytes, Depends(body_of)]


class UseCaseName(StringConvertor):
    """A path's part without a colon: GET of …:predict is a wrong method, and no use case of that name."""

    regex = "[^/:]+"


register_url_convertor("use_case", UseCaseName())


def _problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    return {status: {"content": PROBLEM_CONTENT, "description": TITLES[status]} for status in statuses}


probes = APIRouter(tags=["health"])
readable = APIRouter(dependencies=[Depends(reader)], responses=_problems(401, 403, 404, 406, 422, 429, 503))
scraped = APIRouter(dependencies=[Depends(scraper)], responses=_problems(401, 403, 429))


async def announced(request: Request) -> None:
    """Refuses a body that is no JSON by its headers, and takes over the caller's deadline."""
    require_json_sent(request)
    take_over_deadline(request)


async def predict(request: Request) -> Response:
    """Predict for the instances of the body, with the live version."""
    check_key(request, request.headers.get("x-api-key"), KeyScope.READ)
    require_json_accepted(request)
    await announced(request)
    model = await live_model(request.path_params["use_case"], request)
    request_id = request.state.request_id
    answered = await parts_of(request).predicting.predict_json(model, await body_of(request), request_id)
    request.state.answered = answered
    return _json(
        {
            "use_case": model.release.use_case,
            "model_version": answered.model.released.version,
            "served_by": answered.served_by,
            "request_id": request_id,
            "predictions": answered.by_name(),
        }
    )


PREDICT = Route("/v1/models/{use_case}:predict", predict, methods=["POST"], include_in_schema=False)


class PredictFirst:
    """ASGI middleware that hands a :predict to its handler, and all else on: FastAPI's layers and router take as long as the handler."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match, found = PREDICT.matches(scope)
        if match is not Match.FULL:
            await self._app(scope, receive, send)
            return
        scope.update(found, route=PREDICT)
        request = Request(scope, receive)
        try:
            response = await predict(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            response = await answer_problem(request, error)
        await response(scope, receive, send)


@readable.get("/v1/models", tags=["releases"])
async def list_releases(request: Request) -> Response:
    """The release document of every use case: the version that is live, the one before, the candidate, the generation."""
    return _json({"models": [shown(release) for _, release in sorted(parts_of(request).follower.releases.items())]})


@readable.get("/v1/models/{use_case:use_case}", tags=["releases"])
async def describe_release(use_case: str, request: Request) -> Response:
    """A use case's release document with its last changes: who, when and why."""
    check_known(use_case, request)
    parts = parts_of(request)
    history = await parts.release_history.read(use_case)
    return _json({**shown(parts.follower.releases[use_case]), "history": history})


@readable.post(
    "/v2/models/{use_case}/infer",
    tags=["v2"],
    response_model=v2_protocol.InferResponse,
    dependencies=[Depends(announced)],
    responses=_problems(400, 413, 415, 504),
)
async def infer(model: Live, body: Body, request: Request) -> Response:
    """KServe v2 infer: one tensor for each input of the contract, one for each output; in JSON, or by the binary extension."""
    asked = v2_protocol.parse_infer(body, request.headers.get(HEADER))
    answered = await parts_of(request).predicting.predict_rows(model, v2_protocol.rows_of(asked), request.state.request_id)
    request.state.answered = answered
    tensors, contents = v2_protocol.outputs_of(asked, answered.model.contract, answered.predictions)
    answer = v2_protocol.InferResponse(
        model_name=model.release.use_case,
        model_version=answered.model.released.version,
        id=asked.id or request.state.request_id,
        parameters={"served_by": answered.served_by},
        outputs=tensors,
    )
    text = answer.model_dump_json(exclude_none=True).encode()
    if not contents:
        return Response(text, media_type=JSON)
    return Response(text + contents, headers={HEADER: str(len(text))}, media_type=BINARY)


@readable.get("/v2/models/{use_case}", tags=["v2"])
async def describe(model: Live) -> Response:
    """The live version's inputs and outputs with their units."""
    return _json(v2_protocol.metadata(model.contract, model.released.version))


@readable.get("/v2/models/{use_case}/ready", tags=["v2"])
async def model_ready(model: Live) -> Response:
    """200 when the use case has a live version here, 503 when not."""
    return _json({"name": model.release.use_case, "version": model.released.version, "ready": True})


@readable.get("/v2", tags=["v2"])
async def describe_server() -> Response:
    """The server's name and protocol extensions."""
    return _json({"name": "roundtrip_gateway", "version": "1", "extensions": v2_protocol.EXTENSIONS})


@scraped.get("/metrics", tags=["health"], response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus metrics, in the text format or in OpenMetrics', as the Accept header asks."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(parts_of(request).metrics.registry), headers={"Content-Type": content_type})


@probes.get("/v2/health/live")
async def live() -> Response:
    """200 while the process answers."""
    return _json({"live": True})


@probes.get("/v2/health/ready")
async def ready(request: Request) -> Response:
    """200 once the release document is known and every live version in it is loaded; 503 before, and when the gateway is being stopped."""
    is_ready = parts_of(request).follower.caught_up and not request.app.state.draining
    return _json({"ready": is_ready}, status=200 if is_ready else 503)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
