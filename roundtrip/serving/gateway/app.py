"""The gateway as a FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from roundtrip.contracts.settings import Settings
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.middleware import RequestObserver
from roundtrip.serving.gateway.openapi import openapi_document
from roundtrip.serving.gateway.parts import Parts
from roundtrip.serving.gateway.problems import Problem, answer_problem
from roundtrip.serving.gateway.routes import PREDICT, PredictFirst, probes, readable, scraped

DESCRIPTION = """
Predictions of the live model versions. Press **Authorize** and enter an API key (`ROUNDTRIP_GATEWAY_KEY` in `.roundtrip/env`),
then try a use case's `:predict` as it stands. Each answer names the model version that gave it.
Errors are problem details (RFC 9457). The v2 routes speak KServe's inference protocol in JSON.
"""


TAGS = [
    {"name": "predict", "description": "One route for each use case that has a live version, in its own terms"},
    {"name": "releases", "description": "Which versions are live, which were before, and who changed that why"},
    {"name": "v2", "description": "KServe's inference protocol"},
    {"name": "health", "description": "Probes and metrics"},
]


def create_app(settings: Settings) -> FastAPI:
    """The application; while its `state.draining` is set it is not ready, and closes each connection with the next answer.

    Raises SettingMissing at its start when an address or a key is not set.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.parts = Parts(settings, metrics)
        async with app.state.parts.running():
            yield

    app = FastAPIOffline(
        title="Roundtrip gateway", version="1", description=DESCRIPTION, openapi_tags=TAGS, lifespan=lifespan, redoc_url=None
    )
    app.state.draining = False
    app.router.routes.insert(0, PREDICT)  # for the methods that it refuses
    for router in (readable, scraped, probes):
        app.include_router(router)
    for kind in (Problem, HTTPException, Exception):
        app.add_exception_handler(kind, answer_problem)
    app.add_middleware(PredictFirst)
    app.add_middleware(RequestObserver, metrics=metrics)
    app.openapi = lambda: openapi_document(app, app.state.parts.follower.models)  # type: ignore[method-assign]
    return app
