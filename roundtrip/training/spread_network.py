"""A network spread over ranks by DeepSpeed: trained batch by batch, wherever its parts are, and put together where it is needed whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, distributed, nn

from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.engine import start_engine
from roundtrip.training.network import Network
from roundtrip.training.ranks import world_size
from roundtrip.training.rows import Rows
from roundtrip.training.strategies import Strategy, strategy_of

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine
    from deepspeed.runtime.pipe.engine import PipelineEngine

Loss = Callable[[Tensor, Tensor], Tensor]
"""Predictions [n, 3] and labels [n] → their mean loss."""


class SpreadNetwork:
    """`network`, trained over all ranks by the recipe's strategy. Every rank calls every method, together."""

    def __init__(self, network: Network, recipe: Recipe, loss: Loss, *, steps: int) -> None:
        self.strategy = strategy_of(recipe, world_size=world_size())
        self._network = network
        self._loss = loss
        module = network if self.strategy.pipeline_stages == 1 else _pipeline(network, self.strategy, loss)
        self.engine: DeepSpeedEngine = start_engine(module, recipe, self.strategy, steps=steps)

    def step(self, share: Rows) -> Tensor:
        """Learn from this rank's share of a batch; gives the mean loss of the share, or of the whole batch."""
        if self.strategy.pipeline_stages > 1:
            return cast("PipelineEngine", self.engine).train_batch(_micro_batches(share, self.strategy.micro_batches)).detach()
        loss = self._loss(self.engine(share.numbers, share.categories), share.labels)
        self.engine.backward(loss)
        self.engine.step()
        return loss.detach()

    def whole(self) -> Network:
        """The network with all its weights, on every rank: itself where each rank holds them all, otherwise a copy to read from."""
        strategy = self.strategy
        if strategy.pipeline_stages == strategy.tensor_ranks == 1 and strategy.zero_stage < 3:
            return self._network
        weights = self._stages_together() if strategy.pipeline_stages > 1 else self._shards_together()
        copy = Network(self._network.shape).to(self.engine.device)
        copy.load_state_dict(weights)
        return copy

    def _shards_together(self) -> dict[str, Tensor]:
        """Of tensor parallelism and ZeRO-3: the shards are gathered, copied, and let go."""
        import deepspeed
        from deepspeed.module_inject.layers import GatherReplacedLayerParams

        with ExitStack() as gathered, torch.no_grad():
            if self.strategy.zero_stage == 3:
                gathered.enter_context(deepspeed.zero.GatheredParameters(list(self._network.parameters())))
            else:
                for layer in self._network.modules():
                    if held := list(layer.parameters(recurse=False)):
                        gathered.enter_context(GatherReplacedLayerParams(held, layer))
            return {name: tensor.clone() for name, tensor in self._network.state_dict().items()}

    def _stages_together(self) -> dict[str, Tensor]:
        """Of a pipeline: each layer's weights come from the first rank that holds them."""
        held = {id(parameter) for parameter in self.engine.module.parameters()}
        mine = [name for name, parameter in self._network.named_parameters() if id(parameter) in held]
        everyones: list[list[str]] = [[] for _ in range(world_size())]
        distributed.all_gather_object(everyones, mine)
        weights = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        for name, _ in self._network.named_parameters():
            distributed.broadcast(weights[name], src=next(rank for rank, names in enumerate(everyones) if name in names))
        return weights


class _Layers(nn.Module):
    """Layers of a pipeline: only `held` is registered, so each stage trains and keeps what is its own."""

    def __init__(self, held: nn.Module, run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.held = held
        self.run = run

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(*inputs)


def _pipeline(network: Network, strategy: Strategy, loss: Loss) -> nn.Module:
    """The network as layers that hand on one tensor [n, width + 1]: its last column is the baseline, which only the head needs."""
    from deepspeed.pipe import PipelineModule

    def encode(inputs: tuple[Tensor, Tensor]) -> Tensor:
        features, baseline = network.encode(*inputs)
        return torch.cat([features, baseline.unsqueeze(1)], dim=1)

    def through(layers: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda handed: torch.cat([layers(handed[:, :-1]), handed[:, -1:]], dim=1)

    def answer(handed: Tensor) -> Tensor:
        return network.answer(handed[:, :-1], handed[:, -1])

    hidden = [network.trunk[place : place + 2] for place in range(0, len(network.trunk), 2)]  # a matrix and its activation
    layers = [
        _Layers(network.embeddings, encode),
        *(_Layers(layer, through(layer)) for layer in hidden),
        _Layers(network.head, answer),
    ]
    return PipelineModule(layers, num_stages=strategy.pipeline_stages, loss_fn=loss)


def _micro_batches(share: Rows, parts: int) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor]]:
    rows = len(share) // parts
    for start in range(0, len(share), rows):
        part = share.at(slice(start, start + rows))
        yield (part.numbers, part.categories), part.labels
