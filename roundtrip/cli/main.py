"""`roundtrip`: the one command-line tool. Exit codes: 0 ok, 1 it failed, 2 wrong use."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from roundtrip.cli.stack import lifecycle
from roundtrip.cli.stack.layout import load_stack
from roundtrip.cli.stack.services import with_what_they_need
from roundtrip.contracts.errors import BadRequest, RoundtripError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
errors = Console(stderr=True)


@app.command()
def up(services: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Start the embedded stack (or the named services and what they need) and wait until each part is ready."""
    def say(name: str, state: str, seconds: float) -> None:
        print(f"{state:9s} {name} {seconds:.1f} s", flush=True)
    started = lifecycle.bring_up(load_stack(), with_what_they_need(services or []), say)
    print(json.dumps({k: v.memory_mib for k, v in started.items()}))


@app.command()
def down() -> None:
    lifecycle.take_down(load_stack())


def run() -> None:
    """Entry point: a RoundtripError becomes its message and exit code 1 (2 when the request is wrong)."""
    try:
        app()
    except RoundtripError as error:
        errors.print(str(error), markup=False, highlight=False)
        sys.exit(2 if isinstance(error, BadRequest) else 1)
