"""What may stand between a client and the gateway: an HTTP server that fails as it is told to, and forwards all else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx


@dataclass(frozen=True)
class Failure:
    """The answer to one request instead of the gateway's; status 0: the connection is closed without one."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class FlakyFront:
    """As a context manager it serves at `url`. `failures` are used up in order by requests whose path ends with :predict."""

    def __init__(self, gateway_url: str) -> None:
        self.failures: deque[Failure] = deque()
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Path and headers (names in lower case) of each request."""
        front, client = self, httpx.Client(base_url=gateway_url)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                front.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                if self.path.endswith(":predict") and front.failures:
                    failure = front.failures.popleft()
                    if failure.status == 0:
                        self.close_connection = True
                    else:
                        self._send(failure.status, failure.headers, b"out of order")
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
                answer = client.request(self.command, self.path, headers=headers, content=body)
                self._send(
                    answer.status_code, {name: answer.headers[name] for name in answer.headers if name == "retry-after"}, answer.content
                )

            def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def predictions(self) -> list[dict[str, str]]:
        """Headers of the :predict requests so far."""
        return [headers for path, headers in self.seen if path.endswith(":predict")]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
