"""Does the compiled model answer as the trained one? Compared on real rows and on rows made to break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roundtrip.contracts.errors import ParityFailed
from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.serving.tensors import Predictions, Tensors, tensors_of

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 0.01
"""Largest difference allowed, in the outputs' unit. Float32 resolves 1.2e-4 at 1,500 minutes; a wrong operator misses by minutes."""

Answer = Callable[[Tensors], Predictions]
Columns = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Parity:
    """`rows` compared and the largest absolute difference found, in the outputs' unit."""

    rows: int
    max_abs: float


def network_answer(network: nn.Module, contract: ModelContract, columns: Columns) -> Predictions:
    """What the trained network says, float32 [n, outputs]."""
    import torch  # takes seconds, which a roll back has not

    numbers, categories = contract.encode(columns)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(numbers), torch.from_numpy(categories)).numpy()


def check_parity(network: nn.Module, contract: ModelContract, answer: Answer, real_rows: Columns) -> Parity:
    """Compare `answer` with the network on `real_rows` and on adversarial rows.

    Raises ParityFailed when an answer is not finite or differs by more than TOLERANCE, naming the row.
    """
    columns = stacked(real_rows, adversarial_rows(contract), contract)
    trained = network_answer(network, contract, columns)
    compiled = answer(tensors_of(*contract.encode(columns)))
    return compare(trained, compiled, columns)


def compare(expected: Predictions, found: Predictions, columns: Columns) -> Parity:
    """The parity of two sets of answers to the same rows; raises ParityFailed."""
    difference = np.abs(expected - found)
    wrong = ~(difference <= TOLERANCE)  # also true for NaN
    if wrong.any():
        row, output = (int(place) for place in np.argwhere(wrong)[0])
        values = {name: column[row] for name, column in columns.items()}
        raise ParityFailed(
            f"{int(wrong.any(axis=1).sum())} of {len(expected)} rows differ by more than {TOLERANCE}: output {output} of row {row} is "
            f"{found[row, output]}, expected {expected[row, output]}. The model is not served; the row to look into: {values}"
        )
    return Parity(rows=len(expected), max_abs=float(difference.max()))


def adversarial_rows(contract: ModelContract) -> Columns:
    """Rows at the edges: nothing known, unknown categories, each number missing, at its limits, far beyond them and tiny."""
    middle: dict[str, Value] = {entry.name: 0.5 * ((entry.minimum or 0.0) + (entry.maximum or 1.0)) for entry in contract.numbers}
    middle |= {entry.name: next(iter(contract.vocabulary[entry.name]), None) for entry in contract.categories}
    rows: list[dict[str, Value]] = [
        {},
        middle,
        middle | {entry.name: "no such value" for entry in contract.categories},
        {entry.name: entry.minimum for entry in contract.numbers},
        {entry.name: entry.maximum for entry in contract.numbers},
    ]
    for entry in contract.numbers:
        rows += [middle | {entry.name: value} for value in (None, -1e9, 1e9, 1e-30, entry.minimum, entry.maximum)]
    return {entry.name: [row.get(entry.name) for row in rows] for entry in contract.inputs}


def stacked(first: Columns, second: Columns, contract: ModelContract) -> dict[str, list[Value]]:
    """The rows of both, one under the other, with every input of the contract."""
    counts = [len(next(iter(columns.values()))) for columns in (first, second)]
    return {
        entry.name: [
            *first.get(entry.name, [None] * counts[0]),
            *second.get(entry.name, [None] * counts[1]),
        ]
        for entry in contract.inputs
    }
