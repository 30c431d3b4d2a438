"""A gateway whose worker is killed refuses nobody, and one that is killed itself leaves no worker behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter

import httpx
import psutil
import pytest

from tests.roundtrip.serving.conftest import gateway_process
from tests.roundtrip.serving.gateway_process import KEY, wait_until
from tests.roundtrip.serving.tiny_version import ROW

CALLERS = 4


def predict(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/models/tiny:predict", json={"instances": [ROW]})


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=20).is_success
    except httpx.TransportError:
        return False


def worker_of(gateway: int) -> int:
    (worker,) = psutil.Process(gateway).children()
    return worker.pid


@pytest.mark.usefixtures("remembered_release")
def test_who_comes_while_a_killed_worker_is_replaced_waits_and_is_answered() -> None:
    with gateway_process(drain_s=0) as (url, process):
        wait_until(lambda: is_ready(url), "the gateway is ready")
        seen: Counter[int | str] = Counter()
        stopped = threading.Event()

        def ask() -> None:
            while not stopped.is_set():
                with httpx.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=30) as client:  # a connection of its own each time
                    try:
                        seen[predict(client).status_code] += 1
                    except httpx.TransportError as error:
                        seen[type(error).__name__] += 1
                time.sleep(0.01)

        callers = [threading.Thread(target=ask) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        time.sleep(1)
        first = worker_of(process.pid)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: [child.pid for child in psutil.Process(process.pid).children()] not in ([], [first]), "another worker starts")
        answered = seen[200]
        wait_until(lambda: seen[200] > answered + 50, "it answers")
        stopped.set()
        for caller in callers:
            caller.join()
        assert seen["ConnectError"] == 0
        assert sum(count for got, count in seen.items() if got not in (200, 503)) <= CALLERS, seen  # those that were under way


@pytest.mark.usefixtures("remembered_release")
def test_a_gateway_that_is_killed_takes_its_worker_with_it() -> None:
    with gateway_process(drain_s=0) as (url, process):
        wait_until(lambda: is_ready(url), "the gateway is ready")
        worker = psutil.Process(worker_of(process.pid))
        process.kill()
        worker.wait(10)
        assert not is_ready(url)


def test_a_worker_that_can_not_start_ends_the_gateway(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUNDTRIP_GATEWAY_KEY")
    with gateway_process(drain_s=0) as (_, process):
        assert process.wait(60) != 0
