"""One rank of a training of the tiny use case, under torchrun: `train_tiny.py CHECKPOINTS MODEL [EPOCH]`.

With EPOCH, rank 0 kills rank 1 when that epoch is trained, before its checkpoint.
"""

import os
import signal
import sys
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


def main(checkpoints: Path, model: Path, fatal: int) -> None:
    end_with_torchrun()
    connect_ranks()
    pids: list[int] = [0] * world_size()
    distributed.all_gather_object(pids, os.getpid())
    data = training_data(TINY, tiny_rows(), tiny_rows(200, seed=2))
    torch.manual_seed(TINY.recipe.seed)
    network = Network(NetworkShape.of(data.contract, TINY.recipe))
    fit_inputs(network, data)
    journal = Printed(pids[1], fatal) if rank() == 0 else None
    train(network, data, TINY.recipe, checkpoints=Checkpoints(checkpoints), journal=journal)
    if rank() == 0:
        network.save(model)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
