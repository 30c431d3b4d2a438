"""Columns of an Arrow table as numpy holds them, and as the model contract's `encode` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.model_contract import Value

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def column_of(table: pa.Table, name: str) -> Sequence[Value]:
    """A column's values as numpy holds them (a number's NULL is NaN, a string's is None): ten times faster than a Python list.

    Raises SnapshotUnusable when the table has no such column.
    """
    if name not in table.column_names:
        raise SnapshotUnusable(
            f"the rows have no column {name!r}, which the use case declares: add it to the table's query.sql and build it again."
        )
    return table[name].to_numpy(zero_copy_only=False)


def day_numbers(instants: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Number of the day (UTC) of each instant, int64 [n]."""
    return instants.cast("date32").cast("int32").to_numpy(zero_copy_only=False).astype("int64")
