"""The gateway as its own process among the real services, with wires that can be cut between them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.registry.version_folder import publish
from roundtrip.serving.release_steps import probe, promote, stage, wait_for_gateway
from roundtrip.serving.triton_client import TritonClient
from tests.roundtrip.serving.tiny_version import ROW
from tests.roundtrip.serving.wire import Wire

KEY = "the-gateway-key"
COLUMNS = {name: [value, value] for name, value in ROW.items()}


@dataclass(frozen=True)
class Triton:
    """The stack's Triton, and a use case name that nobody else uses on it."""

    client: TritonClient
    address: str
    repository: Path
    use_case_name: str


@dataclass(frozen=True)
class TritonWires:
    """The gateway's two ways to Triton, which are cut, stalled and mended together."""

    asking: Wire
    loading: Wire

    def cut(self) -> None:
        self.asking.cut()
        self.loading.cut()

    def stall(self) -> None:
        self.asking.stall()
        self.loading.stall()

    def mend(self) -> None:
        self.asking.mend()
        self.loading.mend()


class Setting:
    """A gateway process, and the wires between it and the services."""

    def __init__(self, triton: Triton, versions: dict[str, Path], database: Wire, inference: TritonWires, port: int) -> None:
        self.name = triton.use_case_name
        self.triton = triton
        self.versions = versions
        self.database = database
        self.inference = inference
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=10)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "ROUNDTRIP_DATABASE_URL": through(self.database, os.environ["ROUNDTRIP_DATABASE_URL"]),
            "ROUNDTRIP_TRITON_URL": f"127.0.0.1:{self.inference.loading.port}",
            "ROUNDTRIP_TRITON_HTTP_URL": f"http://127.0.0.1:{self.inference.asking.port}",
        }
        process = subprocess.Popen([sys.executable, "-m", "roundtrip.serving.gateway", "--drain-s", "0"], cwd=REPOSITORY, env=environment)
        wait_until(lambda: self.status("/v2/health/ready") == 200, "the gateway is ready")
        return process

    def status(self, path: str) -> int:
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0

    def predict(self, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.client.post(f"/v1/models/{self.name}:predict", json={"instances": [ROW]}, headers=headers)

    def predict_rows(self, rows: list[dict[str, Value]]) -> list[dict[str, float]]:
        answer = self.client.post(f"/v1/models/{self.name}:predict", json={"instances": rows})
        predictions: list[dict[str, float]] = answer.json()["predictions"]
        return predictions

    def served_by(self) -> str:
        return str(self.predict().json()["served_by"])

    def stage(self, version: str) -> int:
        digest = publish(self.versions[version], self.name, version)
        release = stage(self.name, version, digest=digest, why="test")
        probe(self.name, version, digest=digest, columns=COLUMNS)
        return release.generation

    def release(self, version: str) -> None:
        generation = self.stage(version)
        wait_for_gateway(promote(self.name, version, expected_generation=generation, why="test"))

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) in (0, -signal.SIGTERM)
        self.client.close()


@contextmanager
def traffic(setting: Setting) -> Iterator[Counter[tuple[int, str, str]]]:
    """Requests without a pause; counts (status, version, who answered)."""
    seen: Counter[tuple[int, str, str]] = Counter()
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=setting.url, headers={"X-API-Key": KEY}, timeout=10) as client:
            while not stop.wait(0.005):
                answer = client.post(f"/v1/models/{setting.name}:predict", json={"instances": [ROW]})
                said = answer.json()
                seen[answer.status_code, str(said.get("model_version")), str(said.get("served_by"))] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.05)


def through(wire: Wire, address: str) -> str:
    parts = urlsplit(address)
    credentials = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{credentials}@127.0.0.1:{wire.port}").geturl()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
