"""What the network's preprocessing takes from the training rows before any weight is learned."""

from __future__ import annotations

import torch
from torch import Tensor

from roundtrip.contracts.use_cases import Input
from roundtrip.training.network import Network
from roundtrip.training.rows import TrainingData

TAIL = 0.001
"""Fraction of rows beyond the outer edges on each side: a number's range without its freak values."""


def fit_inputs(network: Network, data: TrainingData) -> None:
    """Set ranges, typical values, edges, gain and scale of `network` from the training rows (exact, the same on every rank)."""
    numbers, labels = data.train.numbers, data.train.labels
    minimum, maximum = _ranges(data.contract.numbers)
    network.minimum.copy_(minimum)
    network.maximum.copy_(maximum)
    for place, column in enumerate(numbers.unbind(dim=1)):
        known = column[~torch.isnan(column)].clamp(minimum[place], maximum[place]).double()
        if len(known) > 0:  # a column that is missing in every row keeps zeros, and its flag says so
            network.typical[place] = known.median()
            network.edges[place] = _edges(known, network.shape.number_bins)
    correction = labels - network.baseline(numbers)
    network.gain.copy_(correction.median())
    network.scale.copy_((correction - network.gain).abs().mean().clamp(min=1e-3))


def _ranges(numbers: tuple[Input, ...]) -> tuple[Tensor, Tensor]:
    largest = torch.finfo(torch.float32).max
    minimum = torch.tensor([-largest if entry.minimum is None else entry.minimum for entry in numbers])
    maximum = torch.tensor([largest if entry.maximum is None else entry.maximum for entry in numbers])
    return minimum, maximum


def _edges(known: Tensor, bins: int) -> Tensor:
    """Quantiles of `known` [n], ascending, [bins + 1]; by sorting, since torch.quantile refuses more than 16 million values."""
    ranks = torch.linspace(TAIL, 1 - TAIL, bins + 1, dtype=torch.float64) * (len(known) - 1)
    return known.sort().values[ranks.round().long()]
