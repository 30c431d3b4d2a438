"""The client against a gateway that is a server of its own, behind a front that fails now and then."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.contracts.errors import BadName, RequestRefused, RowRefused, ServiceUnavailable
from roundtrip.contracts.settings import settings
from roundtrip.serving.client import AsyncClient, Client, ServedContract
from roundtrip.serving.client.answers import Unanswered, accepted
from roundtrip.serving.gateway.app import create_app
from roundtrip.serving.gateway.schema import request_model
from roundtrip.serving.gateway.v2_protocol import metadata
from roundtrip.serving.http_headers import DEADLINE
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.triton_repository import LARGEST_BATCH
from tests.roundtrip.serving.flaky_front import Failure, FlakyFront
from tests.roundtrip.serving.gateway_process import KEY
from tests.roundtrip.serving.tiny_version import ROW, tiny_contract

CONTRACT = ServedContract.from_json(json.dumps(metadata(tiny_contract(), "1")).encode())


@pytest.fixture
def front(remembered_release: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyFront]:
    """A gateway that serves version 1 of `tiny` from what it remembers, and the front before it. Settings lead to the front."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings()), log_config=None))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    gateway_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    deadline = time.monotonic() + 20
    while not httpx.get(f"{gateway_url}/v2/health/ready").is_success:
        assert time.monotonic() < deadline, "the gateway did not load the version that it remembers"
        time.sleep(0.05)
    with FlakyFront(gateway_url) as before:
        monkeypatch.setenv("ROUNDTRIP_GATEWAY_URL", before.url)
        yield before
    server.should_exit = True
    serving.join(30)


@pytest.fixture
def client(front: FlakyFront) -> Iterator[Client]:
    with Client("tiny") as asking:
        yield asking


def test_rows_are_answered_in_their_order_with_key_and_version(client: Client, built_versions: dict[str, Path]) -> None:
    answer = client.predict([{**ROW, "key": "UA-1"}, {"carrier": "WN", "delay_minutes": 3}])
    assert [(row.key, row.model_version, row.served_by) for row in answer.predictions] == [
        ("UA-1", "1", "onnxruntime"), (None, "1", "onnxruntime"),
    ]  # fmt: skip
    expected = Scorer(built_versions["1"]).predict({"carrier": ["AA", "WN"], "delay_minutes": [12.0, 3.0], "wind_mph": [7.5, None]})
    given = [[row.values["late"], row.values["late_p10"], row.values["late_p90"]] for row in answer.predictions]
    np.testing.assert_allclose(given, expected, rtol=1e-6)


def test_numpy_numbers_and_nan_are_sent_as_numbers_and_missing_values(client: Client) -> None:
    numpy_row = {"carrier": np.str_("AA"), "delay_minutes": np.int64(12), "wind_mph": np.float32("nan")}
    plain_row = {"carrier": "AA", "delay_minutes": 12.0, "wind_mph": None}
    assert client.predict([numpy_row]).predictions == client.predict([plain_row]).predictions


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"carrier": "AA", "delay_minute": 3}, "'delay_minute' is no input (did you mean 'delay_minutes'?)"),
        ({"carrier": "AA"}, "delay_minutes (late off the gate) [min] is missing, and required"),
        (ROW | {"delay_minutes": None}, "delay_minutes (late off the gate) [min] is missing, and required"),
        (ROW | {"delay_minutes": 1501}, "delay_minutes (late off the gate) [min] is 1501 (limits -60 to 1500)"),
        (ROW | {"delay_minutes": float("inf")}, "is inf (limits -60 to 1500)"),
        (ROW | {"delay_minutes": "12"}, "delay_minutes (late off the gate) [min] is '12', no number"),
        (ROW | {"delay_minutes": True}, "is True, no number"),
        (ROW | {"carrier": 7}, "carrier (airline) [code] is 7, no text"),
        (ROW | {"key": 7}, "key is 7, no text"),
        (ROW | {"xyz": 7}, "'xyz' is no input (there are carrier, delay_minutes, wind_mph, key, event_month)"),
    ],
)
def test_a_row_that_breaks_the_contract_is_named_and_nothing_is_sent(
    client: Client, front: FlakyFront, row: dict[str, object], said: str
) -> None:
    with pytest.raises(RowRefused) as refused:
        client.predict([ROW, row])
    assert said in str(refused.value)
    assert "row 1 (the first is 0)" in str(refused.value)
    assert front.predictions() == []


@given(
    st.fixed_dictionaries(
        {"carrier": st.text(max_size=200), "delay_minutes": st.floats(-60, 1500)},
        optional={"wind_mph": st.none() | st.floats(0, 100) | st.just(float("nan"))},
    )
)
def test_what_the_check_lets_through_is_what_the_gateway_s_own_schema_accepts(row: dict[str, object]) -> None:
    request_model(tiny_contract()).model_validate({"instances": CONTRACT.checked([row])})


def test_more_rows_than_one_request_takes_go_in_several_under_one_request_id(client: Client, front: FlakyFront) -> None:
    rows = [{**ROW, "key": str(place)} for place in range(2 * LARGEST_BATCH + 1)]
    answer = client.predict(rows)
    assert [row.key for row in answer.predictions] == [row["key"] for row in rows]
    assert [headers["x-request-id"] for headers in front.predictions()] == [answer.request_id] * 3


def test_no_rows_are_no_request(client: Client, front: FlakyFront) -> None:
    assert client.predict([]).predictions == ()
    assert front.predictions() == []


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_what_fails_for_a_moment_is_tried_again_under_the_same_request_id(client: Client, front: FlakyFront, status: int) -> None:
    front.failures.extend([Failure(status), Failure(status)])
    answer = client.predict([ROW])
    assert len(answer.predictions) == 1
    assert [headers["x-request-id"] for headers in front.predictions()] == [answer.request_id] * 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422])
def test_a_refusal_is_never_tried_again(client: Client, front: FlakyFront, status: int) -> None:
    front.failures.append(Failure(status))
    with pytest.raises(RequestRefused, match=f"{status} .*: out of order"):
        client.predict([ROW])
    assert len(front.predictions()) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_a_gateway_that_asks_for_time_gets_it(client: Client, front: FlakyFront, status: int, as_date: bool) -> None:
    asked = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True) if as_date else "2"
    front.failures.append(Failure(status, {"Retry-After": asked}))
    started = time.monotonic()
    client.predict([ROW])
    assert 1 < time.monotonic() - started < 6


def test_a_wait_beyond_the_deadline_is_not_begun(front: FlakyFront) -> None:
    started = time.monotonic()
    with Client("waiting", deadline_s=5) as asking, pytest.raises(ServiceUnavailable, match=r"asks to wait 10 s.*later deadline"):
        asking.predict([ROW])
    assert time.monotonic() - started < 2


def test_a_gateway_that_is_away_is_tried_until_the_deadline_and_no_longer(front: FlakyFront) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with Client("tiny", url=f"http://127.0.0.1:{port}", deadline_s=1.5) as asking, pytest.raises(ServiceUnavailable) as raised:
        asking.predict([ROW])
    assert 0.2 < time.monotonic() - started < 2.5
    assert "within the deadline of 1.5 s" in str(raised.value) and "ConnectError" in str(raised.value)


def test_a_gateway_that_does_not_answer_is_left_at_the_deadline(front: FlakyFront) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with Client("tiny", url=url, deadline_s=1) as asking, pytest.raises(ServiceUnavailable, match="ReadTimeout"):
            asking.predict([ROW])
        assert 0.9 < time.monotonic() - started < 2


def test_each_try_hands_on_what_is_left_of_the_deadline(client: Client, front: FlakyFront) -> None:
    front.failures.append(Failure(503, {"Retry-After": "1"}))
    client.predict([ROW], deadline_s=6)
    first, second = (int(headers[DEADLINE.lower()]) for headers in front.predictions())
    assert second <= first - 1000
    assert 0 < second < first <= 6000


def test_a_contract_that_was_read_earlier_refuses_nothing_by_itself(client: Client, front: FlakyFront) -> None:
    client.predict([ROW])
    client.predict([ROW])
    assert [path for path, _ in front.seen].count("/v2/models/tiny") == 1
    with pytest.raises(RowRefused):
        client.predict([ROW | {"xyz": 1}])
    assert [path for path, _ in front.seen].count("/v2/models/tiny") == 2


def test_after_a_refusal_the_contract_is_read_anew(client: Client, front: FlakyFront) -> None:
    client.predict([ROW])
    front.failures.append(Failure(422))
    with pytest.raises(RequestRefused):
        client.predict([ROW])
    client.predict([ROW])
    assert [path for path, _ in front.seen].count("/v2/models/tiny") == 2


def test_the_contract_s_example_is_answered(client: Client) -> None:
    contract = client.contract()
    assert (contract.name, contract.versions, contract.parameters.most_rows) == ("tiny", ("1",), LARGEST_BATCH)
    assert len(client.predict([contract.example()]).predictions) == 1


def test_asyncio_clients_ask_at_the_same_time_and_are_answered_as_the_blocking_one_is(client: Client, front: FlakyFront) -> None:
    async def ask() -> list[object]:
        async with AsyncClient("tiny") as asking:
            front.failures.extend([Failure(503), Failure(0)])
            return [answer.predictions for answer in await asyncio.gather(*(asking.predict([ROW]) for _ in range(8)))]

    assert asyncio.run(ask()) == [client.predict([ROW]).predictions] * 8


def test_an_asyncio_client_gives_up_at_the_deadline_and_reports_a_refusal(front: FlakyFront) -> None:
    async def ask() -> None:
        async with AsyncClient("waiting", deadline_s=1) as asking:
            with pytest.raises(ServiceUnavailable, match="asks to wait 10 s"):
                await asking.predict([ROW])
        async with AsyncClient("tiny", key="wrong") as stranger:
            with pytest.raises(RequestRefused, match=r"401 .*X-API-Key"):
                await stranger.contract()

    asyncio.run(ask())


def test_the_key_is_in_no_repr_and_no_error(front: FlakyFront) -> None:
    with Client("tiny", key="not-the-key") as asking:
        with pytest.raises(RequestRefused) as refused:
            asking.predict([ROW])
        assert "not-the-key" not in f"{asking!r} {refused.value}"
        assert repr(asking) == f"Client('tiny', url='{front.url}')"
    assert KEY not in repr(Client("tiny"))


def test_a_use_case_that_is_no_name_is_refused(home: Path) -> None:
    with pytest.raises(BadName, match="lower_snake_case"):
        Client("../tiny")


@given(st.text(max_size=30))
def test_whatever_retry_after_says_a_wait_is_a_number_of_seconds(said: str) -> None:
    headers = [(b"Retry-After", said.encode().replace(b"\r", b"").replace(b"\n", b""))]
    with pytest.raises(Unanswered) as unanswered:
        accepted(httpx.Response(503, headers=headers, request=httpx.Request("GET", "http://gateway")))
    assert unanswered.value.retry_after_s >= 0
