"""Rows of the held-out span, in the form that models are compared on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.snapshot import Snapshot, load_rows

MOST_ROWS = 2000
"""Rows that parity and probes look at: every category and hour occurs, and the comparison takes a second."""


def held_out_columns(use_case: UseCase, snapshot: Snapshot, contract: ModelContract) -> dict[str, Sequence[Value]]:
    """At most MOST_ROWS rows, evenly spread over the snapshot's held-out span, as columns of the contract's inputs."""
    held_out = load_rows(use_case, snapshot).held_out
    places = np.unique(np.linspace(0, held_out.num_rows - 1, num=min(MOST_ROWS, held_out.num_rows)).astype(np.int64))
    return input_columns(held_out.take(pa.array(places)), contract)


def input_columns(rows: pa.Table, contract: ModelContract) -> dict[str, Sequence[Value]]:
    """The contract's inputs of a table. Raises SnapshotUnusable when a column is missing."""
    return {entry.name: column_of(rows, entry.name) for entry in contract.inputs}
