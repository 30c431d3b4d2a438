"""Processes that outlive whoever started them: each in its own session, with its log, pid and exit code in files.

    <jobs>/<key>/                          locked while deciding whether to start one
    <jobs>/<key>/<attempt>/command.json    what runs (never the environment: it holds secrets)
                          /log             what it said
                          /pid             pid and start time of its supervisor (operators/run_detached.py)
                          /exit_code       written once, when it is over

A key runs once at a time: submitting it while it runs returns the running attempt. After that a new attempt starts, and
the folders of the old ones stay until nothing was started under the key for KEPT_DAYS.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from operators import run_detached
from roundtrip.contracts.settings import REPOSITORY

State = Literal["running", "ended", "lost"]
"""Lost: its supervisor is gone and left no exit code (kill -9, a power cut)."""

LOOK_AGAIN_S = 0.05
"""Seconds between two looks at a job's files: what a finished job waits at most for the task to notice."""

KEPT_DAYS = 30
"""Days for which a key's folder stays after its last start: what its job said is in Airflow's log too."""


@dataclass(frozen=True)
class Attempt:
    """One start of a job, by its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """`<key>/<number>`: what finds it again, see `attempt_named`."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    def state(self) -> State:
        """Liveness is read before the exit code: a job that ends in between is `ended`, never `lost`."""
        alive = self._supervisor_lives()
        if self.exit_code() is not None:
            return "ended"
        return "running" if alive else "lost"

    def exit_code(self) -> int | None:
        """None while it runs, or when it was lost. Negative: the signal that ended it."""
        with suppress(FileNotFoundError):
            return int((self.folder / "exit_code").read_text())
        return None

    def started_at(self) -> datetime:
        return datetime.fromtimestamp((self.folder / "command.json").stat().st_mtime, UTC)

    def log_lines(self) -> Iterator[str]:
        """The lines of its log from the first one, as they are written, until it is over."""
        rest = ""
        with (self.folder / "log").open(encoding="utf-8", errors="replace", newline="\n") as log:
            while True:
                over = self.state() != "running"
                *lines, rest = (rest + log.read()).split("\n")
                yield from lines
                if over:
                    break
                time.sleep(LOOK_AGAIN_S)
        if rest:
            yield rest

    def stop(self, *, grace_s: float = 3.0) -> None:
        """Ask every process of its session to end, and kill what is left after `grace_s` seconds.

        The grace is shorter than the 5 s after which Airflow kills a task that was told to stop.
        """
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and self.state() == "running":
            time.sleep(0.05)
        self._signal(signal.SIGKILL)

    def _supervisor_lives(self) -> bool:
        """The start time tells its supervisor from a later process with the same pid."""
        pid, started = self._supervisor()
        return pid is not None and _start_time(pid) == started

    def _signal(self, number: signal.Signals) -> None:
        """To its whole process group, unless the group's number belongs to somebody else by now."""
        pid, started = self._supervisor()
        if pid is not None and _start_time(pid) in (None, started):
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def _supervisor(self) -> tuple[int | None, str]:
        try:
            pid, started = (self.folder / "pid").read_text().split()
        except FileNotFoundError:
            return None, ""
        return int(pid), started


def submit(jobs: Path, key: str, argv: Sequence[str], *, environment: Mapping[str, str], folder: Path = REPOSITORY) -> Attempt:
    """The running attempt of `key`, or a new one that runs `argv` (never through a shell) in `folder`."""
    _remove_old(jobs)
    with _locked(jobs, fcntl.LOCK_SH), _locked(jobs / key, fcntl.LOCK_EX):
        attempts = _attempts(jobs / key)
        for latest in attempts[-1:]:
            if latest.state() == "running":
                return latest
            latest.stop()  # a lost supervisor may have left its job behind: never two at once
        return _start(Attempt(jobs / key / str(len(attempts) + 1)), argv, environment, folder)


def attempt_named(jobs: Path, name: str) -> Attempt:
    """The attempt of that name; `lost` when its folder is gone."""
    return Attempt(jobs / name)


def _attempts(key: Path) -> list[Attempt]:
    """In the order in which they were started."""
    return [Attempt(key / str(number)) for number in sorted(int(path.name) for path in key.iterdir() if path.name.isdigit())]


def _remove_old(jobs: Path) -> None:
    """Remove the folders of keys under which nothing was started for KEPT_DAYS. While somebody starts a job, the next one does it."""
    with suppress(BlockingIOError), _locked(jobs, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for key in jobs.iterdir():
            old = time.time() - key.stat().st_mtime > KEPT_DAYS * 86_400
            if old and all(attempt.state() != "running" for attempt in _attempts(key)):
                shutil.rmtree(key)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock, which goes with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _start(attempt: Attempt, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Attempt:
    """Start the supervisor, note its pid, and only then let it run the job: no job is ever without a pid file."""
    attempt.folder.mkdir()
    _write_whole(attempt.folder / "command.json", json.dumps({"argv": list(argv), "folder": str(folder)}, indent=2))
    held, release = os.pipe()
    log = os.open(attempt.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", str(Path(run_detached.__file__)), str(attempt.folder)],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, held, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setsid=True,
        )
        _write_whole(attempt.folder / "pid", f"{pid} {_start_time(pid)}")
        os.write(release, run_detached.RELEASE)
    finally:
        for descriptor in (held, release, log):
            os.close(descriptor)
    return attempt


def _start_time(pid: int) -> str | None:
    """When a living process started, in clock ticks since boot (field 22 of /proc/<pid>/stat); None for a dead one or a zombie."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else fields[18]


def _write_whole(path: Path, content: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content)
    partial.replace(path)
