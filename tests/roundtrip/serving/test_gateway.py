"""What callers may rely on, tried on a gateway whose PostgreSQL and Triton are away."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.settings import settings
from roundtrip.serving.gateway import live_model
from roundtrip.serving.gateway.access_log import WRITE_S
from roundtrip.serving.gateway.app import create_app
from roundtrip.serving.gateway.guards import LARGEST_BODY
from roundtrip.serving.http_headers import DEADLINE
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.triton_repository import LARGEST_BATCH
from tests.roundtrip.serving.gateway_process import KEY, wait_until
from tests.roundtrip.serving.tiny_version import ROW

PREDICT = "/v1/models/tiny:predict"


def test_a_gateway_without_postgresql_and_triton_answers_from_what_it_remembers(
    offline_gateway: TestClient, built_versions: dict[str, Path]
) -> None:
    answer = offline_gateway.post(PREDICT, json={"instances": [ROW, {"carrier": "??", "delay_minutes": 0}]}).json()
    assert (answer["model_version"], answer["served_by"]) == ("1", "onnxruntime")
    given = [[row["late"], row["late_p10"], row["late_p90"]] for row in answer["predictions"]]
    columns: dict[str, list[Value]] = {"carrier": ["AA", "??"], "delay_minutes": [12.0, 0.0], "wind_mph": [7.5, None]}
    np.testing.assert_allclose(np.array(given), Scorer(built_versions["1"]).predict(columns), rtol=1e-6)


def test_a_row_keeps_its_key(offline_gateway: TestClient) -> None:
    answer = offline_gateway.post(PREDICT, json={"instances": [ROW | {"key": "UA-1"}, ROW]}).json()
    assert [row.get("key") for row in answer["predictions"]] == ["UA-1", None]


@pytest.mark.parametrize(
    ("path", "method"),
    [(PREDICT, "POST"), ("/v2/models/tiny/infer", "POST"), ("/v2/models/tiny", "GET"), ("/v2/models/tiny/ready", "GET"), ("/v2", "GET"),
     ("/v1/models", "GET"), ("/v1/models/tiny", "GET"), ("/metrics", "GET")],
)  # fmt: skip
@pytest.mark.parametrize("key", [None, b"", b"the-gateway-kez", "schlüssel".encode()])
def test_a_request_without_the_right_key_is_refused(offline_gateway: TestClient, path: str, method: str, key: bytes | None) -> None:
    del offline_gateway.headers["X-API-Key"]
    answer = offline_gateway.request(method, path, headers={} if key is None else {b"X-API-Key": key})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_live_and_ready_need_no_key(offline_gateway: TestClient) -> None:
    del offline_gateway.headers["X-API-Key"]
    assert offline_gateway.get("/v2/health/live").status_code == 200
    assert offline_gateway.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"carrier": "AA"}, "#/instances/0/delay_minutes"),
        (ROW | {"delay_minutes": None}, "#/instances/0/delay_minutes"),
        (ROW | {"delay_minutes": 1501}, "#/instances/0/delay_minutes"),
        (ROW | {"delay_minutes": "12"}, "#/instances/0/delay_minutes"),
        (ROW | {"wind_mph": -0.1}, "#/instances/0/wind_mph"),
        (ROW | {"carrier": 7}, "#/instances/0/carrier"),
        (ROW | {"wnid_mph": 3}, "#/instances/0/wnid_mph"),
        (ROW | {"event_month": "2013-13"}, "#/instances/0/event_month"),
    ],
)
def test_a_row_that_breaks_the_contract_is_refused_with_a_pointer_to_its_field(
    offline_gateway: TestClient, row: dict[str, object], pointer: str
) -> None:
    answer = offline_gateway.post(PREDICT, json={"instances": [row]})
    assert answer.status_code == 422
    problem = answer.json()
    assert pointer in [entry["pointer"] for entry in problem["errors"]]
    assert problem["error"] == problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_infinity_is_refused(offline_gateway: TestClient) -> None:
    answer = offline_gateway.post(PREDICT, content=b'{"instances":[{"carrier":"AA","delay_minutes":1e999}]}')
    assert answer.status_code in (400, 422)


def test_a_body_that_is_no_json_is_malformed(offline_gateway: TestClient) -> None:
    assert offline_gateway.post(PREDICT, content=b'{"instances":').status_code == 400


@pytest.mark.parametrize("rows", [0, LARGEST_BATCH + 1])
def test_too_few_or_too_many_rows_are_refused(offline_gateway: TestClient, rows: int) -> None:
    answer = offline_gateway.post(PREDICT, json={"instances": [ROW] * rows})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/instances"


def test_the_largest_batch_is_answered(offline_gateway: TestClient) -> None:
    answer = offline_gateway.post(PREDICT, json={"instances": [ROW] * LARGEST_BATCH})
    assert len(answer.json()["predictions"]) == LARGEST_BATCH


def test_a_body_over_the_limit_is_refused_before_it_is_parsed(offline_gateway: TestClient) -> None:
    answer = offline_gateway.post(PREDICT, content=b" " * (LARGEST_BODY + 1))
    assert answer.status_code == 413


def test_an_unknown_use_case_is_not_found_and_one_without_a_live_version_says_when_to_retry(offline_gateway: TestClient) -> None:
    assert offline_gateway.post("/v1/models/nothing:predict", json={}).status_code == 404
    waiting = offline_gateway.post("/v1/models/waiting:predict", json={"instances": [ROW]})
    assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "10")


def test_a_live_version_that_is_not_loaded_yet_is_to_be_asked_for_again_in_a_second(remembered_release: dict[str, str], home: Path) -> None:
    shutil.rmtree(home.parent / "store" / "models")
    with TestClient(create_app(settings()), headers={"X-API-Key": KEY}) as gateway:
        wait_until(lambda: "is being loaded" in gateway.post(PREDICT, json={"instances": [ROW]}).text, "the document is read")
        answer = gateway.post(PREDICT, json={"instances": [ROW]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_wrong_path_and_a_wrong_method_are_problems_too(offline_gateway: TestClient) -> None:
    for answer, status in ((offline_gateway.get("/nowhere"), 404), (offline_gateway.get(PREDICT), 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_request_id_is_taken_over_unless_it_could_forge_a_log_line(offline_gateway: TestClient) -> None:
    assert offline_gateway.get("/v2", headers={"X-Request-ID": "trip-7"}).headers["x-request-id"] == "trip-7"
    assert offline_gateway.get("/v2", headers={"X-Request-ID": "a b"}).headers["x-request-id"] != "a b"


def test_the_documentation_shows_each_field_with_unit_and_range_and_asks_for_the_key(offline_gateway: TestClient) -> None:
    document = offline_gateway.get("/openapi.json").json()
    field = document["components"]["schemas"]["TinyInstance"]["properties"]["delay_minutes"]
    assert (field["unit"], field["minimum"], field["maximum"]) == ("min", -60, 1500)
    operation = document["paths"][PREDICT]["post"]
    assert list(operation["security"][0]) == list(document["components"]["securitySchemes"])
    infer = document["paths"]["/v2/models/{use_case}/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert "inputs" in document["components"]["schemas"][infer.rpartition("/")[2]]["required"]
    page = offline_gateway.get("/docs").text
    assert "cdn." not in page
    assert offline_gateway.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_the_example_of_the_documentation_works_as_it_stands(offline_gateway: TestClient) -> None:
    operation = offline_gateway.get("/openapi.json").json()["paths"][PREDICT]["post"]
    assert offline_gateway.post(PREDICT, json=operation["requestBody"]["content"]["application/json"]["example"]).status_code == 200


def test_metrics_count_rows_by_version_and_by_who_answered(offline_gateway: TestClient) -> None:
    offline_gateway.post(PREDICT, json={"instances": [ROW] * 3})
    text = offline_gateway.get("/metrics").text
    assert 'gateway_predictions_total{model_version="1",served_by="onnxruntime",use_case="tiny"} 3.0' in text
    assert 'gateway_triton_fallbacks_total{reason="away",use_case="tiny"} 1.0' in text


def test_v2_infer_gives_the_same_numbers_as_predict(offline_gateway: TestClient) -> None:
    tensors = [
        {"name": "carrier", "datatype": "BYTES", "shape": [2, 1], "data": [["AA"], ["WN"]]},
        {"name": "delay_minutes", "datatype": "FP32", "shape": [2], "data": [12.0, 0.0]},
        {"name": "wind_mph", "datatype": "FP32", "shape": [2], "data": [None, 3.0]},
    ]
    answer = offline_gateway.post("/v2/models/tiny/infer", json={"id": "q", "inputs": tensors, "outputs": [{"name": "late"}]}).json()
    rows = [{"carrier": "AA", "delay_minutes": 12.0}, {"carrier": "WN", "delay_minutes": 0.0, "wind_mph": 3.0}]
    predicted = offline_gateway.post(PREDICT, json={"instances": rows}).json()
    assert [output["name"] for output in answer["outputs"]] == ["late"]
    np.testing.assert_allclose(answer["outputs"][0]["data"], [row["late"] for row in predicted["predictions"]], rtol=1e-6)
    assert (answer["id"], answer["model_version"]) == ("q", "1")


def binary_infer(gateway: TestClient, described: dict[str, object], contents: bytes, **headers: str) -> tuple[int, bytes, bytes]:
    """Status, JSON and what follows it."""
    text = json.dumps(described).encode()
    named = {"Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"} | headers
    answer = gateway.post("/v2/models/tiny/infer", content=text + contents, headers=named)
    size = int(answer.headers.get("Inference-Header-Content-Length", len(answer.content)))
    return answer.status_code, answer.content[:size], answer.content[size:]


CARRIERS, DELAYS = b"\2\0\0\0AA\2\0\0\0WN", np.array([12, 0], dtype=np.float32).tobytes()
BINARY_INPUTS: list[dict[str, object]] = [
    {"name": "carrier", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(CARRIERS)}},
    {"name": "delay_minutes", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": len(DELAYS)}},
    {"name": "wind_mph", "datatype": "FP32", "shape": [2], "data": [None, 3.0]},
]


def test_v2_infer_takes_and_gives_binary_tensors(offline_gateway: TestClient) -> None:
    outputs = [{"name": "late", "parameters": {"binary_data": True}}, {"name": "late_p90"}]
    asked: dict[str, object] = {"inputs": BINARY_INPUTS, "outputs": outputs}
    _, text, contents = binary_infer(offline_gateway, asked, CARRIERS + DELAYS)
    described, found = json.loads(text), np.frombuffer(contents, dtype=np.float32)
    rows = [{"carrier": "AA", "delay_minutes": 12.0}, {"carrier": "WN", "delay_minutes": 0.0, "wind_mph": 3.0}]
    predicted = offline_gateway.post(PREDICT, json={"instances": rows}).json()["predictions"]
    np.testing.assert_allclose(found, [row["late"] for row in predicted], rtol=1e-6)
    np.testing.assert_allclose(described["outputs"][1]["data"], [row["late_p90"] for row in predicted], rtol=1e-6)
    assert described["outputs"][0]["parameters"] == {"binary_data_size": 8}
    asked = {"inputs": BINARY_INPUTS, "parameters": {"binary_data_output": True}}
    assert len(binary_infer(offline_gateway, asked, CARRIERS + DELAYS)[2]) == 3 * 8


@pytest.mark.parametrize(
    ("contents", "headers", "status", "said"),
    [
        (CARRIERS + DELAYS[:-1], {}, 422, "8 of 7 bytes"),
        (CARRIERS + DELAYS + b"more", {}, 422, "4 bytes after the JSON belong to no input"),
        (CARRIERS.replace(b"\2", b"\3") + DELAYS, {}, 422, "no BYTES tensor"),
        (CARRIERS.replace(b"AA", b"\xff\xff") + DELAYS, {}, 422, "no BYTES tensor"),
        (CARRIERS + DELAYS, {"Inference-Header-Content-Length": "99999"}, 400, "'99999', of a body of"),
        (CARRIERS + DELAYS, {"Inference-Header-Content-Length": "-1"}, 400, "'-1'"),
    ],
)
def test_contents_that_are_no_tensors_are_refused(
    offline_gateway: TestClient, contents: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    found, text, _ = binary_infer(offline_gateway, {"inputs": BINARY_INPUTS}, contents, **headers)
    assert (found, said in json.loads(text)["detail"]) == (status, True), text


def test_a_datatype_that_is_none_is_refused_and_a_missing_number_may_be_nan(offline_gateway: TestClient) -> None:
    carrier, delay, wind = BINARY_INPUTS
    nothing = np.array([np.nan, np.nan], dtype=np.float32).tobytes()
    missing = [carrier, delay, {**wind, "data": [], "parameters": {"binary_data_size": 8}}]
    assert binary_infer(offline_gateway, {"inputs": missing}, CARRIERS + DELAYS + nothing)[0] == 200
    status, text, _ = binary_infer(offline_gateway, {"inputs": [carrier, {**delay, "datatype": "FP31"}]}, CARRIERS + DELAYS)
    assert (status, b"no FP31 tensor" in text) == (422, True)


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ([{"name": "delay_minutes", "datatype": "FP32", "shape": [2], "data": [1.0]}], 422),
        ([{"name": "delay_minutes", "datatype": "FP32", "shape": [1, 2], "data": [[1.0, 2.0]]}], 422),
        ([{"name": "delay_minutes", "datatype": "FP32", "shape": [1], "data": [1.0]}], 422),
        ([], 422),
    ],
)
def test_v2_tensors_that_break_the_contract_are_refused(offline_gateway: TestClient, inputs: list[object], status: int) -> None:
    answer = offline_gateway.post("/v2/models/tiny/infer", json={"inputs": inputs})
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("accepted", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/*;q=0.2", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("*/*;q=0", 406),
        ("", 406),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, "/v2/models/tiny"])
def test_an_accept_header_that_json_does_not_meet_is_refused(offline_gateway: TestClient, path: str, accepted: str, status: int) -> None:
    method, body = ("POST", {"instances": [ROW]}) if path == PREDICT else ("GET", None)
    answer = offline_gateway.request(method, path, json=body, headers={"Accept": accepted})
    assert answer.status_code == status
    assert answer.headers["content-type"] == ("application/json" if status == 200 else "application/problem+json")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/json"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, "/v2/models/tiny/infer"])
def test_a_body_that_is_announced_as_no_plain_json_is_refused(
    offline_gateway: TestClient, path: str, headers: dict[str, str], status: int
) -> None:
    body: dict[str, object] = {"instances": [ROW]}
    if path != PREDICT:
        body = {"inputs": [{"name": name, "datatype": "FP32", "shape": [1], "data": [value]} for name, value in ROW.items()]}
    assert offline_gateway.post(path, content=json.dumps(body), headers=headers).status_code == status


def test_the_metrics_are_given_in_the_format_that_prometheus_asks_for(offline_gateway: TestClient) -> None:
    assert offline_gateway.get("/metrics").headers["content-type"].startswith("text/plain")
    asked = offline_gateway.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")


def test_more_rows_than_may_wait_are_refused_at_once_and_the_next_that_fit_are_answered(
    offline_gateway: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_model, "MOST_ROWS_WAITING", 4)
    refused = offline_gateway.post(PREDICT, json={"instances": [ROW] * 5})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "limit 4" in refused.json()["detail"]
    assert offline_gateway.post(PREDICT, json={"instances": [ROW] * 4}).status_code == 200


def test_a_deadline_that_passes_is_said_and_one_that_is_kept_changes_nothing(offline_gateway: TestClient) -> None:
    late = offline_gateway.post(PREDICT, json={"instances": [ROW] * LARGEST_BATCH}, headers={DEADLINE: "1"})
    assert (late.status_code, late.headers["content-type"]) == (504, "application/problem+json")
    assert offline_gateway.post(PREDICT, json={"instances": [ROW]}, headers={DEADLINE: "5000"}).status_code == 200


@pytest.mark.parametrize("milliseconds", ["0", "-5", "1.5", "soon", "10000000", "1e3", "٥"])
@pytest.mark.parametrize("path", [PREDICT, "/v2/models/tiny/infer"])
def test_a_deadline_that_is_no_number_of_milliseconds_is_refused(offline_gateway: TestClient, path: str, milliseconds: str) -> None:
    answer = offline_gateway.post(path, json={"instances": [ROW]}, headers={DEADLINE.encode(): milliseconds.encode()})
    assert answer.status_code == 400
    assert DEADLINE in answer.json()["detail"]


def test_a_callers_trace_comes_back_and_stands_in_the_access_log_with_who_asked_what(offline_gateway: TestClient, home: Path) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "X-Request-ID": "trip-7"}
    answer = offline_gateway.post(PREDICT, json={"instances": [ROW | {"key": "secret-passenger"}] * 3}, headers=sent)
    assert answer.headers["traceparent"].split("-")[1] == trace_id
    assert answer.headers["traceparent"] != sent["traceparent"]
    offline_gateway.get("/v2/models/nothing")
    del offline_gateway.headers["X-API-Key"]
    offline_gateway.get("/v2")
    offline_gateway.get("/v2/health/ready")
    log, deadline = home / "logs" / "gateway_access.jsonl", time.monotonic() + 5
    while not log.exists():
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.05)
    time.sleep(2 * WRITE_S)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["route"], line["status"], line["key"]) for line in lines] == [
        ("/v1/models/{use_case}:predict", 200, "stack"),
        ("/v2/models/{use_case}", 404, "stack"),
        ("/v2", 401, None),
    ]
    predicted = lines[0]
    assert (predicted["trace_id"], predicted["request_id"], predicted["rows"]) == (trace_id, "trip-7", 3)
    assert (predicted["use_case"], predicted["version"], predicted["served_by"]) == ("tiny", "1", "onnxruntime")
    assert 0 < predicted["seconds"] < 5
    assert not any(word in log.read_text() for word in (KEY, "secret-passenger", "carrier"))


def test_the_releases_of_every_use_case_are_listed_without_postgresql_and_a_history_says_that_it_needs_it(
    offline_gateway: TestClient, remembered_release: dict[str, str]
) -> None:
    listed = {entry["use_case"]: entry for entry in offline_gateway.get("/v1/models").json()["models"]}
    assert listed["tiny"] == {
        "use_case": "tiny",
        "generation": 2,
        "live": remembered_release,
        "previous": None,
        "candidate": None,
        "stage": "staged",
        "share": 0,
    }
    assert listed["waiting"]["live"] is None
    away = offline_gateway.get("/v1/models/tiny")
    assert (away.status_code, away.headers["retry-after"]) == (503, "10")
    assert "GET /v1/models shows the releases" in away.json()["detail"]
    assert offline_gateway.get("/v1/models/nothing").status_code == 404
