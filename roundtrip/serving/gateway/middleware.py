"""Gives every request an id and a trace, counts it, times it and logs it. Plain ASGI: Starlette's BaseHTTPMiddleware costs a task each."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roundtrip.serving.gateway.access_log import Access
from roundtrip.serving.gateway.metrics import Metrics
from roundtrip.serving.gateway.predicting import Answered
from roundtrip.serving.gateway.trace_context import TraceContext, current_trace, trace_of

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
"""An id of this form is taken over from the caller's X-Request-ID; any other is replaced, so that none can forge log lines."""
_PROBED = ("/v2/health/live", "/v2/health/ready")
"""Routes that the access log leaves out: a balancer asks them every second."""


class RequestObserver:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, trace = _request_id(scope), trace_of(_values(scope, b"traceparent"), _values(scope, b"tracestate"))
        current_trace.set(trace)
        arrived, status = time.monotonic(), 500
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, arrived=arrived)
        named = [(b"x-request-id", request_id.encode()), (b"traceparent", trace.traceparent.encode())]

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = [(b"connection", b"close")] if scope["app"].state.draining else []
                message["headers"] = [*message.get("headers", []), *named, *closing]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            route, seconds = getattr(scope.get("route"), "path_format", "none"), time.monotonic() - arrived
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if route not in _PROBED:
                scope["app"].state.parts.access_log.add(_access(scope, state, trace, route, status, seconds))


def _access(scope: Scope, state: MutableMapping[str, object], trace: TraceContext, route: str, status: int, seconds: float) -> Access:
    answered = cast(Answered | None, state.get("answered"))
    return Access(
        at=datetime.now(UTC),
        method=scope["method"],
        route=route,
        status=status,
        seconds=round(seconds, 6),
        key=cast(str | None, state.get("key_name")),
        request_id=cast(str, state["request_id"]),
        trace_id=trace.trace_id,
        use_case=scope.get("path_params", {}).get("use_case"),
        version=answered.model.released.version if answered else None,
        served_by=answered.served_by if answered else None,
        rows=len(answered.keys) if answered else None,
    )


def _values(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def _request_id(scope: Scope) -> str:
    given = next(iter(_values(scope, b"x-request-id")), b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
