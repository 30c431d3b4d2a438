import json
import os
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
UNIT, ON_THE_STACK, END_TO_END = range(3)

for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(variable, None)

hypothesis_settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's business
hypothesis_settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what needs no service, then what needs the stack (marked so when it takes its fixture), last the loop end to end.

    In two processes (`make test`) those that use the stack are two groups, each in one process, as they share what is slow to set up.
    """
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if "end_to_end" in item.path.parts:
        return END_TO_END
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


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The embedded stack, brought up if it isn't; its addresses and credentials are in this process's environment from here on.

    It is left running: the next test run, or `make demo`, goes on with it. ROUNDTRIP_TEST_SERVICES="s3 spark" brings up only these, and
    what they need: enough for the tests of tables.
    """
    services = os.environ.get("ROUNDTRIP_TEST_SERVICES", "").split()
    argv = [sys.executable, "-m", "roundtrip.cli", "up", *services, "--json"]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout), "`roundtrip up --json` names every part"
    running = load_stack()
    os.environ.update(addresses(running))
    storage.s3_client.cache_clear()
    return running
