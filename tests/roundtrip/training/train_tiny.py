"""One rank of a training of the tiny use case, under torchrun: `train_tiny.py CHECKPOINTS MODEL`.

With `--fatal EPOCH`, rank 0 kills the last rank when that epoch is trained, before its checkpoint.
"""

import argparse
import os
import signal
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed

from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import connect_ranks
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.loop import Epoch, train
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.ranks import end_with_torchrun, rank, world_size
from roundtrip.training.rows import training_data
from tests.roundtrip.training.tiny import TINY, tiny_rows


class Printed:
    """Prints each epoch, and kills the process `victim` after epoch `fatal`."""

    def __init__(self, victim: int, fatal: int) -> None:
        self.victim = victim
        self.fatal = fatal

    def record(self, epoch: Epoch) -> None:
        print(epoch, flush=True)
        if epoch.number == self.fatal:
            os.kill(self.victim, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fatal", type=int, default=0)
    parser.add_argument("--strategy", default=TINY.recipe.strategy)
    parser.add_argument("--precision", default=TINY.recipe.precision)
    request = parser.parse_args()
    recipe = replace(TINY.recipe, strategy=request.strategy, precision=request.precision)
    end_with_torchrun()
    connect_ranks()
    pids: list[int] = [0] * world_size()
    distributed.all_gather_object(pids, os.getpid())
    data = training_data(TINY, tiny_rows(), tiny_rows(200, seed=2))
    torch.manual_seed(recipe.seed)
    network = Network(NetworkShape.of(data.contract, recipe))
    fit_inputs(network, data)
    journal = Printed(pids[-1], request.fatal) if rank() == 0 else None
    network, _ = train(network, data, recipe, checkpoints=Checkpoints(request.checkpoints), journal=journal)
    if rank() == 0:
        network.save(request.model)


if __name__ == "__main__":
    main()
