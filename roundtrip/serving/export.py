"""Write a trained network as an ONNX graph with all its preprocessing inside and a free number of rows."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from roundtrip.contracts.errors import CompileFailed
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.serving.tensors import OUTPUT, input_specs

_EXAMPLE_ROWS = 3
"""Rows of the traced example: more than one, or torch.export takes the batch size for a constant."""


def export_onnx(network: nn.Module, contract: ModelContract, model: Path) -> None:
    """Write `network` to `model`. Inputs and output as in tensors.py; weights inside the file, checked by onnx."""
    specs = input_specs(contract)
    example = tuple(
        torch.zeros(_EXAMPLE_ROWS, spec.width, dtype=torch.float32 if spec.wire_type == "FP32" else torch.int32) for spec in specs
    )
    rows = torch.export.Dim("rows", min=1)
    program = torch.onnx.export(
        _Graph(network, [spec.name for spec in specs]).eval(),
        example,
        dynamo=True,
        input_names=[spec.name for spec in specs],
        output_names=[OUTPUT],
        dynamic_shapes=(tuple({0: rows} for _ in specs),),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise CompileFailed(f"torch gave no ONNX program for {contract.use_case}: see its log above.")
    program.save(str(model), external_data=False)
    onnx.checker.check_model(str(model), full_check=True)


class _Graph(nn.Module):
    """The network as a function of only the tensors that its contract has: a contract without categories gives none."""

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *given: Tensor) -> Tensor:
        named = dict(zip(self.names, given, strict=True))
        rows = given[0].shape[0]
        numbers = named.get("numbers", torch.zeros(rows, 0))
        categories = named.get("categories", torch.zeros(rows, 0, dtype=torch.int32))
        return self.network(numbers, categories)
