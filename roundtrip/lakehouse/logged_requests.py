"""Requests as the gateway logged them, to be joined with the rows of other tables by the key that they gave."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa
from deltalake import DeltaTable

from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.joined import Side, key_text
from roundtrip.lakehouse.tables import rows_in

TABLE = "prediction_log"
KEY = "key_of_row"
"""Column of the join: the key's values as one text, as a request gives them."""
INPUTS = "inputs_sent"
"""Column of the join: what a request held, a JSON object of all inputs of the version that answered, null where it gave none."""

_object = msgspec.json.Decoder(dict[str, Value]).decode


def keyed_side(use_case: UseCase, table: DeltaTable, columns: str, *, where: str, months: Sequence[str]) -> Side:
    """Rows of a table to be joined with requests. `columns` and `where`: SQL; `months`: those that `where` asks for."""
    query = f"SELECT {key_text(use_case.key)} AS {KEY}, {columns} FROM side WHERE {where}"
    return Side(table=table, query=query, rows=rows_in(table, months))


def inputs_sent(batch: pa.RecordBatch) -> list[dict[str, Value]]:
    """What each row's request held: input → value."""
    return [_object(text) for text in batch.column(INPUTS).to_pylist()]
