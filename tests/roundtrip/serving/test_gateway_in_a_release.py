"""The gateway as its own process among the real services, while versions change and services go away."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http

from roundtrip.cli.stack.layout import Stack
from roundtrip.cli.stack.processes import descendants
from roundtrip.cli.stack.records import recorded
from roundtrip.contracts.errors import ReleaseConflict
from roundtrip.serving.http_headers import DEADLINE
from roundtrip.serving.release import history, read_release
from roundtrip.serving.release_steps import promote, roll_back, tidy, wait_for_gateway
from tests.roundtrip.serving.gateway_process import KEY, Setting, traffic, wait_until
from tests.roundtrip.serving.tiny_version import ROW

pytestmark = pytest.mark.stack


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


def test_while_triton_is_stuck_a_caller_with_a_deadline_is_answered_within_it_by_onnx_runtime(setting: Setting) -> None:
    setting.release("1")
    setting.inference.stall()
    answer = setting.predict({DEADLINE: "900"})
    assert (answer.status_code, answer.json()["served_by"]) == (200, "onnxruntime"), "later than that it would be 504"
    setting.inference.mend()
    wait_until(lambda: setting.served_by() == "triton", "Triton answers again")


def test_requests_that_come_together_share_calls_to_triton_and_lose_nothing_when_it_goes_away(setting: Setting) -> None:
    setting.release("1")
    rows = [ROW | {"delay_minutes": float(number)} for number in range(200)]

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=setting.url, headers={"X-API-Key": KEY}, timeout=10, limits=limits) as client:
            asked = [client.post(f"/v1/models/{setting.name}:predict", json={"instances": [row]}) for row in rows]
            return await asyncio.gather(*asked)

    expected = [tuple(row.values()) for row in setting.predict_rows(rows)]
    together = asyncio.run(ask_all())
    assert {answer.json()["served_by"] for answer in together} == {"triton"}
    np.testing.assert_allclose([tuple(answer.json()["predictions"][0].values()) for answer in together], expected, rtol=1e-5)
    calls = next(line for line in setting.client.get("/metrics").text.splitlines() if line.startswith("gateway_triton_batch_rows_count"))
    assert float(calls.split()[-1]) < len(rows)
    threading.Timer(0.02, setting.inference.cut).start()
    cut_off = asyncio.run(ask_all())
    setting.inference.mend()
    assert {answer.status_code for answer in cut_off} == {200}
    np.testing.assert_allclose([tuple(answer.json()["predictions"][0].values()) for answer in cut_off], expected, rtol=1e-5)


def test_a_callers_trace_goes_on_to_triton(setting: Setting) -> None:
    setting.release("1")
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = setting.predict({"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "tracestate": "congo=t61rcWkgMzE"})
    assert answer.headers["traceparent"].encode() in setting.inference.asking.sent
    assert b"congo=t61rcWkgMzE" in setting.inference.asking.sent


def test_the_gateway_shows_the_releases_and_who_changed_them_why(setting: Setting) -> None:
    setting.release("1")
    setting.release("2")
    release = read_release(setting.name)
    shown = setting.client.get(f"/v1/models/{setting.name}").json()
    assert (shown["generation"], shown["live"]["version"], shown["previous"]["version"]) == (release.generation, "2", "1")
    assert [(entry["generation"], entry["stage"], entry["version"], entry["why"]) for entry in shown["history"]] == [
        (4, "live", "2", "test"), (3, "staged", "2", "test"), (2, "live", "1", "test"), (1, "staged", "1", "test"),
    ]  # fmt: skip
    assert all(entry["who"] and entry["at"] for entry in shown["history"])
    assert setting.name in [entry["use_case"] for entry in setting.client.get("/v1/models").json()["models"]]


def test_a_killed_backend_process_of_the_live_version_is_started_again_and_no_request_fails(setting: Setting, stack: Stack) -> None:
    setting.release("1")
    live, server = read_release(setting.name).live, recorded(stack, "triton")
    assert live is not None and server is not None
    backend = f"/{live.triton_model}/{live.version}/"
    (stub,) = (pid for pid in descendants(server.pid) if backend in Path(f"/proc/{pid}/cmdline").read_text())
    with traffic(setting) as seen:
        os.kill(stub, signal.SIGKILL)
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


@pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary tensors"])
def test_the_v2_client_of_triton_speaks_to_the_gateway(setting: Setting, binary: bool) -> None:
    setting.release("1")
    client = tritonclient.http.InferenceServerClient(setting.url.removeprefix("http://"))
    key = {"X-API-Key": KEY}
    assert client.is_server_live(headers=key)
    assert client.is_server_ready(headers=key)
    assert client.get_server_metadata(headers=key)["name"] == "roundtrip_gateway"
    assert client.is_model_ready(setting.name, headers=key)
    described = client.get_model_metadata(setting.name, headers=key)
    inputs = [tritonclient.http.InferInput(entry["name"], [1], entry["datatype"]) for entry in described["inputs"]]
    for tensor in inputs:
        value = ROW[tensor.name()]
        tensor.set_data_from_numpy(np.array([value], dtype=object if isinstance(value, str) else np.float32), binary_data=binary)
    outputs = [tritonclient.http.InferRequestedOutput(entry["name"], binary_data=binary) for entry in described["outputs"]]
    answer = client.infer(setting.name, inputs, outputs=outputs, headers=key)
    predicted = setting.predict().json()["predictions"][0]
    np.testing.assert_allclose([answer.as_numpy(name)[0] for name in ("late", "late_p10", "late_p90")], [*predicted.values()], rtol=1e-6)
