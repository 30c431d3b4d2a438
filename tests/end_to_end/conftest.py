"""A stack of its own for the loop: its tables, runs and models start empty, and those of the demo beside it stay as they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts import storage
from roundtrip.contracts.settings import REPOSITORY

HOME = REPOSITORY / ".roundtrip" / "end_to_end"
PORT_BASE = "19000"


def roundtrip(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "roundtrip.cli", command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def own_stack() -> Iterator[Path]:
    """Its home folder. The stack is taken down in the end; its logs stay until the next run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUNDTRIP_HOME", str(HOME))
        patch.setenv("ROUNDTRIP_PORT_BASE", PORT_BASE)
        roundtrip("down")
        shutil.rmtree(HOME, ignore_errors=True)
        started = roundtrip("up")
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            for name, value in addresses(load_stack()).items():
                patch.setenv(name, value)
            storage.s3_client.cache_clear()
            yield HOME
        finally:
            stopped = roundtrip("down")
    storage.s3_client.cache_clear()
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
