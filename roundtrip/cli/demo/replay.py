"""How a use case plays the world outside in `roundtrip demo`: `use_cases/<name>/replay.py`, found by name.

The library never imports a use case. The command line is the one place where a person names one, so it is found by that name,
as a plugin is: nothing in roundtrip/ knows flight_eta, and a second use case is replayed by adding its replay.py.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from roundtrip.contracts.errors import UnknownUseCase
from roundtrip.contracts.use_cases import UseCase


class Replay(Protocol):
    """What `use_cases/<name>/replay.py` offers."""

    TRAINING_MONTHS: tuple[str, ...]
    """Months that land before the first training."""
    REPLAYED_MONTHS: tuple[str, ...]
    """Months that can be replayed after it, in order."""

    def land_month(self, feed: str, month: str) -> None:
        """Write the feed's files of the month into the landing zone, the marker last; does nothing when the marker is there or taken."""

    def landed_months(self, feed: str) -> set[str]:
        """Months of the feed whose marker is in the landing zone, taken or not."""


def load_use_case(name: str) -> UseCase:
    """The declared use case of this name; raises UnknownUseCase, BadName."""
    return cast(UseCase, import_module("use_cases").use_case_named(name))


def load_replay(name: str) -> Replay:
    """The replay of the use case; raises UnknownUseCase when it is not declared or has none, BadName for what is no name."""
    module = f"use_cases.{load_use_case(name).name}.replay"
    try:
        return cast(Replay, import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UnknownUseCase(f"use case {name!r} can't be replayed: it has no use_cases/{name}/replay.py.") from None
