"""Names that users give, checked before they become part of a path, an SQL statement or a command."""

from __future__ import annotations

import hashlib
import re

from roundtrip.contracts.errors import BadName, BadPartition

MONTH = "(19|20)[0-9][0-9]-(0[1-9]|1[0-2])"
"""Pattern of a partition, in the part of the regular expression language that Python, JSON Schema and browsers share."""

MOST_CHARACTERS = 200
"""Of a free text that is kept with what somebody did: a name, a reason."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PARTITION = re.compile(MONTH)
_UNSAFE_IN_FOLDER = re.compile(r"[^A-Za-z0-9_.=-]|^\.+")


def checked_name(name: str, *, what: str) -> str:
    """`name` if it is lower_snake_case of at most 63 characters; raises BadName otherwise. `what` says what it names."""
    if not _NAME.fullmatch(name):
        raise BadName(f"{what} {name!r} is not of the form [a-z][a-z0-9_]* (63 characters at most): use lower_snake_case.")
    return name


def checked_partition(partition: str) -> str:
    """`partition` if it is a month such as 2013-04; raises BadPartition otherwise."""
    if not _PARTITION.fullmatch(partition):
        raise BadPartition(f"partition {partition!r} is no month between 1900-01 and 2099-12: write it as 2013-04.")
    return partition


def checked_partitions(text: str) -> list[str]:
    """Months of a comma-separated list with optional ranges, sorted: `2013-01..2013-03,2013-05`."""
    months: set[str] = set()
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        first, dots, last = part.partition("..")
        months.update(months_between(checked_partition(first), checked_partition(last if dots else first)))
    if not months:
        raise BadPartition(f"{text!r} names no month: write 2013-04, a list 2013-04,2013-06 or a range 2013-04..2013-06.")
    return sorted(months)


def folder_name(text: str) -> str:
    """`text` as one part of a path. What it can't hold becomes `-`, and a digest keeps distinct texts apart."""
    safe = _UNSAFE_IN_FOLDER.sub("-", text)[:120]
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def months_between(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, both included; raises BadPartition when last lies before first."""
    if last < first:
        raise BadPartition(f"the range {first}..{last} ends before it starts: swap its ends.")
    return [_month(index) for index in range(_month_index(first), _month_index(last) + 1)]


def months_back(month: str, count: int) -> list[str]:
    """`month` and the `count` months before it, in order."""
    return [_month(index) for index in range(_month_index(month) - count, _month_index(month) + 1)]


def months_forward(month: str, count: int) -> list[str]:
    """`month` and the `count` months after it, in order."""
    return [_month(index) for index in range(_month_index(month), _month_index(month) + count + 1)]


def months_apart(first: str, last: str) -> int:
    """Months from `first` to `last`: 1 for neighbours, negative when last lies before first."""
    return _month_index(last) - _month_index(first)


def _month_index(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:]) - 1


def _month(index: int) -> str:
    return f"{index // 12:04d}-{index % 12 + 1:02d}"
