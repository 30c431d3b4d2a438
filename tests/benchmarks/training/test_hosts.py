import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.training.hosts import ADDRESSES, CABLE, Host, check_rights, joined_hosts

ROOT = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2")
PORT = 29400
LISTEN = f"import socket; print('ready', flush=True); socket.create_server(('{ADDRESSES[0]}', {PORT})).accept()"
CONNECT = f"import socket; socket.create_connection(('{ADDRESSES[0]}', {PORT}), timeout=1)"


def python_on(host: Host, script: str) -> list[str]:
    return ["ip", "netns", "exec", host.name, sys.executable, "-c", script]


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


@ROOT
def test_the_second_host_reaches_the_first_only_while_the_cable_is_in() -> None:
    with joined_hosts() as (first, second):
        for state, reached in (("down", False), ("up", True)):
            second.ip("link", "set", CABLE, state)
            with subprocess.Popen(python_on(first, LISTEN), stdout=subprocess.PIPE) as listening:
                assert listening.stdout is not None and listening.stdout.readline() == b"ready\n"
                try:
                    assert (subprocess.run(python_on(second, CONNECT), stderr=subprocess.DEVNULL, check=False).returncode == 0) is reached
                finally:
                    listening.kill()


@ROOT
def test_hosts_and_what_runs_in_them_are_removed_after_a_failure_too(tmp_path: Path) -> None:
    names: list[str] = []
    with pytest.raises(ZeroDivisionError), joined_hosts() as hosts:
        names += [host.name for host in hosts]
        assert all(name in namespaces() for name in names)
        left = hosts[0].start("http.server", "--bind", ADDRESSES[0], device=CABLE, log=tmp_path / "log")
        raise ZeroDivisionError
    assert not any(name in namespaces() for name in names)
    assert left.returncode == -signal.SIGKILL


def test_who_may_not_make_hosts_is_told_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt-get install iproute2"):
        check_rights()
    (tmp_path / "ip").touch(mode=0o755)
    with pytest.raises(SystemExit, match="this is user 1000: run `make two-hosts` as root"):
        check_rights()
