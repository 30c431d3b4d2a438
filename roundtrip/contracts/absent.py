"""Keeps a library from importing what it would use if it were there, and what nothing here needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(module: str) -> Iterator[None]:
    """In the block, importing that module fails, unless it is loaded already."""
    sys.modules.setdefault(module, None)  # type: ignore[arg-type]  # importlib's way to say so
    try:
        yield
    finally:
        if sys.modules[module] is None:
            del sys.modules[module]
