"""One rank of a training of the tiny use case, under torchrun: `train_tiny.py CHECKPOINTS MODEL`. Rank 0 names every rank's pid first."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed

from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import connect_ranks
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.loop import Epoch, train
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.ranks import rank, world_size
from roundtrip.training.rows import training_data
from tests.roundtrip.training.tiny import TINY, tiny_rows


class Printed:
    def record(self, epoch: Epoch) -> None:
        print(epoch, flush=True)


def main(checkpoints: Path, model: Path) -> None:
    connect_ranks()
    pids: list[int] = [0] * world_size()
    distributed.all_gather_object(pids, os.getpid())
    if rank() == 0:
        print("pids", *pids, flush=True)
    data = training_data(TINY, tiny_rows(), tiny_rows(200, seed=2))
    torch.manual_seed(TINY.recipe.seed)
    network = Network(NetworkShape.of(data.contract, TINY.recipe))
    fit_inputs(network, data)
    train(network, data, TINY.recipe, checkpoints=Checkpoints(checkpoints), journal=Printed() if rank() == 0 else None)
    if rank() == 0:
        network.save(model)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
