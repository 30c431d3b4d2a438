"""Which process each service runs as: written down at its start, read to find it again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from roundtrip.cli.stack.layout import Stack
from roundtrip.cli.stack.processes import Process

_SUFFIX = ".pid.json"


def record_process(stack: Stack, service: str, process: Process) -> None:
    _file(stack, service).write_text(json.dumps({"pid": process.pid, "started": process.started}))


def recorded(stack: Stack, service: str) -> Process | None:
    """The process that this service was last started as; None when it never was. It may be dead: see Process.alive."""
    with contextlib.suppress(FileNotFoundError):
        return Process(**json.loads(_file(stack, service).read_text()))
    return None


def recorded_processes(stack: Stack) -> Iterator[Process]:
    """Every recorded process that is alive."""
    for path in sorted(stack.run.glob(f"*{_SUFFIX}")):
        process = recorded(stack, path.name.removesuffix(_SUFFIX))
        if process is not None and process.alive():
            yield process


def _file(stack: Stack, service: str) -> Path:
    return stack.run / f"{service}{_SUFFIX}"
