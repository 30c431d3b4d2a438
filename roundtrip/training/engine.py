"""DeepSpeed, set up for this machine and a strategy: over NCCL where there is a GPU, over gloo on cores otherwise."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import distributed, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from roundtrip.contracts.absent import absent
from roundtrip.contracts.errors import RankLost
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.ranks import STORE, kept_waiting, only_rank, rank, world_size
from roundtrip.training.strategies import Strategy

os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")  # read when deepspeed is imported
# Before its first step DeepSpeed imports Muon, which calls torch.compile, which imports the whole of Inductor: 2 CPU s a rank for nothing.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
if not torch.cuda.is_available():
    # with DeepSpeed's choice, 1, each step of AdamW loads NVML to look for a GPU again: 0.3 ms
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "0")
with absent("mlflow"):  # DeepSpeed's autotuner, which nothing here asks for, imports it where it finds it: 1 CPU s a rank
    import deepspeed

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

WARM_UP = 0.1
"""Fraction of the steps over which the learning rate rises; then it falls along a half cosine to zero."""
ROLL_CALL = timedelta(seconds=10)
"""How long each rank has to answer when one of them is looked for."""


@contextmanager
def connected_ranks(recipe: Recipe) -> Iterator[None]:
    """Join the process group, and leave it at the end, unless something was raised: then another rank may be waited for in vain.

    A rank that exits without leaving may be aborted by a thread of gloo that still drops its last tensors: 10 of 60 were that did nothing
    else, and torchrun then ends the rank that is still writing the model. 0 of 60 with it.
    """
    _connect(recipe)
    yield
    deepspeed.comm.destroy_process_group()


def _connect(recipe: Recipe) -> None:
    timeout = timedelta(seconds=recipe.rank_timeout_s)
    # without a timeout of its own, each group that DeepSpeed makes would wait for a hung rank for half an hour
    distributed.new_group = partial(distributed.new_group, timeout=timeout)
    # DeepSpeed would compile its shared-memory all-reduce now: 90 s and a compiler for a few megabytes a step. Naming it here also
    # spares the probe of every other operator (0.7 s).
    deepspeed.ops.__compatible_ops__ = {"deepspeed_shm_comm": False}
    on_gpu = torch.cuda.is_available()
    backend = "nccl" if on_gpu else "gloo"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if STORE in os.environ:
        meeting = f"file://{os.environ[STORE]}"
        distributed.init_process_group(backend, init_method=meeting, rank=rank(), world_size=world_size(), timeout=timeout)
    # torchrun, or single_rank, has said all; without them it would ask MPI, Azure and AWS
    deepspeed.init_distributed(dist_backend=backend, timeout=timeout, auto_mpi_discovery=False, verbose=False)


@contextmanager
def single_rank(recipe: Recipe) -> Iterator[None]:
    """Make this process the only rank of its trainings, without torchrun: in a notebook, say. It may be entered again.

    One thread, like torchrun's ranks: the weights are those of `--ranks 1`. Nothing listens but on 127.0.0.1.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with only_rank():
        backend, store = "nccl" if torch.cuda.is_available() else "gloo", distributed.HashStore()  # type: ignore[attr-defined]
        distributed.init_process_group(backend, store=store, rank=0, world_size=1)
        try:
            _connect(recipe)
            yield
        finally:
            deepspeed.comm.destroy_process_group()
            torch.set_num_threads(threads)


@contextmanager
def lost_rank_named() -> Iterator[None]:
    """Turns a collective that timed out into RankLost, which names the ranks that don't answer (gloo; NCCL's watchdog ends the process)."""
    apart = distributed.new_group(backend="gloo")
    assert isinstance(apart, distributed.ProcessGroup)  # every rank is a member
    try:
        yield
    except RuntimeError as error:
        if not kept_waiting(error):
            raise
        try:
            distributed.monitored_barrier(apart, timeout=ROLL_CALL, wait_all_ranks=True)
        except RuntimeError as missing:
            raise RankLost(
                f"{str(missing).splitlines()[0]} A rank kept the others waiting (recipe.rank_timeout_s). Look at its machine, and run the "
                "training again: it goes on from the last checkpoint, with fewer --ranks if need be."
            ) from error
        raise


def start_engine(module: nn.Module, recipe: Recipe, strategy: Strategy, *, steps: int) -> DeepSpeedEngine:
    """The module with its optimizer, spread over the ranks. `steps`: of the whole run, for the schedule."""
    engine, *_ = deepspeed.initialize(
        model=module,
        # made by DeepSpeed when it has spread the parameters
        optimizer=lambda parameters: AdamW(_parameter_groups(parameters, recipe), lr=recipe.learning_rate, fused=True),
        lr_scheduler=lambda optimizer: _schedule(optimizer, steps),
        config=_configuration(module, recipe, strategy),
    )
    if _clips_by_itself(strategy):
        engine.optimizer.register_step_pre_hook(partial(_clip, recipe=recipe, strategy=strategy))
    if world_size() == 1:
        engine.enable_backward_allreduce = False  # a rank alone has no one to average its gradients with: 0.8 ms a step
    if strategy.tensor_ranks > 1:
        # compares the first batch of the ranks, and finds a missing number (NaN) unlike itself
        engine.first_dataloader_check.remove()
    return engine


def _configuration(module: nn.Module, recipe: Recipe, strategy: Strategy) -> dict[str, object]:
    share = recipe.batch_size // strategy.data_ranks(world_size())
    configuration: dict[str, object] = {
        "train_micro_batch_size_per_gpu": share // strategy.micro_batches,
        "gradient_accumulation_steps": strategy.micro_batches,
        "gradient_clipping": 0.0 if _clips_by_itself(strategy) else recipe.largest_gradient,
        "zero_optimization": {"stage": strategy.zero_stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # DeepSpeed's own CPU Adam is compiled at first use
        "steps_per_print": 2**31,
    }
    if recipe.precision == "bf16":
        configuration["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
    if strategy.tensor_ranks > 1:
        configuration["tensor_parallel"] = {"autotp_size": strategy.tensor_ranks, "partition_config": _sharded_layers(module)}
    return configuration


def _sharded_layers(module: nn.Module) -> dict[str, object]:
    """The hidden layers in pairs: the first split by outputs, the second by inputs, so that only its results are added up.

    A last one without a partner hands all of its outputs to every rank.
    """
    matrices = [name for name, layer in module.named_modules() if name.startswith("trunk.") and isinstance(layer, nn.Linear)]
    layers: list[dict[str, object]] = []
    for place, name in enumerate(matrices):
        paired = place % 2 == 1 or place + 1 < len(matrices)
        kind: dict[str, object] = {"partition_type": "row"} if place % 2 else {"partition_type": "column", "gather_output": not paired}
        layers.append({"patterns": [rf"{re.escape(name)}\.weight$"], **kind})
    return {"use_default_specs": False, "layer_specs": layers}


def _parameter_groups(parameters: Iterable[nn.Parameter], recipe: Recipe) -> list[dict[str, object]]:
    """Weight decay holds back matrices, not biases."""
    held = list(parameters)
    matrices = [parameter for parameter in held if parameter.ndim > 1]
    biases = [parameter for parameter in held if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": biases, "weight_decay": 0.0}]


def _clips_by_itself(strategy: Strategy) -> bool:
    """Where DeepSpeed 0.19 doesn't clip (a pipeline), or asks all ranks for a norm that each has (data parallelism: 0.5 ms a step)."""
    return strategy.zero_stage == 0 and strategy.tensor_ranks == 1


def _clip(optimizer: Optimizer, *_: object, recipe: Recipe, strategy: Strategy) -> None:
    """Each rank holds the whole gradient, or its stage's: then the stages' norms make up the whole one's."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if strategy.pipeline_stages > 1:
        squared = norm**2 / strategy.data_ranks(world_size())
        distributed.all_reduce(squared)
        norm = squared.sqrt()
    clip_grads_with_norm_(parameters, recipe.largest_gradient, norm)


def _schedule(optimizer: Optimizer, steps: int) -> LambdaLR:
    def factor(step: int) -> float:
        done = step / steps
        return (done + 1 / steps) / WARM_UP if done < WARM_UP else 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))

    return LambdaLR(optimizer, factor)
