"""What rows hold, as one SHA-256: the same whatever files, chunks, column order or version of a library they were read with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from roundtrip.contracts.errors import BadDefinition


def content_sha256(rows: pa.Table) -> str:
    """SHA-256 over all columns, by name: type, which values are NULL, and the values in the order of the rows.

    Columns are of the types that tables have: int, double, string, timestamp (definitions.py); raises BadDefinition for another one.
    """
    digest = hashlib.sha256(f"{rows.num_rows} rows".encode())
    for name in sorted(rows.column_names):
        column = pa.concat_arrays(rows[name].chunks) if rows[name].num_chunks else pa.array([], rows[name].type)
        text = _holds_text(column.type)
        digest.update(f"\n{name} {'text' if text else column.type}\n".encode())
        digest.update(column.is_valid().to_numpy(zero_copy_only=False).data)
        for part in _text_parts(column) if text else [_numbers(column)]:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _holds_text(kind: pa.DataType) -> bool:
    """A reader may give the same text as one of several types."""
    return pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _text_parts(column: pa.Array) -> Iterator[NDArray[np.int64] | NDArray[np.uint8]]:
    """The length in bytes of each text, then all their bytes."""
    texts = pc.fill_null(column.cast(pa.large_string()), "")
    _, ends, content = texts.buffers()
    places = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1] if len(texts) else np.zeros(1, np.int64)
    yield np.diff(places)
    yield np.frombuffer(content, np.uint8)[places[0] : places[-1]] if places[-1] else np.zeros(0, np.uint8)


def _numbers(column: pa.Array) -> NDArray[np.int64] | NDArray[np.float64]:
    """The values, timestamps as microseconds; what lies under a NULL is 0."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadDefinition(f"a column of type {column.type} can't be pinned: cast it to int, double, string or timestamp in query.sql.")
    return pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
