"""The services' logs, one file each in `<home>/logs`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from roundtrip.cli.stack.layout import Stack
from roundtrip.cli.stack.services import SERVICES

_LOOK_EVERY_S = 0.3


def show(stack: Stack, services: Sequence[str] | None, *, lines: int) -> None:
    """Print the end of each named service's log, of every one when none is named."""
    for path in _paths(stack, services):
        print(f"==> {path} <==")
        print("\n".join(path.read_text(errors="replace").splitlines()[-lines:] if lines else []))


def follow(stack: Stack, services: Sequence[str] | None) -> None:
    """Print what is added to the logs until Ctrl-C; a rotated log is read on from its beginning."""
    read = {path: path.stat().st_size for path in _paths(stack, services)}
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for path in _paths(stack, services):
                read[path] = _print_new(path, read.get(path, 0), name=len(read) > 1)
            time.sleep(_LOOK_EVERY_S)


def _print_new(path: Path, start: int, *, name: bool) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start if start <= size else 0)
        added = file.read()
    for line in added.decode(errors="replace").splitlines():
        print(f"{path.stem}: {line}" if name else line, flush=True)
    return (start if start <= size else 0) + len(added)


def _paths(stack: Stack, services: Sequence[str] | None) -> list[Path]:
    names = services or [service.name for service in SERVICES]
    return [path for name in names if (path := stack.log_of(name)).exists()]
