"""The training loop as one would write it in plain PyTorch, for comparison: `plain_rank.py FOLDER`, as train_rank.py.

The same network, loss, hidden inputs, clipping and schedule, on tensors in memory; DistributedDataParallel where there are several ranks.
No DeepSpeed, no checkpoints, no held-out pass. Rank 0 leaves the rows a second of each epoch as `epochs.json`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.loop import pinball_loss
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.ranks import STORE, become_torchrun, rank, started_by_torchrun, world_size
from roundtrip.training.rows import Rows, TrainingData, training_data
from use_cases.flight_eta.declaration import USE_CASE


def main(folder: Path) -> None:
    recipe = msgspec.json.decode((folder / "recipe.json").read_bytes(), type=Recipe)
    if not started_by_torchrun():
        become_torchrun("benchmarks.training.plain_rank", [str(folder)], ranks=recipe.ranks)
    distributed.init_process_group("gloo", init_method=f"file://{os.environ[STORE]}", rank=rank(), world_size=world_size())
    data = training_data(USE_CASE, pq.read_table(folder / "train.parquet"), pq.read_table(folder / "held_out.parquet"))
    speeds = rows_per_second(data, recipe)
    if rank() == 0:
        (folder / "epochs.json").write_text(json.dumps([{"samples_per_second": speed} for speed in speeds]))
    distributed.destroy_process_group()


def rows_per_second(data: TrainingData, recipe: Recipe) -> list[float]:
    """Train; gives the rows a second of each epoch, over all ranks."""
    torch.manual_seed(recipe.seed)
    network = Network(NetworkShape.of(data.contract, recipe))
    fit_inputs(network, data)
    model = network if world_size() == 1 else DistributedDataParallel(network)
    optimizer = AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    steps = len(data.train) // recipe.batch_size
    schedule = OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps * recipe.epochs)
    quantiles = torch.tensor([output.quantile for output in data.contract.outputs])
    speeds = []
    for _ in range(recipe.epochs):
        started = time.monotonic()
        order = torch.randperm(len(data.train))[: steps * recipe.batch_size].view(steps, world_size(), -1)[:, rank()]
        for places in order:
            batch = hidden(data.train.at(places), recipe.input_dropout)
            optimizer.zero_grad()
            loss = pinball_loss(model(batch.numbers, batch.categories) / network.scale, batch.labels / network.scale, quantiles)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.largest_gradient)
            optimizer.step()
            schedule.step()
        speeds.append(steps * recipe.batch_size / (time.monotonic() - started))
    return speeds


def hidden(rows: Rows, probability: float) -> Rows:
    """The rows with inputs hidden at random."""
    numbers = rows.numbers.masked_fill(torch.rand_like(rows.numbers) < probability, math.nan)
    categories = rows.categories.masked_fill(torch.rand(rows.categories.shape) < probability, 0)
    return Rows(numbers, categories, rows.labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
