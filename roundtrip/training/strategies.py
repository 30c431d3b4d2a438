"""Ways to spread one training over ranks. Each trains the same network on the same batches: docs/training.md compares their losses."""

from __future__ import annotations

from dataclasses import dataclass

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.use_cases import Recipe


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """What is spread over which ranks. A batch is shared by the ranks that are left when stages and shards have taken theirs."""

    zero_stage: int = 0
    """What DeepSpeed shards over the ranks that share a batch (ZeRO, arXiv 1910.02054): nothing (0: each holds everything, and gradients
    are averaged), the optimizer's state (1), gradients too (2), weights too (3)."""
    pipeline_stages: int = 1
    """Ranks that hold the layers one after the other (GPipe, arXiv 1811.06965)."""
    micro_batches: int = 1
    """Parts of a batch that go through the stages one behind the other; with one, all stages but one would always wait."""
    tensor_ranks: int = 1
    """Ranks that hold a part of every hidden layer's matrix (Megatron-LM, arXiv 1909.08053)."""

    @property
    def elastic(self) -> bool:
        """Whether every rank holds everything, so that a checkpoint can be continued by more ranks or fewer."""
        return self == Strategy()

    def data_ranks(self, world_size: int) -> int:
        """How many ranks share a batch; raises BadRequest when the stages or shards don't divide the ranks."""
        apart = self.pipeline_stages * self.tensor_ranks
        if world_size % apart:
            raise BadRequest(f"this strategy spreads the network over {apart} ranks: {world_size} can't be shared out so, ask for {apart}.")
        return world_size // apart

    def data_rank(self, rank: int, world_size: int) -> int:
        """Which share of a batch a rank takes, from 0. As DeepSpeed numbers, neighbours hold one network's shards, stages lie apart."""
        return rank // self.tensor_ranks % self.data_ranks(world_size)


STRATEGIES = {
    "data_parallel": Strategy(),
    "zero_1": Strategy(zero_stage=1),
    "zero_2": Strategy(zero_stage=2),
    "zero_3": Strategy(zero_stage=3),
    "pipeline": Strategy(pipeline_stages=2, micro_batches=4),
    "tensor_parallel": Strategy(tensor_ranks=2),
}


def strategy_of(recipe: Recipe, *, world_size: int) -> Strategy:
    """The recipe's strategy; raises BadRequest when it is unknown, or its batch can't be shared out evenly over the ranks."""
    if recipe.strategy not in STRATEGIES:
        raise BadRequest(f"recipe.strategy is {recipe.strategy!r}: choose one of {', '.join(STRATEGIES)}.")
    strategy = STRATEGIES[recipe.strategy]
    shares = strategy.data_ranks(world_size) * strategy.micro_batches
    if recipe.batch_size % shares:
        raise BadRequest(
            f"a batch of {recipe.batch_size} rows can't be shared out {shares} ways, as {recipe.strategy} on {world_size} ranks does: "
            "choose ranks that divide it."
        )
    return strategy
