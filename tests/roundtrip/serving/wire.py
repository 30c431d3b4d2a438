"""A TCP connection that a test can cut or stall: the service behind it goes on for everybody else."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Wire:
    """Forwards 127.0.0.1:port to a service until it is cut; a cut wire refuses connections and has dropped the open ones.

    A stalled one keeps them open and forwards nothing. `sent` is what went to the service.
    """

    def __init__(self, host: str, port: int) -> None:
        self._service = host, port
        self._whole = threading.Event()
        self._whole.set()
        self._flowing = threading.Event()
        self._flowing.set()
        self.sent = bytearray()
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def to(cls, address: str) -> Self:
        """A wire to the service of a URL."""
        parts = urlsplit(address)
        return cls(str(parts.hostname), int(parts.port or 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        self._whole.clear()
        self._flowing.set()
        while self._ends:
            with contextlib.suppress(OSError):
                self._ends.pop().shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        self._flowing.clear()

    def mend(self) -> None:
        self._whole.set()
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                near.close()
                continue
            far = socket.create_connection(self._service)
            self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target, self.sent if source is near else None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                if kept is not None:
                    kept += content
                self._flowing.wait()
                target.sendall(content)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
