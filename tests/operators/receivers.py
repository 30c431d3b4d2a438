"""A webhook's receiver and a mail server, small and real, on ports of their own; both keep what they get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import ClassVar


class Webhook(ThreadingHTTPServer):
    """Answers 200, but 500 below /broken."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.got: list[tuple[str, dict[str, str]]] = []


class _Hook(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, body))
        self.send_response(500 if self.path.startswith("/broken") else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the standard library
        """Says nothing."""


class MailServer(ThreadingTCPServer):
    """Takes every mail (RFC 5321, as far as a client without extensions goes)."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.got: list[tuple[list[str], str]] = []


class _Mail(StreamRequestHandler):
    server: MailServer
    ANSWERS: ClassVar[dict[str, str]] = {"DATA": "354 go on", "QUIT": "221 bye"}

    def handle(self) -> None:
        recipients: list[str] = []
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            self._say(self.ANSWERS.get(verb, "250 ok"))
            if verb == "RCPT":
                recipients.append(line.partition("<")[2].partition(">")[0])
            if verb == "DATA":
                self.server.got.append((recipients, self._content()))
                self._say("250 kept")
            if verb == "QUIT":
                return

    def _content(self) -> str:
        lines: list[str] = []
        while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
            lines.append(line)
        return "".join(lines)

    def _say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())


@contextmanager
def receiving() -> Iterator[tuple[Webhook, MailServer]]:
    """Both, at work."""
    with Webhook() as webhook, MailServer() as mail:
        for server in (webhook, mail):
            Thread(target=server.serve_forever, daemon=True).start()
        yield webhook, mail
        for server in (webhook, mail):
            server.shutdown()


def connections(webhook: Webhook, mail: MailServer, *, path: str = "/services/T/B") -> dict[str, dict[str, object]]:
    """Airflow's Connections for them, by id; the end of the webhook's path is the secret."""
    extra = {"to": "team@example.org", "from_email": "roundtrip@example.org", "disable_ssl": True, "disable_tls": True, "retry_limit": 1}
    return {
        "roundtrip_alerts_webhook": {
            "conn_type": "http", "host": f"http://127.0.0.1:{webhook.server_port}{path}", "password": "a-secret-token",
        },
        "roundtrip_alerts_email": {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.server_address[1], "extra": extra},
    }  # fmt: skip
