import os
import subprocess
import sys
from pathlib import Path

import pytest


def roundtrip(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ROUNDTRIP_HOME": str(home), "ROUNDTRIP_PORT_BASE": "22000", "COLUMNS": "200"}
    argv = [sys.executable, "-m", "roundtrip.cli", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run-job", "no_such_job"], "no job 'no_such_job': use one of"),
        (["run-job", "../jobs/measure_drift"], "use one of"),
        (["logs", "redis"], "no service 'redis': use one of postgres"),
        (["up", "redis"], "no service 'redis': use one of postgres"),
        (["no-such-verb"], "No such command"),
        (["up", "--no-such-option"], "No such option"),
    ],
)
def test_wrong_use_is_exit_code_2_with_what_would_be_right(tmp_path: Path, arguments: list[str], said: str) -> None:
    finished = roundtrip(*arguments, home=tmp_path)
    assert finished.returncode == 2
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_port_that_is_none_is_wrong_use(tmp_path: Path) -> None:
    environment = os.environ | {"ROUNDTRIP_HOME": str(tmp_path), "ROUNDTRIP_PORT_S3": "ninety"}
    argv = [sys.executable, "-m", "roundtrip.cli", "status"]
    finished = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "ROUNDTRIP_PORT_S3=ninety is no port" in finished.stderr


def test_status_of_a_stack_that_is_down_is_exit_code_1(tmp_path: Path) -> None:
    finished = roundtrip("status", home=tmp_path)
    assert finished.returncode == 1
    assert "DOWN" in finished.stdout


def test_down_of_a_stack_that_is_down_is_fine(tmp_path: Path) -> None:
    assert roundtrip("down", home=tmp_path).returncode == 0


def test_a_jobs_own_exit_code_and_arguments_pass_through(tmp_path: Path) -> None:
    finished = roundtrip("run-job", "measure_drift", "--help", home=tmp_path)
    assert finished.returncode == 0
    assert "--use-case" in finished.stdout
    assert (
        roundtrip("run-job", "measure_drift", "--use-case", "no_such", "--run-dir", f"file://{tmp_path}/run", home=tmp_path).returncode == 2
    )


def test_no_colour_is_shown_without_a_terminal_or_with_no_color(tmp_path: Path) -> None:
    assert "\x1b[" not in roundtrip("status", home=tmp_path).stdout
