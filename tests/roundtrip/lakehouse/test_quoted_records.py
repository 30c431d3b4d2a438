import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.lakehouse.quoted_records import MOST_LINES, records_of_several_lines


def several(*lines: str) -> list[tuple[int, int]]:
    """Of the lines of a file, whose first is the header."""
    return list(records_of_several_lines([f"{line}\n".encode() for line in lines], first=2))


@pytest.mark.parametrize(
    "lines",
    [
        ('a,"b', 'c",d'),
        ('"', '",d'),
        ('a,"', '"'),
        ('a,"""b', 'c""",d'),
        ('a,"b', "", 'x"",""y', 'c"'),
        ('a,"b\r', 'c"\r'),
        ('"b', 'c","d', 'e"'),
    ],
)
def test_a_line_break_between_quotes_is_part_of_the_record(lines: tuple[str, ...]) -> None:
    assert several("x,y", *lines, "x,y") == [(3, len(lines) + 2)]


@pytest.mark.parametrize("stray", ['5" pipe,b', 'a,5"', 'a"', '"a"b",c', 'a, "b'])
def test_a_quote_within_a_value_opens_nothing(stray: str) -> None:
    assert several(stray, 'a,"b', 'c"') == [(3, 4)]


def test_a_quote_that_nobody_closes_costs_its_own_record_only() -> None:
    assert several('a,"open', "x,y", 'a,"b', 'c"', 'a,"open again') == [(4, 5)]


def test_a_record_ends_within_the_stated_number_of_lines() -> None:
    inside = ["x"] * (MOST_LINES - 2)
    assert several('a,"b', *inside, 'c"') == [(2, MOST_LINES + 1)]
    assert several('a,"b', *inside, "x", 'c"') == []


values = st.text(alphabet='a,"\n \\', max_size=6)


@given(st.lists(st.lists(values, min_size=2, max_size=2), max_size=30))
def test_what_csv_writes_is_split_where_csv_reads_it(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    lines = text.getvalue().encode().splitlines(keepends=True)
    expected, first = [], 1
    for row in rows:
        last = first + sum(value.count("\n") for value in row)
        expected += [(first, last)] if last > first else []
        first = last + 1
    assert list(records_of_several_lines(lines, first=1)) == expected
