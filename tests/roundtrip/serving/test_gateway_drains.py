"""A gateway that is stopped under load fails no request of a balancer that asks whether it is ready."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.roundtrip.serving.conftest import gateway_process
from tests.roundtrip.serving.gateway_process import KEY
from tests.roundtrip.serving.tiny_version import ROW

POLL_S = 0.2


class Balancer:
    """Four callers that ask while the gateway said last that it is ready; counts what they got."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._in_rotation, self._stopped = threading.Event(), threading.Event()
        self.readiness: list[int] = []
        self.seen: Counter[int | str] = Counter()
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._poll), *(threading.Thread(target=self._ask) for _ in range(4))]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(POLL_S):
            try:
                status = httpx.get(f"{self._url}/v2/health/ready", timeout=5).status_code
            except httpx.TransportError:
                status = 0
            self.readiness.append(status)
            (self._in_rotation.set if status == 200 else self._in_rotation.clear)()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, headers={"X-API-Key": KEY}, timeout=10) as client:
            while not self._stopped.is_set():
                if not self._in_rotation.wait(0.05):
                    continue
                got: int | str
                try:
                    got = client.post("/v1/models/tiny:predict", json={"instances": [ROW]}).status_code
                except httpx.TransportError as error:
                    got = repr(error)
                with self._counting:
                    self.seen[got] += 1


@pytest.mark.usefixtures("remembered_release")
def test_a_stopped_gateway_turns_unready_finishes_what_it_was_asked_and_ships_its_log(home: Path) -> None:
    with gateway_process(drain_s=1.5) as (url, process):
        balancer = Balancer(url)
        balancer.start()
        try:
            deadline = time.monotonic() + 60
            while balancer.seen[200] < 100:
                assert time.monotonic() < deadline, f"the gateway does not answer: {balancer.seen}"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in (0, -signal.SIGTERM)
        finally:
            balancer.stop()
    assert list(balancer.seen) == [200]
    after_ready = balancer.readiness[balancer.readiness.index(200) :]
    assert 503 in after_ready, "it says that it is not ready before it closes its socket"
    stored = [path.read_text().count("\n") for path in (home.parent / "store" / "prediction_log" / "tiny").glob("*.jsonl")]
    assert sum(stored) == balancer.seen[200]
    assert not list((home / "gateway" / "spool").glob("*/*"))
    accessed = (home / "logs" / "gateway_access.jsonl").read_text().count(":predict")
    assert accessed == balancer.seen[200]
