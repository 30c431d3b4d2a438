"""The gateway as its own process among the real services, while versions change and services go away."""

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
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import tritonclient.http

from roundtrip.contracts.errors import ReleaseConflict
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.registry.version_folder import publish
from roundtrip.serving.release import history, read_release
from roundtrip.serving.release_steps import probe, promote, roll_back, stage, tidy, wait_for_gateway
from tests.roundtrip.serving.conftest import KEY, Triton
from tests.roundtrip.serving.tiny_version import ROW
from tests.roundtrip.serving.wire import Wire

pytestmark = pytest.mark.stack

COLUMNS = {name: [value, value] for name, value in ROW.items()}


class Setting:
    """A gateway process, and the wires between it and the services."""

    def __init__(self, triton: Triton, versions: dict[str, Path], database: Wire, inference: Wire, port: int) -> None:
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
            "ROUNDTRIP_DATABASE_URL": _through(self.database, os.environ["ROUNDTRIP_DATABASE_URL"]),
            "ROUNDTRIP_TRITON_URL": f"127.0.0.1:{self.inference.port}",
        }
        process = subprocess.Popen([sys.executable, "-m", "roundtrip.serving.gateway"], cwd=REPOSITORY, env=environment)
        wait_until(lambda: self.status("/v2/health/ready") == 200, "the gateway is ready")
        return process

    def status(self, path: str) -> int:
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0

    def predict(self) -> httpx.Response:
        return self.client.post(f"/v1/models/{self.name}:predict", json={"instances": [ROW]})

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


@pytest.fixture
def setting(triton: Triton, release_schema: str, built_versions: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    address = urlsplit(release_schema)
    host, port = triton.address.split(":")
    with Wire(str(address.hostname), int(address.port or 0)) as database, Wire(host, int(port)) as inference:
        gateway_port = _free_port()
        monkeypatch.setenv("ROUNDTRIP_GATEWAY_URL", f"http://127.0.0.1:{gateway_port}")
        running = Setting(triton, built_versions, database, inference, gateway_port)
        yield running
        running.stop()


def test_no_request_fails_and_the_version_changes_once_while_a_release_and_its_roll_back_go_on(setting: Setting) -> None:
    setting.release("1")
    with traffic(setting) as seen:
        setting.release("2")
        assert setting.predict().json()["model_version"] == "2"
        wait_for_gateway(roll_back(setting.name, "2", why="test"))
        tidy(read_release(setting.name))
    assert set(seen) == {(200, "1", "triton"), (200, "2", "triton")}
    assert setting.triton.client.ready_versions(read_release(setting.name).live.triton_model) == {"1"}  # type: ignore[union-attr]


def test_promoting_twice_changes_the_document_once_and_keeps_the_version_before_loaded(setting: Setting) -> None:
    setting.release("1")
    generation = setting.stage("2")
    first = promote(setting.name, "2", expected_generation=generation, why="test")
    again = promote(setting.name, "2", expected_generation=generation, why="test")
    assert first == again == read_release(setting.name)
    assert [entry.stage for entry in history(setting.name)] == ["staged", "live", "staged", "live"]
    wait_for_gateway(again)
    assert tidy(again) == tidy(again) == []
    assert setting.triton.client.ready_versions(again.live.triton_model) == {"1", "2"}  # type: ignore[union-attr]


def test_a_candidate_that_another_run_replaced_is_not_promoted(setting: Setting) -> None:
    generation = setting.stage("1")
    setting.stage("2")
    with pytest.raises(ReleaseConflict, match="not the staged candidate"):
        promote(setting.name, "1", expected_generation=generation, why="test")
    with pytest.raises(ReleaseConflict, match=f"no longer at generation {generation}"):
        promote(setting.name, "2", expected_generation=generation, why="test")
    assert read_release(setting.name).live is None
    wait_until(lambda: setting.predict().status_code == 503, "the gateway has read the document, and serves nothing of it")


def test_onnx_runtime_answers_while_triton_is_away_and_triton_again_when_it_is_back(setting: Setting) -> None:
    setting.release("1")
    expected = setting.predict().json()["predictions"]
    with traffic(setting) as seen:
        setting.inference.cut()
        wait_until(lambda: setting.served_by() == "onnxruntime", "ONNX Runtime answers")
        found = setting.predict().json()["predictions"]
        setting.inference.mend()
        wait_until(lambda: setting.served_by() == "triton", "Triton answers again")
    assert {status for status, _, _ in seen} == {200}
    np.testing.assert_allclose([*found[0].values()], [*expected[0].values()], rtol=1e-6)


def test_the_gateway_reloads_a_model_that_triton_lost(setting: Setting) -> None:
    setting.release("1")
    with traffic(setting) as seen:
        setting.triton.client.unload(read_release(setting.name).live.triton_model)  # type: ignore[union-attr]
        wait_until(lambda: setting.served_by() == "onnxruntime", "ONNX Runtime answers")
        wait_until(lambda: setting.served_by() == "triton", "Triton answers again")
    assert {status for status, _, _ in seen} == {200}


def test_without_postgresql_the_gateway_goes_on_and_starts_again_after_kill_9_with_its_log_complete(setting: Setting, home: Path) -> None:
    setting.release("1")
    setting.database.cut()
    answered = [setting.predict() for _ in range(5)]
    setting.process.send_signal(signal.SIGKILL)
    setting.process.wait(10)
    setting.process = setting.start()
    answered.append(setting.predict())
    assert [answer.status_code for answer in answered] == [200] * 6
    setting.database.mend()
    generation = setting.stage("2")
    wait_for_gateway(promote(setting.name, "2", expected_generation=generation, why="test"))
    setting.process.terminate()
    assert setting.process.wait(20) in (0, -signal.SIGTERM)
    stored = "".join(path.read_text() for path in (home.parent / "store" / "prediction_log" / setting.name).glob("*.jsonl"))
    assert all(stored.count(answer.headers["x-request-id"]) == 1 for answer in answered)


def test_the_v2_client_of_triton_speaks_to_the_gateway(setting: Setting) -> None:
    setting.release("1")
    client = tritonclient.http.InferenceServerClient(setting.url.removeprefix("http://"))
    key = {"X-API-Key": KEY}
    assert client.is_server_live(headers=key)
    assert client.is_model_ready(setting.name, headers=key)
    described = client.get_model_metadata(setting.name, headers=key)
    inputs = [tritonclient.http.InferInput(entry["name"], [1], entry["datatype"]) for entry in described["inputs"]]
    for tensor in inputs:
        value = ROW[tensor.name()]
        tensor.set_data_from_numpy(np.array([value], dtype=object if isinstance(value, str) else np.float32), binary_data=False)
    answer = client.infer(setting.name, inputs, headers=key)
    predicted = setting.predict().json()["predictions"][0]
    np.testing.assert_allclose([answer.as_numpy(name)[0] for name in ("late", "late_p10", "late_p90")], [*predicted.values()], rtol=1e-6)


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


def _through(wire: Wire, address: str) -> str:
    parts = urlsplit(address)
    credentials = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{credentials}@127.0.0.1:{wire.port}").geturl()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
