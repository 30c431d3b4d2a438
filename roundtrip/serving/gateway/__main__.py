"""Serve the gateway: `python -m roundtrip.serving.gateway`. Address and keys come from the environment (settings.py)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from roundtrip.contracts.settings import settings
from roundtrip.serving.gateway.app import create_app

DRAIN_S = 3.0
"""Seconds that the gateway goes on answering after SIGTERM, no longer ready: a balancer that asks every second is gone by then."""
LAST_REQUESTS_S = 10
"""Seconds that running requests have to finish after that."""

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


def main(argv: Sequence[str] | None = None) -> None:
    """Serve at ROUNDTRIP_GATEWAY_URL until SIGTERM. One process: on two cores a second one adds nothing."""
    parser = argparse.ArgumentParser(prog="python -m roundtrip.serving.gateway", description=__doc__)
    parser.add_argument("--drain-s", type=float, default=DRAIN_S, help="seconds to go on answering after SIGTERM (default: %(default)s)")
    request = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    address, app = urlsplit(settings().gateway_url), create_app(settings())
    config = uvicorn.Config(
        app,
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LAST_REQUESTS_S,
    )
    DrainingServer(config, app, drain_s=request.drain_s).run()


if __name__ == "__main__":
    main()
