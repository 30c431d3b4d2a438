"""What a job may be told on its command line. Values come from forms and events: each is checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.names import MOST_CHARACTERS, checked_name, checked_partition, checked_partitions

MOST_RANKS = 8
"""Training processes that one request may ask for: more would only share this machine's cores."""


def _partitions(text: str) -> None:
    """A list of months, or `..2013-06`: everything up to that month."""
    if text.startswith(".."):
        checked_partition(text.removeprefix(".."))
    else:
        checked_partitions(text)


def _tables(text: str) -> None:
    for table in text.split(","):
        checked_name(table, what="table")


def _ranks(text: str) -> None:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_RANKS):
        raise BadRequest(f"ranks {text!r} is no whole number from 1 to {MOST_RANKS}: correct it in the form.")


def _free_text(text: str) -> None:
    """Anything but an option: it is one word of the command line, and no shell reads it."""
    if text.startswith("-") or len(text) > MOST_CHARACTERS:
        raise BadRequest(f"text {text!r} begins with a dash, or has more than {MOST_CHARACTERS} characters: correct it in the form.")


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "feed": lambda text: checked_name(text, what="feed"),
    "override-by": _free_text,
    "override-reason": _free_text,
    "partition": checked_partition,
    "partitions": _partitions,
    "ranks": _ranks,
    "tables": _tables,
}


def command_line(arguments: Mapping[str, str]) -> list[str]:
    """`--name value` for every argument that has a value; raises BadRequest for a value that is not of its form."""
    words: list[str] = []
    for name, value in arguments.items():
        if value:
            if not value.isprintable():
                raise BadRequest(f"{name} {value!r} holds a character that can't be printed: write it in plain letters.")
            _CHECKS[name](value)
            words += [f"--{name}", value]
    return words


def receipt_parts(arguments: Mapping[str, str]) -> list[str]:
    """Which receipts a job of these arguments leaves: one per table and partition, one of the feed, or just one."""
    if "tables" in arguments:
        return [f"{table}.{arguments['partition']}" for table in arguments["tables"].split(",")]
    return [arguments.get("feed", "")]
