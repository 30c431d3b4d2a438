"""What a job may be told on its command line. Values come from forms and events: each is checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.names import MOST_CHARACTERS, checked_name, checked_partition, checked_partitions

MOST_RANKS = 8
"""Training processes that one request may ask for: more would only share this machine's cores."""
MOST_TRIALS = 200
"""Recipes that a tuning may try: beyond that the validation rows are learned by heart."""
MOST_MINUTES = 24 * 60
"""Minutes that a tuning may take."""
MOST_VERSIONS = 2**31 - 1
"""The registry counts versions in 32 bits."""


def _partitions(text: str) -> None:
    """A list of months, or `..2013-06`: everything up to that month."""
    if text.startswith(".."):
        checked_partition(text.removeprefix(".."))
    else:
        checked_partitions(text)


def _tables(text: str) -> None:
    for table in text.split(","):
        checked_name(table, what="table")


def _whole_number(name: str, least: int, most: int) -> Callable[[str], None]:
    """The check of a number that the form limits."""

    def check(text: str) -> None:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise BadRequest(f"{name} {text!r} is no whole number from {least} to {most}: correct it in the form.")

    return check


def _free_text(text: str) -> None:
    """Anything but an option: it is one word of the command line, and no shell reads it."""
    if text.startswith("-") or len(text) > MOST_CHARACTERS:
        raise BadRequest(f"text {text!r} begins with a dash, or has more than {MOST_CHARACTERS} characters: correct it in the form.")


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "by": _free_text,
    "feed": lambda text: checked_name(text, what="feed"),
    "minutes": _whole_number("minutes", 1, MOST_MINUTES),
    "override-by": _free_text,
    "override-reason": _free_text,
    "parallel": _whole_number("parallel", 1, MOST_RANKS),
    "partition": checked_partition,
    "partitions": _partitions,
    "ranks": _whole_number("ranks", 1, MOST_RANKS),
    "tables": _tables,
    "trials": _whole_number("trials", 0, MOST_TRIALS),
    "version": _whole_number("version", 1, MOST_VERSIONS),
    "why": _free_text,
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
