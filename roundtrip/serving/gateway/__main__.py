"""Serve the gateway: `python -m roundtrip.serving.gateway`. Address and keys come from the environment (settings.py).

This process only holds the listening socket, and keeps a worker going that answers. When the worker is killed, whoever comes until the next
one answers waits in the socket's queue, and is not refused.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from urllib.parse import urlsplit

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.contracts.settings import settings

QUEUE = 2048
"""Connections that may wait for the next worker: ten seconds of 200 callers a second."""
PORT_WITHIN_S = 5.0
"""Seconds in which the port must become free: the worker of a gateway that was killed is gone a moment after it."""
SETTLED_S, MOST_UNSETTLED = 30.0, 3
"""A worker that lives less long counts as unsettled; after so many of them in a row the gateway ends, and its supervisor says so."""

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m roundtrip.serving.gateway", description=__doc__)
    parser.add_argument("--drain-s", type=float, default=3.0, help="seconds to go on answering after SIGTERM (default: %(default)s)")
    parser.add_argument("--listening-fd", type=int, help=argparse.SUPPRESS)
    request = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if request.listening_fd is None:
        sys.exit(Keeper(drain_s=request.drain_s).keep())
    end_with_parent()
    from roundtrip.serving.gateway.worker import serve  # a second of imports, which the keeper has no use for

    serve(socket.socket(fileno=request.listening_fd), drain_s=request.drain_s)


class Keeper:
    """Holds the socket and starts workers."""

    def __init__(self, *, drain_s: float) -> None:
        self._drain_s = drain_s
        self._worker: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def keep(self) -> int:
        """Until SIGTERM or SIGINT, which go on to the worker: then gives 0, and 1 when workers don't settle."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        listener, unsettled = _listener(), 0
        while True:
            started = time.monotonic()
            code = self._run_worker(listener)
            unsettled = unsettled + 1 if time.monotonic() - started < SETTLED_S else 0
            if self._stopping:
                return 0
            if unsettled == MOST_UNSETTLED:
                log.error("%d workers in a row ended within %.0f s, the last with %d: see above", unsettled, SETTLED_S, code)
                return 1
            log.error("the gateway's worker ended with %d: another starts", code)

    def _run_worker(self, listener: socket.socket) -> int:
        """One worker from its start to its end. In a group of its own: who stops this process's group stops it once, not twice."""
        if self._stopping:
            return 0
        options = ["--drain-s", str(self._drain_s), "--listening-fd", str(listener.fileno())]
        command = [sys.executable, "-m", "roundtrip.serving.gateway", *options]
        self._worker = subprocess.Popen(command, pass_fds=[listener.fileno()], process_group=0)
        if self._stopping:
            self._worker.terminate()
        return self._worker.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._worker is not None:
            self._worker.send_signal(number)


def _listener() -> socket.socket:
    """The socket at ROUNDTRIP_GATEWAY_URL. Raises OSError when somebody else has the port."""
    address, deadline = urlsplit(settings().gateway_url), time.monotonic() + PORT_WITHIN_S
    while True:
        try:
            return socket.create_server((address.hostname or "127.0.0.1", address.port or 80), backlog=QUEUE)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main()
