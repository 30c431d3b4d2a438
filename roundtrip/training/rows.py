"""Rows as tensors: the contract's vocabulary and encoding applied to the snapshot's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.contracts.use_cases import UseCase

RARE_BELOW = 20
"""Training rows below which a category's value stays out of the vocabulary: too few to learn an embedding from, and good to learn id 0."""


@dataclass(frozen=True)
class Rows:
    """n rows as the network takes them."""

    numbers: Tensor
    """float32 [n, N], NaN where missing."""
    categories: Tensor
    """int32 [n, C], 0 where unknown or missing."""
    labels: Tensor
    """float32 [n]."""

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Tensor | slice) -> Rows:
        return Rows(self.numbers[places], self.categories[places], self.labels[places])

    def on(self, device: torch.device) -> Rows:
        return Rows(self.numbers.to(device), self.categories.to(device), self.labels.to(device))


@dataclass(frozen=True)
class TrainingData:
    """What a training run learns from (`train`), is watched on (`held_out`), and the contract that encodes both."""

    contract: ModelContract
    train: Rows
    held_out: Rows


def training_data(use_case: UseCase, train: pa.Table, held_out: pa.Table) -> TrainingData:
    """Encode both tables by the vocabulary of `train`; raises SnapshotUnusable when either has no rows or a label is missing."""
    refuse_empty(train.num_rows, held_out.num_rows)
    contract = ModelContract.of(use_case, vocabulary(use_case, [train]))
    return TrainingData(contract, rows_of(contract, train, use_case.label), rows_of(contract, held_out, use_case.label))


def refuse_empty(train_rows: int, held_out_rows: int) -> None:
    """Raises SnapshotUnusable when there are no rows to train on, or none held out."""
    for name, rows in (("training", train_rows), ("held-out", held_out_rows)):
        if rows == 0:
            raise SnapshotUnusable(f"the snapshot has no {name} rows: add partitions, or lower the gate's held_out_days.")


def vocabulary(use_case: UseCase, tables: Iterable[pa.Table]) -> dict[str, list[str]]:
    """The values of each category with at least RARE_BELOW rows, sorted: the same rows in any order give the same ids."""
    counts: dict[str, Counter[Value]] = {entry.name: Counter() for entry in use_case.categories}
    for table in tables:
        for name, counted in counts.items():
            values, rows = table[name].drop_null().value_counts().flatten()
            counted.update(dict(zip(values.to_pylist(), rows.to_pylist(), strict=True)))
    return {name: sorted(str(value) for value, rows in counted.items() if rows >= RARE_BELOW) for name, counted in counts.items()}


def rows_of(contract: ModelContract, table: pa.Table, label: str) -> Rows:
    """The table's rows, encoded; raises SnapshotUnusable for a row without a label."""
    labels = np.asarray(column_of(table, label), dtype=np.float32)
    if np.isnan(labels).any():
        raise SnapshotUnusable(f"{int(np.isnan(labels).sum())} of {len(labels)} rows have no {label}: build the outcomes table again.")
    numbers, categories = contract.encode({entry.name: column_of(table, entry.name) for entry in contract.inputs})
    return Rows(torch.from_numpy(numbers), torch.from_numpy(categories), torch.from_numpy(labels))
