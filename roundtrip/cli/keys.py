"""`roundtrip keys`: who may ask the gateway. It takes changes over within a second; only a key's SHA-256 is kept."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from roundtrip.cli.stack.credentials import write_private
from roundtrip.cli.stack.layout import load_stack
from roundtrip.contracts.errors import BadKey
from roundtrip.contracts.names import checked_name
from roundtrip.serving.gateway.api_keys import STACK_KEY, ApiKey, KeyScope, key_file, new_key, read_keys

app = typer.Typer(no_args_is_help=True, help=__doc__)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str, typer.Argument(help="Whose key it is: stands in the access log.")]


@app.command()
def add(
    name: Name,
    scopes: Annotated[
        list[KeyScope] | None,
        typer.Option("--scope", help="read (the default): predict, describe. metrics: for Prometheus. admin: all of it."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests a second at most, for each gateway; none: no limit.")] = None,
) -> None:
    """Make a key and print it, this once."""
    checked_name(name, what="key")
    secret, key = new_key(name, scopes=scopes or [KeyScope.READ], rate=rate)
    with _changed_keys() as keys:
        if name == STACK_KEY or any(other.name == name for other in keys):
            raise BadKey(f"there is a key {name!r} already: take another name, or `roundtrip keys revoke {name}` first.")
        keys.append(key)
    print(secret)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Every key but the stack's own: its scopes, its rate and when it was made."""
    keys = read_keys(key_file(load_stack().home))
    if as_json:
        listed = [{"name": key.name, "scopes": key.scopes, "rate": key.rate, "created_at": key.created_at.isoformat()} for key in keys]
        print(json.dumps(listed, indent=2))
        return
    shown = Table("name", "scopes", "rate", "made", box=None)
    for key in keys:
        rate = "no limit" if key.rate is None else f"{key.rate:g}/s"
        shown.add_row(key.name, ", ".join(key.scopes), rate, f"{key.created_at:%Y-%m-%d %H:%M} UTC")
    Console().print(shown if keys else "No key but the stack's own, ROUNDTRIP_GATEWAY_KEY.", markup=False)


@app.command()
def revoke(name: Name) -> None:
    """Remove a key: the gateway refuses it within a second."""
    with _changed_keys() as keys:
        if not any(key.name == name for key in keys):
            raise BadKey(f"there is no key {name!r}: `roundtrip keys list` names those there are.")
        keys[:] = [key for key in keys if key.name != name]


@contextmanager
def _changed_keys() -> Iterator[list[ApiKey]]:
    """The keys, to be changed; they are written when the body ends without an error. Nobody else changes them meanwhile."""
    path = key_file(load_stack().home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = read_keys(path)
        yield keys
        write_private(path, msgspec.json.format(msgspec.json.encode(keys)).decode())
