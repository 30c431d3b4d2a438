"""The process that answers, on a socket that its keeper holds (__main__.py)."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from roundtrip.contracts.settings import settings
from roundtrip.serving.gateway.app import create_app

LAST_REQUESTS_S = 10
"""Seconds that running requests have to finish when the gateway has stopped answering new ones."""

log = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """uvicorn closes its socket at SIGTERM, which callers behind a balancer would see as refused connections. This one drains first."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, *, drain_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_s = drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM begins to drain; any other signal, and a second one, stops at once, as uvicorn does."""
        if sig != signal.SIGTERM or self._app.state.draining:
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        log.info("stopping: no longer ready, and answers for %.1f s more", self._drain_s)
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain_s, super().handle_exit, sig, frame)


def serve(listener: socket.socket, *, drain_s: float) -> None:
    """Answer until SIGTERM, and for `drain_s` seconds after it, no longer ready: a balancer that asks every second is gone by then."""
    app = create_app(settings())
    config = uvicorn.Config(
        app, access_log=False, log_config=None, server_header=False, proxy_headers=False, timeout_graceful_shutdown=LAST_REQUESTS_S
    )
    DrainingServer(config, app, drain_s=drain_s).run(sockets=[listener])
