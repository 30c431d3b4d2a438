"""Rows as tensors: the contract's vocabulary and encoding applied to the snapshot's tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from roundtrip.contracts.columns import column_of
from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.contracts.model_contract import ModelContract
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
    for name, table in (("training", train), ("held-out", held_out)):
        if table.num_rows == 0:
            raise SnapshotUnusable(f"the snapshot has no {name} rows: add partitions, or lower the gate's held_out_days.")
    contract = ModelContract.of(use_case, vocabulary(use_case, train))
    return TrainingData(contract, rows_of(contract, train, use_case.label), rows_of(contract, held_out, use_case.label))


def vocabulary(use_case: UseCase, table: pa.Table) -> dict[str, list[str]]:
    """The values of each category with at least RARE_BELOW rows, sorted: the same rows in any order give the same ids."""
    counts = {entry.name: Counter(table[entry.name].drop_null().to_pylist()) for entry in use_case.categories}
    return {name: sorted(str(value) for value, rows in counted.items() if rows >= RARE_BELOW) for name, counted in counts.items()}


def rows_of(contract: ModelContract, table: pa.Table, label: str) -> Rows:
    """The table's rows, encoded; raises SnapshotUnusable for a row without a label."""
    labels = np.asarray(column_of(table, label), dtype=np.float32)
    if np.isnan(labels).any():
        raise SnapshotUnusable(f"{int(np.isnan(labels).sum())} of {len(labels)} rows have no {label}: build the outcomes table again.")
    numbers, categories = contract.encode({entry.name: column_of(table, entry.name) for entry in contract.inputs})
    return Rows(torch.from_numpy(numbers), torch.from_numpy(categories), torch.from_numpy(labels))
