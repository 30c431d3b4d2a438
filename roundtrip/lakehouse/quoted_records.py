"""Which lines of a CSV file belong together: a line break between quotes is part of a value (RFC 4180, section 2, rule 6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MOST_LINES = 1000
"""Lines that one record may take. A quote that nobody closes can cost no more than these."""

_OPENS = re.compile(rb'(?:^|,)"[^"]*$')
_CLOSES = re.compile(rb'^[^"]*"(?:,|$)')


def records_of_several_lines(lines: Iterable[bytes], *, first: int) -> Iterator[tuple[int, int]]:
    """First and last line number of each record that takes more than one line; `lines` begin with number `first`, outside of quotes.

    A line with an even number of quotes leaves open what was open. One with an odd number opens a value when its last quote stands
    where a value begins, and closes it when its first quote stands where one ends (doubled quotes left aside). An opening line
    that the next odd line, at most MOST_LINES on, does not close stays a record by itself: the row contract finds its quote.
    """
    opened: int | None = None
    for number, line in enumerate(lines, start=first):
        if not line.count(b'"') % 2:
            continue
        single = line.rstrip(b"\r\n").replace(b'""', b"")
        if opened is not None and number - opened < MOST_LINES and _CLOSES.search(single):
            yield opened, number
            opened = None
        else:
            opened = number if _OPENS.search(single) else None
