"""Model versions for the tests of serving, and a gateway that has no service around it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.registry.version_folder import publish
from roundtrip.serving.gateway.app import create_app
from roundtrip.serving.triton_client import TritonClient
from roundtrip.serving.triton_repository import model_name, remove_version, versions_of
from tests.roundtrip.serving.gateway_process import KEY, Setting, Triton, TritonWires, free_port
from tests.roundtrip.serving.tiny_version import build_tiny_version
from tests.roundtrip.serving.wire import Wire

NOBODY_LISTENS = "127.0.0.1:9"


@pytest.fixture(scope="session")
def built_versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two versions of one contract, by number."""
    root = tmp_path_factory.mktemp("versions")
    return {version: build_tiny_version(root / version, seed=int(version)) for version in ("1", "2")}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a store of the test's own, and services that are all away."""
    environment = {
        "ROUNDTRIP_HOME": str(tmp_path / "home"),
        "ROUNDTRIP_STORAGE_ROOT": f"file://{tmp_path}/store",
        "ROUNDTRIP_DATABASE_URL": f"postgresql://nobody@{NOBODY_LISTENS}/nothing",
        "ROUNDTRIP_TRITON_URL": NOBODY_LISTENS,
        "ROUNDTRIP_TRITON_HTTP_URL": f"http://{NOBODY_LISTENS}",
        "ROUNDTRIP_TRITON_ADMIN_KEY": "unused",
        "ROUNDTRIP_TRITON_REPOSITORY": str(tmp_path / "triton"),
        "ROUNDTRIP_GATEWAY_URL": f"http://{NOBODY_LISTENS}",
        "ROUNDTRIP_GATEWAY_KEY": KEY,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"


@pytest.fixture
def remembered_release(home: Path, built_versions: dict[str, Path]) -> dict[str, str]:
    """A home in which a gateway once stood at version 1 of `tiny`, and knows of `waiting`, of which nothing is live."""
    live = {
        "version": "1",
        "digest": publish(built_versions["1"], "tiny", "1"),
        "triton_model": model_name("tiny", built_versions["1"]),
    }
    nothing = {"live": None, "previous": None, "candidate": None}
    kept = home / "gateway" / "releases.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps([["tiny", 2, nothing | {"live": live}], ["waiting", 1, nothing]]))
    return live


@pytest.fixture
def offline_gateway(remembered_release: dict[str, str]) -> Iterator[TestClient]:
    """A gateway without PostgreSQL, Triton and S3, once it has loaded what it remembers. Sends the API key."""
    with TestClient(create_app(settings()), headers={"X-API-Key": KEY}) as client:
        deadline = time.monotonic() + 20
        while not client.get("/v2/health/ready").is_success:
            assert time.monotonic() < deadline, "the gateway did not load the version that it remembers"
            time.sleep(0.05)
        yield client


@contextmanager
def gateway_process(*, drain_s: float) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A gateway of its own process in the environment of the test: its address, which may not answer yet, and the process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "roundtrip.serving.gateway", "--drain-s", str(drain_s)]
    with subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"ROUNDTRIP_GATEWAY_URL": url}) as process:
        try:
            yield url, process
        finally:
            process.kill()


@pytest.fixture
def release_schema(stack: Stack, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a PostgreSQL schema of the test's own: the release documents of the running stack stay untouched."""
    schema, address = f"test_{secrets.token_hex(6)}", addresses(stack)["ROUNDTRIP_DATABASE_URL"]
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        own = f"{address}?options=-csearch_path%3D{schema}"
        monkeypatch.setenv("ROUNDTRIP_DATABASE_URL", own)
        yield own
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def triton(stack: Stack, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Triton]:
    """Leaves nothing of the use case behind."""
    for name in ("TRITON_URL", "TRITON_HTTP_URL", "TRITON_ADMIN_KEY", "TRITON_REPOSITORY"):
        monkeypatch.setenv(f"ROUNDTRIP_{name}", addresses(stack)[f"ROUNDTRIP_{name}"])
    current, use_case_name = settings(), f"test_{secrets.token_hex(6)}"
    repository = Path(current.triton_repository)
    with TritonClient(current.triton_url, current.triton_admin_key) as client:
        yield Triton(client, current.triton_url, repository, use_case_name)
        for model, version in versions_of(repository, use_case_name):
            remove_version(repository, model, version)
            client.unload(model)


@pytest.fixture
def setting(triton: Triton, release_schema: str, built_versions: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    triton_addresses = settings().triton_http_url, f"//{triton.address}"
    with Wire.to(release_schema) as database, Wire.to(triton_addresses[0]) as asking, Wire.to(triton_addresses[1]) as loading:
        gateway_port = free_port()
        monkeypatch.setenv("ROUNDTRIP_GATEWAY_URL", f"http://127.0.0.1:{gateway_port}")
        running = Setting(triton, built_versions, database, TritonWires(asking, loading), gateway_port)
        yield running
        running.stop()
