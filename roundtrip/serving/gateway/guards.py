"""What a request must bring along: an API key with the scope and within its rate, an Accept that JSON meets, a body of some length."""

from __future__ import annotations

import math
from typing import Annotated, cast

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from roundtrip.serving.gateway.api_keys import KeyScope
from roundtrip.serving.gateway.live_model import LiveModel
from roundtrip.serving.gateway.negotiation import require_json_accepted
from roundtrip.serving.gateway.parts import Parts
from roundtrip.serving.gateway.problems import Problem

LARGEST_BODY = 2 * 2**20
"""Bytes of a request body at most: 1,024 rows of a contract with twenty inputs are 0.7 MB."""
LOADED_AFTER_S = 1
"""Seconds after which a caller should ask again for a live version that is being loaded, as after each start of the gateway."""
RETRY_AFTER_S = 10
"""Seconds after which a caller should ask again for a use case that has no live version yet."""

_KEY_FROM = "`ROUNDTRIP_GATEWAY_KEY` in `.roundtrip/env`, or one of `roundtrip keys add`"
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description=_KEY_FROM)
Key = Annotated[str | None, Security(_api_key)]


def parts_of(request: Request) -> Parts:
    """The running gateway's parts."""
    return cast(Parts, request.app.state.parts)


async def reader(request: Request, key: Key) -> None:
    """Refuses a request that may not read, or that wants something else than JSON."""
    check_key(request, key, KeyScope.READ)
    require_json_accepted(request)


async def scraper(request: Request, key: Key) -> None:
    """Refuses a request that may not read the metrics."""
    check_key(request, key, KeyScope.METRICS)


def check_key(request: Request, secret: str | None, scope: KeyScope) -> None:
    """Raises Problem 401 without a right API key, 403 when it lacks the scope, 429 when it asks more often than its rate allows."""
    keys = parts_of(request).api_keys
    key = keys.find(secret) if secret is not None else None
    if key is None:
        raise Problem(401, "send an API key of this gateway in the header X-API-Key (ROUNDTRIP_GATEWAY_KEY in .roundtrip/env).")
    request.state.key_name = key.name
    if not key.allows(scope):
        raise Problem(403, f"key {key.name!r} has the scope {', '.join(key.scopes)}, this asks for {scope}: use another key.")
    wait_s = keys.wait_s(key)
    if wait_s > 0:
        retry = {"Retry-After": str(math.ceil(wait_s))}
        raise Problem(429, f"key {key.name!r} asks more than {key.rate:g} times a second: ask again in {wait_s:.2f} s.", headers=retry)


async def live_model(use_case: str, request: Request) -> LiveModel:
    """The model that serves the use case now; raises Problem 404 for an unknown use case, 503 for one with no live version."""
    follower = parts_of(request).follower
    model = follower.models.get(use_case)
    if model is not None:
        return model
    check_known(use_case, request)
    live = follower.releases[use_case].live
    if live is not None:
        retry = {"Retry-After": str(LOADED_AFTER_S)}
        raise Problem(503, f"version {live.version} of {use_case!r} is being loaded here: ask again in a second.", headers=retry)
    raise Problem(
        503, f"{use_case!r} has no live version: none was promoted yet. Ask again later.", headers={"Retry-After": str(RETRY_AFTER_S)}
    )


def check_known(use_case: str, request: Request) -> None:
    """Raises Problem 404 for a use case of which no version was ever staged, 503 when the release documents were not read yet."""
    follower = parts_of(request).follower
    if not follower.informed:
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        raise Problem(503, "the gateway has not read the release document yet: is PostgreSQL up?", headers=retry)
    if use_case not in follower.releases:
        known = ", ".join(sorted(follower.releases)) or "none"
        raise Problem(404, f"no version of {use_case!r} was ever staged (use cases with one: {known}): run its train_and_release first.")


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
