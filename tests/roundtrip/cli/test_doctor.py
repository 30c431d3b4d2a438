import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.cli import doctor
from roundtrip.cli.interpreter import chosen_interpreter
from roundtrip.contracts.settings import REPOSITORY


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def examined(home: Path, **variables: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and findings by name of the doctor as `make setup` runs it: on a bare interpreter, without installed packages."""
    interpreter = chosen_interpreter()
    assert interpreter is not None
    argv = [interpreter.path, "-S", "-m", "roundtrip.cli.doctor", "--json"]
    environment = os.environ | {"ROUNDTRIP_HOME": str(home)} | variables
    finished = subprocess.run(argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return finished.returncode, {finding["name"]: finding for finding in json.loads(finished.stdout)}


def test_a_port_in_use_fails_the_doctor_and_is_named_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, findings = examined(tmp_path, ROUNDTRIP_PORT_BASE="26000", ROUNDTRIP_PORT_GATEWAY=str(port))
    assert code == 1
    assert f"port {port} (gateway) is held by {os.getpid()}" in findings["ports"]["value"]
    assert "ROUNDTRIP_PORT_BASE" in findings["ports"]["remedy"]


def test_the_doctor_leaves_nothing_behind(tmp_path: Path) -> None:
    examined(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_finding_says_its_limit_and_its_remedy(tmp_path: Path) -> None:
    _, findings = examined(tmp_path)
    assert {"platform", "python", "libpython", "java", "disk", "memory", "shared memory", "path", "ports"} == findings.keys()
    assert all(finding["limit"] and finding["remedy"] and finding["value"] for finding in findings.values())


def test_a_java_that_is_too_old_is_refused_with_the_fix(tmp_path: Path) -> None:
    old = executable(tmp_path / "java", """echo 'openjdk version "1.8.0_292"' >&2""")
    finding = doctor.check_java(str(old))
    assert not finding.ok
    assert (finding.value, finding.limit) == ("8", "≥ 17")
    assert "openjdk-17" in finding.remedy


def test_no_java_at_all_is_refused(tmp_path: Path) -> None:
    assert not doctor.check_java(str(tmp_path / "java")).ok


def test_shared_memory_that_is_missing_is_refused(tmp_path: Path) -> None:
    finding = doctor.check_shared_memory(tmp_path / "shm")
    assert not finding.ok
    assert "--shm-size" in finding.remedy


def test_a_folder_too_deep_for_a_unix_socket_is_refused() -> None:
    assert not doctor.check_socket_path(Path("/") / ("deep" * 30)).ok
    assert doctor.check_socket_path(Path("/home/someone/roundtrip/.roundtrip")).ok


def test_a_python_that_is_only_a_shim_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    executable(tmp_path / "python3.12", f'exec "{sys.executable}" "$@"')
    argv = [sys.executable, "-c", "from roundtrip.cli.interpreter import chosen_interpreter as chosen; print(chosen().version)"]
    environment = os.environ | {"PATH": str(tmp_path)}
    answer = subprocess.run(argv, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ".".join(map(str, sys.version_info[:3]))


def test_from_a_shell_with_an_active_environment_the_python_below_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-up may be about to replace that environment."""
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{os.environ['PATH']}")
    interpreter = chosen_interpreter()
    assert interpreter is not None
    assert not interpreter.path.startswith(sys.prefix)


def test_the_python_of_the_last_set_up_is_kept_as_long_as_it_runs(tmp_path: Path) -> None:
    chosen = chosen_interpreter()
    assert chosen is not None
    elsewhere = tmp_path / "python"
    elsewhere.symlink_to(chosen.path)
    assert chosen_interpreter(str(elsewhere)) is not None
    assert chosen_interpreter(str(tmp_path / "gone")) == chosen
