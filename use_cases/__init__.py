"""The use cases: each folder declares one as `USE_CASE` in its `declaration.py`. Light to import: DAG files do."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from roundtrip.contracts.errors import UnknownUseCase
from roundtrip.contracts.names import checked_name
from roundtrip.contracts.use_cases import UseCase


@cache
def declared_use_cases() -> tuple[UseCase, ...]:
    """Every declared use case, by name."""
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/declaration.py"))
    return tuple(import_module(f"use_cases.{folder}.declaration").USE_CASE for folder in folders)


def use_case_named(name: str) -> UseCase:
    """The use case of that name; raises UnknownUseCase, listing those that are declared."""
    checked_name(name, what="use case")
    for use_case in declared_use_cases():
        if use_case.name == name:
            return use_case
    known = ", ".join(use_case.name for use_case in declared_use_cases())
    raise UnknownUseCase(f"no use case {name!r} is declared (declared: {known}): add use_cases/{name}/declaration.py.")
