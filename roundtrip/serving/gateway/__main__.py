"""Serve the gateway: `python -m roundtrip.serving.gateway`. Address and keys come from the environment (settings.py)."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import uvicorn

from roundtrip.contracts.settings import settings
from roundtrip.serving.gateway.app import create_app

LAST_REQUESTS_S = 10
"""Seconds that running requests have to finish when the gateway is stopped."""


def main() -> None:
    """Serve at ROUNDTRIP_GATEWAY_URL until SIGTERM. One process: on two cores a second one adds nothing."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    address = urlsplit(settings().gateway_url)
    uvicorn.run(
        create_app(settings()),
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=LAST_REQUESTS_S,
    )


if __name__ == "__main__":
    main()
