from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from roundtrip.contracts.errors import BadDefinition
from roundtrip.lakehouse.content_hash import content_sha256

START = datetime(2013, 4, 1, tzinfo=UTC)
ROWS = pa.table(
    {
        "name": ["a", None, "", "äb"],
        "number": pa.array([1, None, 0, 2], pa.int32()),
        "share": [0.5, 1.0, None, float("nan")],
        "at": pa.array([START, None, START, START], pa.timestamp("us", "UTC")),
    }
)


def test_neither_chunks_nor_columns_nor_the_readers_text_type_matter() -> None:
    pieces = pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1)]).select(ROWS.column_names[::-1])
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        other = pieces.set_column(pieces.column_names.index("name"), "name", pieces["name"].cast(pa.string()).cast(kind))
        assert content_sha256(other) == content_sha256(ROWS)
    assert content_sha256(ROWS.slice(2)) == content_sha256(pa.table(ROWS.slice(2).to_pydict(), ROWS.schema))


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ["a", "", "", "äb"]},
        {"name": ["", None, "a", "äb"]},
        {"number": pa.array([1, 0, 0, 2], pa.int32())},
        {"number": pa.array([1, None, 0, 2], pa.int64())},
        {"share": [0.5, 1.0, 0.0, float("nan")]},
        {"at": pa.array([START, START, START, START], pa.timestamp("us", "UTC"))},
    ],
    ids=["an empty text for NULL", "another order", "zero for NULL", "a wider type", "0.0 for NULL", "a time for NULL"],
)
def test_any_other_value_type_or_null_is_other_content(changed: dict[str, object]) -> None:
    (name, column), place = next(iter(changed.items())), ROWS.column_names.index(next(iter(changed)))
    assert content_sha256(ROWS.set_column(place, name, pa.array(column))) != content_sha256(ROWS)


def test_no_rows_have_a_hash_too() -> None:
    assert content_sha256(ROWS.slice(0, 0)) == content_sha256(ROWS.schema.empty_table())


def test_a_type_that_no_table_has_is_refused() -> None:
    with pytest.raises(BadDefinition, match=r"decimal128\(2, 1\) can't be pinned: cast it"):
        content_sha256(pa.table({"x": [Decimal("1.5")]}))
