"""What `up` shows while the parts come up: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from roundtrip.cli.stack.lifecycle import State, Watcher
from roundtrip.cli.stack.services import Part

_STYLES: dict[State, str] = {"waiting": "dim", "starting": "yellow", "ready": "green", "failed": "red"}


@contextlib.contextmanager
def watched(parts: Sequence[Part], console: Console) -> Iterator[Watcher]:
    """A watcher to give to `bring_up`; it shows each part's state and seconds."""
    if not console.is_terminal:
        yield _lines(console)
        return
    board = _Board(parts)
    with Live(get_renderable=board.table, console=console, refresh_per_second=5):
        yield board.note


def _lines(console: Console) -> Watcher:
    lock = threading.Lock()

    def note(name: str, state: State, seconds: float) -> None:
        with lock:
            console.print(f"{state:8s} {name:22s}" + (f" {seconds:6.1f} s" if state != "starting" else ""), highlight=False)

    return note


class _Board:
    """The state of each part, written by `bring_up`'s threads, read by the display's."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._state: dict[str, State] = {part.name: "waiting" for part in parts}
        self._since: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def note(self, name: str, state: State, seconds: float) -> None:
        self._state[name] = state
        if state == "starting":
            self._since[name] = time.monotonic()
        else:
            self._seconds[name] = seconds

    def table(self) -> Table:
        table = Table("part", "state", "seconds", box=None)
        for name, state in self._state.items():
            seconds = self._seconds.get(name, time.monotonic() - self._since.get(name, time.monotonic()))
            table.add_row(name, f"[{_STYLES[state]}]{state}[/]", f"{seconds:.1f}" if state != "waiting" else "")
        return table
