"""The training loop: epochs over tensors that stay in memory, a checkpoint after each. Resumed, it ends with the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, distributed, nn

from roundtrip.contracts.errors import SnapshotUnusable, TrainingDiverged
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.checkpoints import Checkpoints, State
from roundtrip.training.engine import lost_rank_named
from roundtrip.training.ensemble import Ensemble
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.ranks import rank, world_size
from roundtrip.training.rows import Rows, TrainingData
from roundtrip.training.spread_network import Loss, SpreadNetwork
from roundtrip.training.strategies import Strategy

WATCH_ROWS = 8192
"""Rows of one forward pass over the held-out span: enough to be fast, little enough for any memory."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """How one epoch went, over all ranks."""

    number: int = 0
    """From 1, counted over all networks; 0 stands for 'none yet'."""
    of: int = 0
    loss: float = math.nan
    """Mean pinball loss of the training rows, in units of the network's scale; the median counts double."""
    held_out_mae: float = math.nan
    """Mean |label − median| of the held-out rows, in the label's unit."""
    learning_rate: float = 0.0
    """Of the last step."""
    samples_per_second: float = 0.0
    """Training rows a second, checkpoint and held-out pass not counted."""
    useful_seconds: float = 0.0
    """Spent on this epoch and those before it, not on what was lost and trained again."""
    began_at: float = field(default_factory=time.time)
    """When the first attempt began to train, seconds since 1970."""

    @classmethod
    def from_state(cls, state: State) -> Epoch:
        """The epoch that a checkpoint was saved after."""
        return cls(**state | {"number": int(state["number"]), "of": int(state["of"])})  # type: ignore[arg-type]

    @property
    def useful_time_ratio(self) -> float:
        """Useful time / wall time since the first attempt began (ETTR: Kokolis et al., arXiv 2410.21680); 1 where nothing was lost."""
        return self.useful_seconds / max(time.time() - self.began_at, self.useful_seconds)

    def __str__(self) -> str:
        figures = f"loss {self.loss:.4f}  held-out MAE {self.held_out_mae:.3f}  {self.samples_per_second:,.0f} rows/s"
        return f"epoch {self.number}/{self.of}  {figures}"


class Journal(Protocol):
    """Who is told about each epoch."""

    def record(self, epoch: Epoch) -> None: ...


def train(data: TrainingData, recipe: Recipe, *, checkpoints: Checkpoints, journal: Journal | None) -> tuple[Ensemble, Epoch]:
    """Train the recipe's networks, each from its newest checkpoint if there is one; gives them, on every rank, and the last epoch, with
    the held-out MAE of all. Every rank calls it with equal arguments, but only rank 0 with a journal.

    Raises SnapshotUnusable for fewer rows than one batch, TrainingDiverged when the loss is no number any more, RankLost,
    CheckpointFailed, RanksChanged.
    """
    if len(data.train) < recipe.batch_size:
        raise SnapshotUnusable(f"{len(data.train)} training rows are less than one batch of {recipe.batch_size}: add partitions.")
    networks, epoch = [], Epoch()
    with lost_rank_named():
        for place in range(recipe.networks):
            own = replace(recipe, seed=recipe.seed + place)
            network, epoch = _train_network(data, own, after=epoch, checkpoints=checkpoints.of_network(place), journal=journal)
            networks.append(network)
        ensemble = Ensemble(networks)
        if len(networks) > 1:
            epoch = replace(epoch, held_out_mae=_held_out_mae(ensemble, data.held_out.on(ensemble.gain.device)))
        return ensemble, epoch


def _train_network(
    data: TrainingData, recipe: Recipe, *, after: Epoch, checkpoints: Checkpoints, journal: Journal | None
) -> tuple[Network, Epoch]:  # fmt: skip
    """Train one network; `after`: the last epoch of the one before it."""
    torch.manual_seed(recipe.seed)
    network = Network(NetworkShape.of(data.contract, recipe))
    _fit_inputs_once(network, data)
    steps = len(data.train) // recipe.batch_size
    spread = SpreadNetwork(network, recipe, _loss_in(data, network.scale), steps=steps * recipe.epochs)
    data = TrainingData(data.contract, data.train.on(spread.engine.device), data.held_out.on(spread.engine.device))
    state = checkpoints.resume(spread.engine, spread.strategy)
    epoch = Epoch.from_state(state) if state else after
    while epoch.number < after.number + recipe.epochs:
        epoch = _train_epoch(spread, data, recipe, after=epoch)
        if journal is not None:
            _check(epoch)
            journal.record(epoch)
        checkpoints.save(spread.engine, epoch.number, asdict(epoch))
    return spread.whole(), epoch


def _fit_inputs_once(network: Network, data: TrainingData) -> None:
    """By rank 0, for all: it sorts every column."""
    if rank() == 0:
        fit_inputs(network, data)
    fitted = [dict(network.named_buffers())]
    distributed.broadcast_object_list(fitted)
    network.load_state_dict(fitted[0], strict=False)


def _loss_in(data: TrainingData, scale: Tensor) -> Loss:
    """The pinball loss in units of `scale`."""
    quantiles = torch.tensor([output.quantile for output in data.contract.outputs])
    return lambda predictions, labels: pinball_loss(predictions / scale, labels / scale, quantiles.to(labels.device))


def _train_epoch(spread: SpreadNetwork, data: TrainingData, recipe: Recipe, *, after: Epoch) -> Epoch:
    steps = len(data.train) // recipe.batch_size
    started = time.monotonic()
    total = torch.zeros((), device=spread.engine.device)
    for share in shares(data, recipe, spread.strategy, epoch=after.number + 1):
        total += spread.step(share)
    distributed.all_reduce(total)
    loss = float(total) / steps / world_size()
    seconds = time.monotonic() - started
    held_out_mae = _held_out_mae(spread.whole(), data.held_out)
    return Epoch(
        number=after.number + 1,
        of=recipe.networks * recipe.epochs,
        loss=loss,
        held_out_mae=held_out_mae,
        learning_rate=spread.engine.get_lr()[0],
        samples_per_second=steps * recipe.batch_size / seconds,
        useful_seconds=after.useful_seconds + time.monotonic() - started,
        began_at=after.began_at,
    )


def shares(data: TrainingData, recipe: Recipe, strategy: Strategy, *, epoch: int) -> Iterator[Rows]:
    """This rank's share of each batch of the epoch, inputs hidden as the recipe says.

    A batch, hidden inputs included, is the same however many ranks share it: what is drawn, is drawn for the whole batch.
    """
    rows, ranks = data.train, strategy.data_ranks(world_size())
    order = torch.randperm(len(rows), generator=_generator(recipe.seed, epoch))
    hiding = _generator(recipe.seed, epoch, 1)
    may_miss = torch.tensor([entry.optional for entry in data.contract.numbers], device=rows.labels.device)
    size = recipe.batch_size // ranks
    mine = slice(size * strategy.data_rank(rank(), world_size()), size * (strategy.data_rank(rank(), world_size()) + 1))
    for start in range(0, len(rows) // recipe.batch_size * recipe.batch_size, recipe.batch_size):
        batch = rows.at(order[start : start + recipe.batch_size][mine].to(rows.labels.device))
        yield hidden(batch, recipe.input_dropout, may_miss, hiding, of=recipe.batch_size, place=mine)


def hidden(rows: Rows, probability: float, may_miss: Tensor, generator: torch.Generator, *, of: int, place: slice) -> Rows:
    """The rows with inputs hidden at random: a number that `may_miss` [N] becomes missing (NaN), any category unknown (0).

    They stand at `place` in a batch `of` so many rows, for all of which is drawn.
    """
    device = rows.labels.device
    numbers, categories = rows.numbers.shape[1], rows.categories.shape[1]
    drawn = torch.rand((of, numbers + categories), generator=generator)[place].to(device) < probability
    hide_numbers, hide_categories = drawn.split([numbers, categories], dim=1)
    return Rows(rows.numbers.masked_fill(hide_numbers & may_miss, math.nan), rows.categories.masked_fill(hide_categories, 0), rows.labels)


def pinball_loss(predictions: Tensor, labels: Tensor, quantiles: Tensor) -> Tensor:
    """Mean pinball loss (Koenker and Bassett, 1978) of predictions [n, Q] for labels [n]; the median, the answer, counts double."""
    difference = labels.unsqueeze(1) - predictions
    weights = torch.where(quantiles == 0.5, 2.0, 1.0)
    return (torch.maximum(quantiles * difference, (quantiles - 1) * difference) * weights).sum(dim=1).mean()


def _held_out_mae(network: nn.Module, rows: Rows) -> float:
    """Each rank takes its share; the sum is over all rows."""
    error = torch.zeros(2, device=rows.labels.device)
    network.eval()
    with torch.no_grad():
        for start in range(rank() * WATCH_ROWS, len(rows), world_size() * WATCH_ROWS):
            share = rows.at(slice(start, start + WATCH_ROWS))
            median = network(share.numbers, share.categories)[:, 0]
            error += torch.stack([(share.labels - median).abs().sum(), torch.tensor(float(len(share)), device=error.device)])
    network.train()
    distributed.all_reduce(error)
    return float(error[0] / error[1])


def _check(epoch: Epoch) -> None:
    if not (math.isfinite(epoch.loss) and math.isfinite(epoch.held_out_mae)):
        raise TrainingDiverged(f"{epoch}: the loss is no number any more. Lower the recipe's learning_rate, and check the labels' range.")


def _generator(*seed: int) -> torch.Generator:
    """A generator of its own for each tuple of small numbers."""
    folded = 0
    for part in seed:
        folded = folded * 1_000_003 + part
    return torch.Generator().manual_seed(folded)
