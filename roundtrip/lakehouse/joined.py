"""Rows of several tables joined by key, however many there are.

Up to ROWS_AT_ONCE are joined in memory. More are first spread over buckets on disk by a hash of their key, table by table, and are then
joined bucket by bucket (a Grace hash join): memory holds a bucket, whatever the size of the tables. deltalake's own query engine reads
them; its joins are not used, because they hold a table in memory, or fail at their limit of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from roundtrip.lakehouse.tables import identifier

ROWS_AT_ONCE = 250_000
"""Rows of a table that are joined in memory."""
BATCH_ROWS = 65_536
"""Rows that are read, joined and counted at once: 20 numbers of them take 10 MB."""
_HASH = "hash of the key"
_MOST_BUCKETS = 512
"""All are open at once, and a process may have 1024 files. More than 128 million rows make the buckets larger."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A table of a join."""

    table: DeltaTable
    query: str
    """SQL that gives its rows `FROM side`: the columns of the key, and others that no other side has."""
    rows: int
    """How many it gives, or more."""
    join: Literal["inner", "left outer"] = "inner"
    """How it is joined to the sides before it."""


def joined_rows(key: Sequence[str], sides: Sequence[Side]) -> Iterator[pa.RecordBatch]:
    """The sides' rows joined by the columns of the key, which are of the same types in each. In an order that means nothing."""
    buckets = _buckets(max(side.rows for side in sides))
    if buckets == 1:
        yield from _joined(key, sides, [read_query(side.table, side.query).read_all() for side in sides])
        return
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(place) for place in range(len(sides))]
        for side, folder in zip(sides, folders, strict=True):
            _spread(side, key, folder, buckets)
        for bucket in range(buckets):
            yield from _joined(key, sides, [pa.ipc.open_file(pa.memory_map(str(folder / str(bucket)))).read_all() for folder in folders])


def read_query(table: DeltaTable, query: str) -> pa.RecordBatchReader:
    """What a query (DataFusion's SQL) gives `FROM side`, batch by batch."""
    builder = QueryBuilder({"datafusion.execution.target_partitions": "1", "datafusion.execution.batch_size": str(BATCH_ROWS)})
    answer = pa.RecordBatchReader.from_stream(builder.register("side", table).execute(query))
    # the texts come as views into buffers as large as what was read, and Arrow's functions don't take them
    schema = pa.schema([field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field for field in answer.schema])
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in answer))


def key_text(key: Sequence[str]) -> str:
    """SQL for the values of the key's columns as one text, joined by /."""
    return f"concat_ws('/', {', '.join(f'CAST({identifier(name)} AS VARCHAR)' for name in key)})"


def _buckets(rows: int) -> int:
    """How many, a power of two."""
    buckets = 1
    while rows > ROWS_AT_ONCE * buckets and buckets < _MOST_BUCKETS:
        buckets *= 2
    return buckets


def _spread(side: Side, key: Sequence[str], folder: Path, buckets: int) -> None:
    """Write the side's rows to a file a bucket."""
    folder.mkdir()
    reader = read_query(side.table, f"SELECT *, substr(md5({key_text(key)}), 1, 3) AS {identifier(_HASH)} FROM ({side.query})")
    schema = reader.schema.remove(reader.schema.get_field_index(_HASH))
    hashes = pa.array([f"{number:03x}" for number in range(4096)])  # all there are; not at import, when it would load pandas
    with ExitStack() as open_files:
        writers = [open_files.enter_context(pa.ipc.new_file(str(folder / str(bucket)), schema)) for bucket in range(buckets)]
        for batch in reader:
            places = pc.index_in(batch.column(_HASH), hashes).to_numpy() // (len(hashes) // buckets)
            rows = batch.select(schema.names).take(pa.array(np.argsort(places, kind="stable")))
            ends = np.cumsum(np.bincount(places, minlength=buckets)).tolist()
            for writer, first, end in zip(writers, [0, *ends], ends, strict=False):
                if end > first:
                    writer.write_batch(rows.slice(first, end - first))


def _joined(key: Sequence[str], sides: Sequence[Side], tables: Sequence[pa.Table]) -> Iterator[pa.RecordBatch]:
    joined = tables[0]
    for side, table in zip(sides[1:], tables[1:], strict=True):
        joined = joined.join(table, keys=list(key), join_type=side.join, use_threads=False)  # threads would shuffle the rows
    yield from joined.to_batches(max_chunksize=BATCH_ROWS)
