import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from roundtrip.cli.stack.processes import (
    HOME_MARK,
    Process,
    hide_argument,
    holder_of_port,
    marked,
    memory_mib,
    process_of,
    stop_all,
)


def wait_until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def started(code: str, *arguments: str, home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", code, *arguments], env=os.environ | {HOME_MARK: str(home)})


def test_a_process_that_left_its_session_is_still_found_and_stopped(tmp_path: Path) -> None:
    detach = "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'], start_new_session=True)"
    started(detach, home=tmp_path).wait()
    (detached,) = marked(tmp_path)
    assert stop_all([detached]) == []
    assert list(marked(tmp_path)) == []


def test_processes_of_another_stack_are_left_alone(tmp_path: Path) -> None:
    with started("import time; time.sleep(60)", home=tmp_path / "other") as other:
        assert list(marked(tmp_path)) == []
        other.kill()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = process_of(child.pid)
        assert process is not None
        assert stop_all([process], patience_s=0.2) == [process]
        assert child.wait() == -signal.SIGKILL


def test_a_later_process_with_the_same_id_is_not_mistaken_for_it() -> None:
    own = process_of(os.getpid())
    assert own is not None and own.alive()
    assert not Process(own.pid, own.started - 1).alive()


def test_who_holds_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = holder_of_port(port)
        assert holder is not None and holder.startswith(f"{os.getpid()} (")
    assert holder_of_port(port) is None


def test_a_hidden_argument_is_gone_from_the_process_list_and_the_others_stay(tmp_path: Path) -> None:
    with started("import time; time.sleep(60)", "--key=hunter2hunter2", "--port=1", home=tmp_path) as child:
        command_line = Path(f"/proc/{child.pid}/cmdline")
        wait_until(lambda: b"hunter2" in command_line.read_bytes())
        time.sleep(0.1)
        hide_argument(child.pid, "hunter2hunter2")
        assert command_line.read_bytes().endswith(b"\0--key=xxxxxxxxxxxxxx\0--port=1\0")
        child.kill()


def test_memory_counts_the_children(tmp_path: Path) -> None:
    grown = "import os, time; os.fork() or bytearray(64 * 2**20); held = bytearray(32 * 2**20); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", grown], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.readline()
        assert memory_mib(child.pid) == pytest.approx(2 * 32, abs=25)
        os.killpg(child.pid, signal.SIGKILL)
