"""One rank of trainings of the tiny use case, under torchrun, disturbed on demand: `train_tiny.py FOLDER RECIPE…`.

Each recipe leaves FOLDER/RECIPE/checkpoints and FOLDER/RECIPE/model.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, distributed

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.training.checkpoints import Checkpoints, State
from roundtrip.training.engine import connected_ranks
from roundtrip.training.loop import Epoch, train
from roundtrip.training.ranks import rank
from roundtrip.training.rows import Rows, training_data
from roundtrip.training.spread_network import SpreadNetwork
from tests.roundtrip.training.tiny import TINY, tiny_rows

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


class Printed:
    """Prints each epoch; after epoch `full_after` no file of this process may grow any more, as on a full disk."""

    def __init__(self, full_after: int) -> None:
        self.full_after = full_after

    def record(self, epoch: Epoch) -> None:
        print(epoch, flush=True)
        if epoch.number == self.full_after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def disturb(at_step: int, number: signal.Signals) -> None:
    """Send this process the signal before that step, counted from 1."""
    undisturbed, steps = SpreadNetwork.step, count(1)

    def step(self: SpreadNetwork, share: Rows) -> Tensor:
        if next(steps) == at_step:
            os.kill(os.getpid(), number)
        return undisturbed(self, share)

    SpreadNetwork.step = step  # type: ignore[method-assign]


def disturb_saving(at_epoch: int, number: signal.Signals) -> None:
    """Send this process the signal before it saves its part of that epoch's checkpoint."""
    undisturbed = Checkpoints.save

    def save(self: Checkpoints, engine: DeepSpeedEngine, epoch: int, state: State) -> None:
        if epoch == at_epoch:
            os.kill(os.getpid(), number)
        undisturbed(self, engine, epoch, state)

    Checkpoints.save = save  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("recipes", nargs="+", help="of each: its name, which is a strategy, or a strategy and a precision: `zero_1-bf16`")
    parser.add_argument("--networks", type=int, default=TINY.recipe.networks)
    parser.add_argument("--rank-timeout", type=float, default=TINY.recipe.rank_timeout_s)
    parser.add_argument(
        "--victim", type=int, default=-1, help="rank that gets --disturbance, a signal, at --step or when it saves --saving"
    )
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--saving", type=int, default=0, help="an epoch")
    parser.add_argument("--disturbance", type=lambda name: signal.Signals[name], default=signal.SIGKILL)
    parser.add_argument("--full-after", type=int, default=0, help="epoch after which the disk is full")
    request = parser.parse_args()
    common = replace(TINY.recipe, networks=request.networks, rank_timeout_s=request.rank_timeout)
    end_with_parent()
    with connected_ranks(common):
        if rank() == request.victim:
            disturb(request.step, request.disturbance)
            disturb_saving(request.saving, request.disturbance)
        data = training_data(TINY, tiny_rows(), tiny_rows(200, seed=2))
        for name in request.recipes:
            strategy, _, precision = name.partition("-")
            recipe = replace(common, strategy=strategy, precision=precision or "fp32")  # type: ignore[arg-type]
            journal = Printed(request.full_after) if rank() == 0 else None
            ensemble, _ = train(data, recipe, checkpoints=Checkpoints(request.folder / name / "checkpoints"), journal=journal)
            if rank() == 0:
                ensemble.save(request.folder / name / "model")
    assert not distributed.is_initialized(), "a rank that has not left may be aborted as it exits"


if __name__ == "__main__":
    main()
