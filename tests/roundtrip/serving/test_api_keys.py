"""Who may ask the gateway, and how often: keys that `roundtrip keys` makes, tried on a gateway without services."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from roundtrip.cli.keys import app
from roundtrip.contracts.errors import BadKey, BadKeyFile, BadName
from roundtrip.serving.gateway.api_keys import LOOK_S, TokenBucket, key_file, read_keys
from tests.roundtrip.serving.tiny_version import ROW

PREDICT = "/v1/models/tiny:predict"


def keys(*arguments: str) -> str:
    """What `roundtrip keys` prints; raises what it raises."""
    finished = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return finished.stdout.strip()


def predict(gateway: TestClient, key: str) -> int:
    """The status of a request with that key."""
    return gateway.post(PREDICT, json={"instances": [ROW]}, headers={"X-API-Key": key}).status_code


def test_a_key_is_printed_once_and_kept_as_a_digest_that_only_its_owner_can_read(home: Path) -> None:
    secret = keys("add", "dispatch", "--scope", "read", "--rate", "50")
    kept = key_file(home)
    assert secret not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    listed = keys("list", "--json")
    (key,) = json.loads(listed)
    assert (key["name"], key["scopes"], key["rate"]) == ("dispatch", ["read"], 50.0)
    assert secret not in listed
    assert read_keys(kept)[0].digest not in listed
    assert "dispatch" in keys("list")


def test_a_read_key_predicts_a_metrics_key_reads_the_metrics_and_an_admin_key_does_both(offline_gateway: TestClient) -> None:
    reader, admin = keys("add", "dispatch"), keys("add", "boss", "--scope", "admin")
    scraper = keys("add", "prometheus", "--scope", "metrics")
    time.sleep(LOOK_S)
    assert predict(offline_gateway, reader) == 200
    assert offline_gateway.get("/v2/models/tiny", headers={"X-API-Key": reader}).status_code == 200
    refused = offline_gateway.get("/metrics", headers={"X-API-Key": reader})
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    assert "'dispatch' has the scope read" in refused.json()["detail"]
    assert [offline_gateway.get("/metrics", headers={"X-API-Key": key}).status_code for key in (scraper, admin)] == [200, 200]
    assert [predict(offline_gateway, key) for key in (scraper, admin)] == [403, 200]


def test_a_revoked_key_is_refused_within_a_second_while_the_others_go_on(offline_gateway: TestClient) -> None:
    stays, goes = keys("add", "stays"), keys("add", "goes")
    time.sleep(LOOK_S)
    assert predict(offline_gateway, goes) == 200
    keys("revoke", "goes")
    time.sleep(LOOK_S)
    assert predict(offline_gateway, goes) == 401
    assert predict(offline_gateway, stays) == 200


def test_a_key_that_asks_more_often_than_it_may_is_told_when_to_ask_again_and_others_notice_nothing(offline_gateway: TestClient) -> None:
    limited, other = keys("add", "limited", "--rate", "0.5"), keys("add", "other")
    time.sleep(LOOK_S)
    assert [predict(offline_gateway, limited) for _ in range(2)] == [200, 429]
    assert predict(offline_gateway, other) == 200
    refused = offline_gateway.get("/v2", headers={"X-API-Key": limited})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    time.sleep(int(refused.headers["retry-after"]))
    assert predict(offline_gateway, limited) == 200


def test_a_file_that_others_may_touch_or_that_is_broken_lets_nobody_new_in_and_nobody_old_out(
    offline_gateway: TestClient, home: Path
) -> None:
    known = keys("add", "known")
    time.sleep(LOOK_S)
    assert predict(offline_gateway, known) == 200
    added = keys("add", "added")
    key_file(home).chmod(0o644)
    time.sleep(LOOK_S)
    assert [predict(offline_gateway, key) for key in (known, added)] == [200, 401]
    with pytest.raises(BadKeyFile, match="mode 644"):
        keys("list")
    key_file(home).write_text("[]?")
    key_file(home).chmod(0o600)
    time.sleep(LOOK_S)
    assert [predict(offline_gateway, key) for key in (known, added)] == [200, 401]
    with pytest.raises(BadKeyFile, match="holds no list of keys"):
        keys("list")


@pytest.mark.usefixtures("home")
def test_a_name_is_given_once_and_is_never_the_stacks_own() -> None:
    keys("add", "dispatch")
    for name in ("dispatch", "stack"):
        with pytest.raises(BadKey, match="already"):
            keys("add", name)
    with pytest.raises(BadName):
        keys("add", "no name\n")
    with pytest.raises(BadKey, match="there is no key 'nobody'"):
        keys("revoke", "nobody")


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 3), max_size=200))
def test_a_bucket_lets_no_more_through_than_its_rate_and_one_seconds_worth(rate: float, pauses: list[float]) -> None:
    bucket = TokenBucket(rate)
    start = now = bucket.at
    passed = 0
    for pause in pauses:
        now += pause
        wait_s = bucket.wait_s(now)
        passed += wait_s == 0
        if wait_s > 0:
            now += wait_s + 1e-6
            assert bucket.wait_s(now) == 0, "after the wait that it names a request passes"
            passed += 1
    assert passed <= rate * (now - start) + max(1.0, rate) + 1e-3
