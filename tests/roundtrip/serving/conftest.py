"""Model versions for the tests of serving, and a gateway that has no service around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from roundtrip.contracts.settings import settings
from roundtrip.registry.version_folder import publish
from roundtrip.serving.gateway.app import create_app
from roundtrip.serving.triton_repository import model_name
from tests.roundtrip.serving.tiny_version import build_tiny_version

NOBODY_LISTENS = "127.0.0.1:9"
KEY = "the-gateway-key"


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
    """A gateway without PostgreSQL, Triton and S3: it answers with what it remembers. Sends the API key."""
    with TestClient(create_app(settings()), headers={"X-API-Key": KEY}) as client:
        yield client
