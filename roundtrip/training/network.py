"""The network: embeddings and an MLP that predict the correction to the baseline, as DeepETA does to its router (arXiv 2206.02127).

Preprocessing is inside, so the exported graph takes raw numbers and vocabulary ids and gives minutes: nothing is left that training
and serving could do differently. Numbers get a piecewise linear encoding over quantiles of the training rows (Gorishniy et al.,
arXiv 2203.05556, section 3.2.1): beyond the range it was trained on a number moves nothing more, which is worth 0.15–0.35 minutes
of MAE in the months after the training span.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.use_cases import Recipe


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """All that makes a network but its weights; travels as `network.json` (ensemble.py)."""

    numbers: int
    """Number inputs."""
    number_bins: int
    """Pieces of a number's encoding."""
    category_sizes: tuple[int, ...]
    """Ids of each category input: its known values and id 0."""
    embedding_width: int
    hidden: tuple[int, ...]
    baseline_place: int
    """Which number the correction is added to."""

    @classmethod
    def of(cls, contract: ModelContract, recipe: Recipe) -> NetworkShape:
        """The shape that a contract and a recipe ask for; raises BadRequest for outputs that are no median with an interval."""
        quantiles = [output.quantile for output in contract.outputs]
        if len(quantiles) != 3 or not 0 < quantiles[1] < quantiles[0] == 0.5 < quantiles[2] < 1:
            raise BadRequest(f"{contract.use_case} declares outputs of the quantiles {quantiles}: declare 0.5, one below it, one above it.")
        return cls(
            numbers=len(contract.numbers),
            number_bins=recipe.number_bins,
            category_sizes=tuple(len(contract.vocabulary[entry.name]) + 1 for entry in contract.categories),
            embedding_width=recipe.embedding_width,
            hidden=recipe.hidden,
            baseline_place=[entry.name for entry in contract.numbers].index(contract.baseline_column),
        )

    @property
    def embedding_widths(self) -> tuple[int, ...]:
        return tuple(min(self.embedding_width, (size + 1) // 2) for size in self.category_sizes)

    @property
    def features(self) -> int:
        """Width of the encoded row: pieces and a missing flag of each number, and the embeddings."""
        return self.numbers * (self.number_bins + 1) + sum(self.embedding_widths)


class Network(nn.Module):
    """Numbers float32 [n, N] (NaN: missing) and categories int32 [n, C] → minutes float32 [n, 3]: median, low and high quantile.

    An id outside the vocabulary counts as unknown (0). The quantiles never cross: each end is the median ∓ a softplus.
    """

    minimum: Tensor
    """[N], the contract's range: what lies outside is clamped."""
    maximum: Tensor
    typical: Tensor
    """[N], stands in for a missing number (beside a flag that says so)."""
    edges: Tensor
    """[N, bins + 1], quantiles of the training rows, ascending."""
    gain: Tensor
    """Median of label − baseline column over the training rows: what the baseline adds to its column."""
    scale: Tensor
    """Mean |label − baseline| of the training rows: the unit in which the head speaks."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        for name in ("minimum", "maximum", "typical"):
            self.register_buffer(name, torch.zeros(shape.numbers))
        self.register_buffer("edges", torch.zeros(shape.numbers, shape.number_bins + 1))
        self.register_buffer("gain", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.embeddings = nn.ModuleList(map(_embedding, shape.category_sizes, shape.embedding_widths))
        self.trunk = nn.Sequential(*_layers(shape.features, shape.hidden))
        self.head = _zero_head(shape.hidden[-1])

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        features, baseline = self.encode(numbers, categories)
        return self.answer(self.trunk(features), baseline)

    def encode(self, numbers: Tensor, categories: Tensor) -> tuple[Tensor, Tensor]:
        """The encoded rows [n, features], and what the network corrects [n]."""
        missing = torch.isnan(numbers)
        known = torch.clamp(torch.where(missing, self.typical, numbers), self.minimum, self.maximum)
        features = [self._pieces(known), missing.to(known.dtype), *self._embedded(categories)]
        return torch.cat(features, dim=1), known[:, self.shape.baseline_place] + self.gain

    def answer(self, hidden: Tensor, baseline: Tensor) -> Tensor:
        """What the last hidden layer [n, width] makes of the baseline [n]: the quantiles [n, 3]."""
        centre, below, above = self.head(hidden).float().unbind(dim=1)
        median = baseline + self.scale * centre
        low = median - self.scale * functional.softplus(below)
        high = median + self.scale * functional.softplus(above)
        return torch.stack([median, low, high], dim=1)

    def baseline(self, numbers: Tensor) -> Tensor:
        """What the network corrects, minutes [n]: the baseline column (NaN: its typical value) + the training rows' median gain."""
        column = numbers[:, self.shape.baseline_place]
        return torch.where(torch.isnan(column), self.typical[self.shape.baseline_place], column) + self.gain

    def _pieces(self, known: Tensor) -> Tensor:
        """[n, N] → [n, N · bins]: how far a number has come through each piece, −0.5 to 0.5. A piece of no width is a step."""
        starts, widths = self.edges[:, :-1], self.edges.diff(dim=1)
        inside = (known.unsqueeze(2) - starts) / torch.clamp(widths, min=1e-6)
        return (torch.clamp(inside, 0.0, 1.0) - 0.5).flatten(1)

    def _embedded(self, categories: Tensor) -> list[Tensor]:
        embedded = []
        for place, (embedding, size) in enumerate(zip(self.embeddings, self.shape.category_sizes, strict=True)):
            ids = categories[:, place]
            unknown = (ids < 0) | (ids >= size)
            embedded.append(embedding(torch.where(unknown, torch.zeros_like(ids), ids)))
        return embedded


def _embedding(size: int, width: int) -> nn.Embedding:
    """An embedding whose id 0 moves nothing until rows with a hidden or missing value teach it."""
    embedding = nn.Embedding(size, width)
    nn.init.normal_(embedding.weight, std=0.1)
    nn.init.zeros_(embedding.weight.data[0])
    return embedding


def _layers(width: int, hidden: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for next_width in hidden:
        layers += [nn.Linear(width, next_width), nn.SiLU()]
        width = next_width
    return layers


def _zero_head(width: int) -> nn.Linear:
    """The untrained network's median is the baseline."""
    head = nn.Linear(width, 3)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
