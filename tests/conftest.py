import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import Stack, load_stack
from roundtrip.contracts import storage

REPOSITORY = Path(__file__).parents[1]
UNIT, ON_THE_STACK, END_TO_END, WITH_AIRFLOW = range(4)
ALL_BUT_AIRFLOW = "spark", "mlflow", "triton", "gateway"
"""Airflow, idle, takes a quarter of a core."""

for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(variable, None)

hypothesis_settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's business
hypothesis_settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what needs no service, then what needs the stack (marked so when it takes its fixture), the loop end to end, last what needs
    Airflow, and goes on with the loop's.

    In two processes (`make test`) those that use the stack are two groups, each in one process, as they share what is slow to set up.
    """
    for item in items:
        if {"stack", "whole_stack"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.stack)
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if "end_to_end" in item.path.parts:
        return END_TO_END
    if "whole_stack" in getattr(item, "fixturenames", ()):
        return WITH_AIRFLOW
    return ON_THE_STACK if item.get_closest_marker("stack") else UNIT


def _group(item: pytest.Item) -> str:
    if _turn(item) == UNIT:
        return item.path.stem
    return "serving" if "serving" in item.path.parts else "tables and the loop"


@pytest.fixture
def storage_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A storage root in a folder of this test, set as the process's own, with a home folder beside it."""
    root = f"file://{tmp_path}/storage"
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", root)
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    yield root


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that a test runs tells OpenLineage nothing: the events in .roundtrip are those of real runs."""
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")


def roundtrip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "roundtrip.cli", *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The embedded stack but for Airflow, brought up if it isn't; its addresses and credentials are in the environment from here on.

    It is left running: the next test run, or `make demo`, goes on with it. ROUNDTRIP_TEST_SERVICES="s3 spark" brings up only these, and
    what they need: enough for the tests of tables.
    """
    started = roundtrip("up", *(os.environ.get("ROUNDTRIP_TEST_SERVICES", "").split() or ALL_BUT_AIRFLOW), "--json")
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout), "`roundtrip up --json` names every part"
    running = load_stack()
    os.environ.update(addresses(running))
    storage.s3_client.cache_clear()
    return running


@pytest.fixture(scope="session")
def whole_stack() -> Iterator[Stack]:
    """A stack of its own, with Airflow: its tables, runs and models start empty, and those of the demo beside it stay as they are.

    It is taken down in the end; its logs stay until the next run.
    """
    home = REPOSITORY / ".roundtrip" / "end_to_end"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUNDTRIP_HOME", str(home))
        patch.setenv("ROUNDTRIP_PORT_BASE", "19000")
        roundtrip("down")
        shutil.rmtree(home, ignore_errors=True)
        started = roundtrip("up")
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            running = load_stack()
            for name, value in addresses(running).items():
                patch.setenv(name, value)
            storage.s3_client.cache_clear()
            yield running
        finally:
            stopped = roundtrip("down")
    storage.s3_client.cache_clear()
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
