"""A small model version, built as every other: the real network with random weights, exported, with digests."""

from __future__ import annotations

from pathlib import Path

import torch

from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.contracts.use_cases import Input, Output, Recipe
from roundtrip.serving.compile import build_version
from roundtrip.training.network import Network, NetworkShape


def tiny_contract(use_case_name: str = "tiny", *, with_categories: bool = True) -> ModelContract:
    """A required and an optional number, and perhaps a category."""
    number = Input(name="delay_minutes", kind="number", unit="min", meaning="late off the gate", minimum=-60, maximum=1500, optional=False)
    wind = Input(name="wind_mph", kind="number", unit="mph", meaning="wind at the gate", minimum=0, maximum=100)
    carrier = Input(name="carrier", kind="category", unit="code", meaning="airline", optional=False)
    return ModelContract(
        use_case=use_case_name,
        inputs=(carrier, number, wind) if with_categories else (number, wind),
        outputs=(
            Output(name="late", unit="min", quantile=0.5),
            Output(name="late_p10", unit="min", quantile=0.1),
            Output(name="late_p90", unit="min", quantile=0.9),
        ),
        baseline_column="delay_minutes",
        vocabulary={"carrier": ["AA", "UA", "WN"]} if with_categories else {},
    )


def tiny_network(contract: ModelContract, *, seed: int) -> Network:
    """Random weights everywhere, so that every input moves every output; the contract's ranges as limits."""
    torch.manual_seed(seed)
    network = Network(NetworkShape.of(contract, Recipe(hidden=(8,))))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))
        network.minimum.copy_(torch.tensor([float(entry.minimum or 0) for entry in contract.numbers]))
        network.maximum.copy_(torch.tensor([float(entry.maximum or 0) for entry in contract.numbers]))
        network.typical.fill_(5.0)
        network.edges.copy_(torch.linspace(-50, 200, network.edges.shape[1]).expand_as(network.edges))
    return network.eval()


def build_tiny_version(folder: Path, *, seed: int, use_case_name: str = "tiny") -> Path:
    """A version folder with its manifest; another seed is another model of the same contract."""
    folder.mkdir(parents=True)
    contract = tiny_contract(use_case_name)
    build_version(tiny_network(contract, seed=seed), contract, folder)
    return folder


ROW: dict[str, Value] = {"carrier": "AA", "delay_minutes": 12.0, "wind_mph": 7.5}
