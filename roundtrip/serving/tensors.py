"""How rows travel to a served model: the names and widths of its tensors, derived from the model contract.

The graph takes `numbers` float32 [n, N] and `categories` int32 [n, C] (one of them is left out when the contract has none)
and gives `predictions` float32 [n, outputs].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundtrip.contracts.model_contract import ModelContract

OUTPUT = "predictions"

Tensors = dict[str, NDArray[np.float32] | NDArray[np.int32]]
Predictions = NDArray[np.float32]


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of the graph; `triton_type` as config.pbtxt spells it, `wire_type` as the v2 protocol does."""

    name: str
    width: int
    triton_type: str
    wire_type: str


def input_specs(contract: ModelContract) -> list[TensorSpec]:
    """The graph's inputs, in order."""
    numbers = TensorSpec("numbers", len(contract.numbers), "TYPE_FP32", "FP32")
    categories = TensorSpec("categories", len(contract.categories), "TYPE_INT32", "INT32")
    return [spec for spec in (numbers, categories) if spec.width > 0]


def output_spec(contract: ModelContract) -> TensorSpec:
    return TensorSpec(OUTPUT, len(contract.outputs), "TYPE_FP32", "FP32")


def tensors_of(numbers: NDArray[np.float32], categories: NDArray[np.int32]) -> Tensors:
    """The encoded rows as the graph's inputs."""
    named: Tensors = {"numbers": numbers, "categories": categories}
    return {name: array for name, array in named.items() if array.shape[1] > 0}
