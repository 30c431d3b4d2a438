"""Processes of this machine by /proc: who is alive, who belongs to the stack, what they use, who holds a port."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from roundtrip.contracts.errors import ServiceUnavailable

HOME_MARK = "ROUNDTRIP_STACK_HOME"
"""Environment variable that every process of a stack inherits: what `down` finds leftovers by, even of a killed supervisor."""


@dataclass(frozen=True)
class Process:
    """A process that can't be mistaken for a later one with the same id: `started` is its start in clock ticks since boot."""

    pid: int
    started: int

    def alive(self) -> bool:
        status = _status(self.pid)
        return status is not None and status.started == self.started and status.state != "Z"


@dataclass(frozen=True)
class _Status:
    state: str
    parent: int
    group: int
    started: int


def process_of(pid: int) -> Process | None:
    """The running process with this id; None when there is none."""
    status = _status(pid)
    return None if status is None else Process(pid, status.started)


def current_process() -> Process:
    """This process."""
    status = _status(os.getpid())
    if status is None:
        raise ServiceUnavailable("/proc is not mounted: Roundtrip finds its processes there.")
    return Process(os.getpid(), status.started)


def group_of(pid: int) -> int | None:
    """Process group of a running process."""
    status = _status(pid)
    return None if status is None else status.group


def marked(home: Path) -> Iterator[Process]:
    """Every process that the stack of this home started, directly or not, except this one."""
    wanted = f"{HOME_MARK}={home}".encode()
    for pid in _pids():
        if pid != os.getpid() and wanted in _read(pid, "environ").split(b"\0") and (found := process_of(pid)):
            yield found


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it."""
    children: dict[int, list[int]] = {}
    for child in _pids():
        if status := _status(child):
            children.setdefault(status.parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting.extend(children.get(current, []))
    return found


def memory_mib(pid: int) -> float:
    """Memory of `pid` and all below it in MiB; a page that several share is counted once (proportional set size)."""
    total_kib = 0
    for process in descendants(pid):
        for line in _read(process, "smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total_kib += int(line.split()[1])
    return round(total_kib / 1024, 1)


def stop_all(processes: Iterable[Process], *, patience_s: float = 10.0) -> list[Process]:
    """Ask each to end (SIGTERM), kill those still there after `patience_s`; returns those that had to be killed."""
    remaining = [process for process in processes if process.alive()]
    _signal(remaining, signal.SIGTERM)
    remaining = _wait(remaining, patience_s)
    _signal(remaining, signal.SIGKILL)
    _wait(remaining, patience_s)
    return remaining


def holder_of_port(port: int) -> str | None:
    """Who listens on the TCP port, as `pid (command)`; None when it is free."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    return next((_described(pid) for pid in _pids() if inodes & set(_sockets(pid))), "a process of another user")


def pids_listening(port: int) -> set[int]:
    """Processes of this user that listen on the port."""
    holder = holder_of_port(port)
    return {int(holder.split()[0])} if holder and holder[0].isdigit() else set()


def hide_argument(pid: int, secret: str) -> None:
    """Overwrite a secret in the arguments of a running process by `x`, in its memory, where /proc and `ps` read them.

    The process must be one's own and must have read its arguments. For programs that take a secret in no other way.
    """
    arguments = _read(pid, "cmdline")
    # proc(5): field 48 of stat is the address at which the arguments begin; the second field may hold spaces.
    start = int(_read(pid, "stat").rpartition(b")")[2].split()[45])
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        memory.write(arguments.replace(secret.encode(), b"x" * len(secret)))


def _described(pid: int) -> str:
    return f"{pid} ({_read(pid, 'cmdline').replace(bytes(1), b' ').decode(errors='replace').strip()[:80]})"


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if process.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _wait(processes: list[Process], seconds: float) -> list[Process]:
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if process.alive()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _status(pid: int) -> _Status | None:
    # proc(5): the command's name may hold spaces and brackets, so read from after its last bracket.
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return _Status(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[19])) if fields else None


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
