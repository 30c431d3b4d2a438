"""DeepSpeed, set up for this machine: ZeRO-1 over NCCL where there is a GPU, over gloo on cores otherwise."""

from __future__ import annotations

import math
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.ranks import world_size

os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")  # read when deepspeed is imported
# Before its first step DeepSpeed imports Muon, which calls torch.compile, which imports the whole of Inductor: 2 CPU s a rank for nothing.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import deepspeed

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

COLLECTIVE_TIMEOUT = timedelta(minutes=5)
"""How long a rank waits for the others. The longest wait is for rank 0 to read the snapshot, seconds for a year of rows."""
WARM_UP = 0.1
"""Fraction of the steps over which the learning rate rises; then it falls along a half cosine to zero."""
LARGEST_GRADIENT = 1.0
"""Norm to which a step's gradient is clipped: a day of cancelled connections is not to throw the weights about."""


def connect_ranks() -> torch.device:
    """Join the process group; gives the device of this rank."""
    # DeepSpeed would compile its shared-memory all-reduce now: 90 s and a compiler for a few megabytes a step. Naming it here also
    # spares the probe of every other operator (0.7 s).
    deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", timeout=COLLECTIVE_TIMEOUT, verbose=False)
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


def start_engine(network: nn.Module, recipe: Recipe, *, steps: int) -> DeepSpeedEngine:
    """The network with its optimizer, sharded over the ranks (ZeRO-1, fp32). `steps`: of the whole run, for the schedule.

    Raises BadRequest when the recipe's batch can't be shared out evenly.
    """
    if recipe.batch_size % world_size():
        raise BadRequest(f"a batch of {recipe.batch_size} rows can't be shared by {world_size()} ranks: choose a divisor of it as ranks.")
    configuration = {
        "train_batch_size": recipe.batch_size,
        "train_micro_batch_size_per_gpu": recipe.batch_size // world_size(),
        "gradient_clipping": LARGEST_GRADIENT,
        "zero_optimization": {"stage": 1},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # DeepSpeed's own CPU Adam is compiled at first use
        "steps_per_print": 2**31,
    }
    engine, *_ = deepspeed.initialize(
        model=network,
        optimizer=AdamW(_parameter_groups(network, recipe), lr=recipe.learning_rate),
        lr_scheduler=lambda optimizer: _schedule(optimizer, steps),
        config=configuration,
    )
    return engine


def _parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Weight decay holds back matrices, not biases."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    biases = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": biases, "weight_decay": 0.0}]


def _schedule(optimizer: Optimizer, steps: int) -> LambdaLR:
    def factor(step: int) -> float:
        done = step / steps
        return (done + 1 / steps) / WARM_UP if done < WARM_UP else 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))

    return LambdaLR(optimizer, factor)
