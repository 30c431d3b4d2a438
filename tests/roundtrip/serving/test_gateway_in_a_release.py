"""The gateway as its own process among the real services, while versions change and services go away."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http

from roundtrip.contracts.errors import ReleaseConflict
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
