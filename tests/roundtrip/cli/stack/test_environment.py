import os
import shlex
import stat
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from roundtrip.cli.stack.environment import addresses, inherited, write_env_file
from roundtrip.cli.stack.layout import Stack, chosen_ports
from roundtrip.contracts.settings import Settings


@pytest.fixture
def idle(tmp_path: Path) -> Stack:
    """A stack that nothing was started of."""
    return Stack(home=tmp_path, ports=chosen_ports(tmp_path, {}))


def test_every_setting_has_an_address(idle: Stack) -> None:
    assert {entry.metadata["variable"] for entry in fields(Settings)} - addresses(idle).keys() == set()


def test_a_shell_that_sources_the_file_has_every_setting(idle: Stack) -> None:
    write_env_file(idle)
    script = f"source {shlex.quote(str(idle.home / 'env'))} && env -0"
    dirty = {"PATH": os.environ["PATH"], "AWS_PROFILE": "someone-elses", "MLFLOW_TRACKING_URI": "http://elsewhere"}
    output = subprocess.run(["bash", "-c", script], env=dirty, capture_output=True, text=True, check=True).stdout
    variables = dict(line.split("=", 1) for line in output.split("\0") if line)
    assert addresses(idle).items() <= variables.items()
    assert "AWS_PROFILE" not in variables


def test_only_the_owner_can_read_the_file(idle: Stack) -> None:
    write_env_file(idle)
    assert stat.S_IMODE((idle.home / "env").stat().st_mode) == 0o600


def test_a_service_inherits_nothing_that_would_steer_it_elsewhere() -> None:
    calling = {"PATH": "/bin", "AWS_PROFILE": "x", "PYTHONPATH": "/y", "AIRFLOW_HOME": "/z", "https_proxy": "http://proxy", "LANG": "C"}
    kept = inherited(calling)
    assert kept.keys() == {"PATH", "https_proxy", "LANG"}
    assert kept["PATH"].endswith(":/bin")
