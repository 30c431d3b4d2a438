"""A second, small stack (PostgreSQL and S3) on ports of its own: what is killed here is no other test's."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from roundtrip.cli.stack import overview, supervisor
from roundtrip.cli.stack.layout import Stack, chosen_ports
from roundtrip.cli.stack.lifecycle import take_down
from roundtrip.cli.stack.ports import ports_in_use
from roundtrip.cli.stack.processes import marked, process_of
from roundtrip.cli.stack.records import recorded

SMALL = ("postgres", "s3")
PORT_BASE = "21000"


@dataclass(frozen=True)
class SmallStack:
    """How a test drives it: by the command, as a user would."""

    stack: Stack

    def call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment(**variables), capture_output=True, text=True, check=False)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "roundtrip.cli", *arguments]

    def environment(self, **variables: str) -> dict[str, str]:
        return os.environ | {"ROUNDTRIP_HOME": str(self.stack.home), "ROUNDTRIP_PORT_BASE": PORT_BASE} | variables

    def up(self) -> None:
        finished = self.call("up", *SMALL)
        assert finished.returncode == 0, finished.stdout + finished.stderr

    def pids(self) -> dict[str, int]:
        return {row.service: row.pid for row in overview.look(self.stack) if row.ready and row.pid is not None}


@pytest.fixture(scope="module")
def small() -> Iterator[SmallStack]:
    # not below tmp_path: a unix socket's path has 107 bytes at most
    with tempfile.TemporaryDirectory(prefix="roundtrip_", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        stack = Stack(home=home, ports=chosen_ports(home, {"ROUNDTRIP_PORT_BASE": PORT_BASE}))
        try:
            yield SmallStack(stack)
        finally:
            take_down(stack)


def living(pids: Iterable[int]) -> list[int]:
    """Those that still run; one that has ended and that nobody has waited for yet does not."""
    return [pid for pid in pids if (process := process_of(pid)) is not None and process.alive()]


def wait_until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def test_an_up_that_is_killed_is_finished_by_the_next(small: SmallStack) -> None:
    with subprocess.Popen(small.command("up", *SMALL), env=small.environment(), stdout=subprocess.DEVNULL) as first:
        wait_until(lambda: bool(list(marked(small.stack.home))))
        first.send_signal(signal.SIGKILL)
    small.up()
    assert small.pids().keys() == set(SMALL)


def test_a_second_up_leaves_all_as_it_is(small: SmallStack) -> None:
    small.up()
    before = small.pids()
    small.up()
    assert small.pids() == before


def test_two_at_once_start_each_service_once(small: SmallStack) -> None:
    take_down(small.stack)
    both = [subprocess.Popen(small.command("up", *SMALL), env=small.environment(), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    argument = f"{small.stack.home}/postgres/data"
    servers = [p for p in marked(small.stack.home) if argument.encode() in Path(f"/proc/{p.pid}/cmdline").read_bytes().split(b"\0")]
    postmaster = recorded(small.stack, "postgres")
    assert {postmaster} >= set(servers)
    assert small.pids().keys() == set(SMALL)


@pytest.mark.parametrize("service", SMALL)
def test_a_killed_service_comes_back(small: SmallStack, service: str) -> None:
    small.up()
    killed = small.pids()[service]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: small.pids().get(service, killed) != killed)
    assert small.pids()[service] != killed


def test_what_a_killed_supervisor_leaves_is_replaced(small: SmallStack) -> None:
    small.up()
    orphans = small.pids()
    daemon = supervisor.daemon(small.stack)
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGKILL)
    small.up()
    assert not set(orphans.values()) & set(small.pids().values())
    assert not living(orphans.values())


def test_seconds_and_memory_of_each_service_are_recorded(small: SmallStack) -> None:
    small.up()
    record = json.loads((small.stack.home / "stack.json").read_text())
    assert all(record[service]["seconds"] > 0 and record[service]["memory_mib"] > 1 for service in SMALL)


def test_status_tells_what_is_not_ready_and_fails(small: SmallStack) -> None:
    small.up()
    finished = small.call("status", "--json")
    rows = {row["service"]: row for row in json.loads(finished.stdout)}
    assert finished.returncode == 1
    assert rows["postgres"]["ready"] and not rows["mlflow"]["ready"]
    assert rows["mlflow"]["reason"] == "not running"


@pytest.fixture
def broken(small: SmallStack) -> Iterator[SmallStack]:
    """The small stack, stopped, with a database that no PostgreSQL of this release opens."""
    small.up()
    take_down(small.stack)
    version = small.stack.home / "postgres" / "data" / "PG_VERSION"
    content = version.read_text()
    version.write_text("9.6\n")
    yield small
    version.write_text(content)


def test_a_service_that_never_gets_ready_is_reported_with_the_end_of_its_log(broken: SmallStack) -> None:
    finished = broken.call("up", "postgres")
    assert finished.returncode == 1
    assert "database files are incompatible with server" in finished.stderr


def test_ctrl_c_ends_an_up_that_still_waits(broken: SmallStack) -> None:
    log = broken.stack.log_of("postgres")
    log.unlink(missing_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would what they start
    with subprocess.Popen(broken.command("up", "postgres"), env=broken.environment(), stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: log.exists() and "incompatible" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=3) != 0


def test_a_port_that_another_program_holds_is_named_with_it_before_anything_starts(small: SmallStack) -> None:
    take_down(small.stack)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        finished = small.call("up", *SMALL, ROUNDTRIP_PORT_S3_FILER=port)
    assert finished.returncode == 1
    assert f"port {port} (s3_filer) is held by {os.getpid()}" in finished.stderr
    assert list(marked(small.stack.home)) == []


@pytest.mark.parametrize("beheaded", [False, True], ids=["", "after kill -9 of supervisord"])
def test_down_leaves_no_process_and_no_port_behind(small: SmallStack, beheaded: bool) -> None:
    small.up()
    services = list(small.pids().values())
    daemon = supervisor.daemon(small.stack)
    assert daemon is not None and len(services) == len(SMALL)
    if beheaded:
        os.kill(daemon.pid, signal.SIGKILL)
    finished = small.call("down")
    assert finished.returncode == 0, finished.stderr
    assert living([*services, daemon.pid]) == []
    assert list(marked(small.stack.home)) == []
    assert ports_in_use(small.stack, list(small.stack.ports)) == []


def test_down_stops_a_job_that_a_service_had_detached(small: SmallStack) -> None:
    small.up()
    environment = small.environment() | {"ROUNDTRIP_STACK_HOME": str(small.stack.home)}
    job = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(120)"], env=environment, start_new_session=True)
    small.call("down")
    assert job.wait(timeout=5) == -signal.SIGTERM
