"""The gateway keeps what its OpenAPI document says, whatever it is asked: schemathesis against a running one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.roundtrip.serving.conftest import gateway_process
from tests.roundtrip.serving.gateway_process import KEY

CONFIGURATION = """
headers = { "X-API-Key" = "${ROUNDTRIP_GATEWAY_KEY}" }
request-timeout = 10.0

[generation]
max-examples = 15
deterministic = true

[checks]
# 503: PostgreSQL, which the history needs, is away here. 504: what a deadline of a millisecond may get.
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503, 504]

# which tensors a model takes is its contract's to say: the protocol's schema, which is all models', can't
[[operations]]
include-path = "/v2/models/{use_case}/infer"
checks.positive_data_acceptance.enabled = false
"""


@pytest.mark.usefixtures("remembered_release")
def test_what_the_document_allows_is_answered_and_all_else_is_refused_as_it_says(tmp_path: Path) -> None:
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    with gateway_process(drain_s=0) as (url, _):
        wait_until_ready(url)
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run", f"{url}/openapi.json"]
        variables = os.environ | {"ROUNDTRIP_GATEWAY_KEY": KEY}
        finished = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert finished.returncode == 0, finished.stdout[-20000:]


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/v2/health/ready").is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the gateway does not get ready"
        time.sleep(0.1)
