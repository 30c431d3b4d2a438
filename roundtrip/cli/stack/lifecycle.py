"""Bring the stack up, look at it, take it down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Literal

from roundtrip.cli.stack import environment, supervisor
from roundtrip.cli.stack.credentials import write_private
from roundtrip.cli.stack.layout import Stack, save_ports
from roundtrip.cli.stack.ports import check_ports
from roundtrip.cli.stack.processes import Process, descendants, marked, memory_mib, process_of, stop_all
from roundtrip.cli.stack.records import recorded, recorded_processes
from roundtrip.cli.stack.services import Part, Preparation, Service, in_waves_to_stop
from roundtrip.contracts.errors import RoundtripError, ServiceUnavailable

State = Literal["waiting", "starting", "ready", "failed"]
Watcher = Callable[[str, State, float], None]
"""Called with a part's name, its new state and the seconds it took to get ready (so far)."""

_PROBE_EVERY_S = 0.5
_FAILED_STARTS = 4
"""Starts after which `up` reports a service; supervisor goes on trying."""


@dataclass(frozen=True)
class Started:
    """How a part came up: seconds from its start to its first real answer, memory then (a service's, with its children)."""

    seconds: float
    memory_mib: float | None
    fresh: bool
    """Whether this call had anything to do for it: it ran already, or was prepared before, otherwise."""


def bring_up(stack: Stack, parts: Sequence[Part], watch: Watcher) -> dict[str, Started]:
    """Start `parts` in the order they need, in parallel where they allow, and wait until each is ready.

    Idempotent: what is ready stays as it is. Raises PortTaken before anything is started, ServiceUnavailable
    (with the end of the log) when a part isn't ready by its deadline; the others stay up, and a further call goes on from there.
    """
    with _only_one(stack, watch):
        _stop_orphans(stack)
        check_ports(stack, [port for part in parts if isinstance(part, Service) for port in part.ports])
        _write_files(stack)
        if not supervisor.running(stack):
            supervisor.start(stack)
        with supervisor.connected(stack) as api:
            supervisor.adopt_configuration(api)
        started = _start_in_order(stack, parts, watch)
        _write_record(stack, started)
        return started


def take_down(stack: Stack) -> list[Process]:
    """Stop all that the stack started, jobs included, also after a kill -9 of supervisord; returns what had to be killed."""
    supervisor.shut_down(stack, in_waves_to_stop())
    process = supervisor.daemon(stack)
    if process is not None and process in set(marked(stack.home)):
        supervisor.hang_up(process)
    killed = _stop_orphans(stack)
    shutil.rmtree(stack.run, ignore_errors=True)
    return killed


@contextlib.contextmanager
def _only_one(stack: Stack, watch: Watcher) -> Iterator[None]:
    """Two `up` at once: the second waits for the first, then finds all ready."""
    stack.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    stack.logs.mkdir(mode=0o700, exist_ok=True)
    with (stack.home / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watch("another up", "waiting", 0.0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_files(stack: Stack) -> None:
    save_ports(stack)
    write_private(stack.run / "supervisord.conf", supervisor.configuration(stack))
    environment.write_env_file(stack)


def _stop_orphans(stack: Stack) -> list[Process]:
    """Stop what runs without its supervisord."""
    if supervisor.running(stack):
        return []
    families = [process_of(pid) for process in recorded_processes(stack) for pid in descendants(process.pid)]
    return stop_all({*marked(stack.home), *(process for process in families if process is not None)})


def _start_in_order(stack: Stack, parts: Sequence[Part], watch: Watcher) -> dict[str, Started]:
    waiting = {part.name: part for part in parts}
    running: dict[Future[Started], str] = {}
    done: dict[str, Started] = {}
    failures: list[str] = []
    with _threads(len(parts)) as (threads, given_up):
        while (waiting and not failures) or running:
            for part in [part for part in waiting.values() if not failures and set(part.after) <= done.keys()]:
                running[threads.submit(_start, stack, waiting.pop(part.name), watch, given_up)] = part.name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                try:
                    done[name] = future.result()
                except ServiceUnavailable as error:
                    failures.append(f"{name}: {error}")
    if failures:
        raise ServiceUnavailable("\n".join(failures))
    return done


@contextlib.contextmanager
def _threads(count: int) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    """Threads, and what tells them to give up: set by Ctrl-C, which would else wait for the slowest of them."""
    given_up = threading.Event()
    with ThreadPoolExecutor(max_workers=count) as threads:
        try:
            yield threads, given_up
        except KeyboardInterrupt:
            given_up.set()
            raise


def _start(stack: Stack, part: Part, watch: Watcher, given_up: threading.Event) -> Started:
    begin = time.monotonic()
    watch(part.name, "starting", 0.0)
    try:
        fresh = part.run(stack) if isinstance(part, Preparation) else _start_service(stack, part, given_up)
    except RoundtripError:
        watch(part.name, "failed", time.monotonic() - begin)
        raise
    seconds = time.monotonic() - begin
    watch(part.name, "ready", seconds)
    return Started(round(seconds, 2), memory_of(stack, part.name), fresh)


def _start_service(stack: Stack, service: Service, given_up: threading.Event) -> bool:
    """Start it unless it runs, and wait until it is ready; returns whether it had to be started."""
    with supervisor.connected(stack) as api:
        fresh = supervisor.started(api, service.name)
    begin = time.monotonic()
    starts: set[str | int] = set()
    while True:
        try:
            service.ready(stack)
            return fresh
        except ServiceUnavailable as error:
            reason = error
        starts.add(_last_start(stack, service))
        late = time.monotonic() - begin > service.deadline_s or len(starts) > _FAILED_STARTS
        if late or given_up.wait(_PROBE_EVERY_S):
            told = f"not ready after {time.monotonic() - begin:.0f} s and {len(starts)} starts ({reason})"
            raise ServiceUnavailable(f"{told}.\n{last_lines(stack, service.name, 15)}")


def _last_start(stack: Stack, service: Service) -> str | int:
    """When supervisor last started the service's process, in seconds since 1970."""
    with supervisor.connected(stack) as api:
        return next(info["start"] for info in api.getAllProcessInfo() if info["name"] == service.name)


def memory_of(stack: Stack, name: str) -> float | None:
    """MiB that a service's processes use together; None for what isn't running."""
    process = recorded(stack, name)
    return memory_mib(process.pid) if process is not None and process.alive() else None


def last_lines(stack: Stack, service: str, count: int) -> str:
    """The end of a service's log."""
    path = stack.log_of(service)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join([f"Last lines of {path}:", *lines[-count:]])


def _write_record(stack: Stack, started: dict[str, Started]) -> None:
    """`<home>/stack.json`: seconds and memory of each part, from when it was last really started."""
    path = stack.home / "stack.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | {name: asdict(part) for name, part in started.items() if part.fresh}, indent=2))
