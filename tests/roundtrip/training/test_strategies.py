"""Every strategy with real ranks, really killed: torchrun, two processes, gloo."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.checkpoints import complete_epochs, newest_whole
from roundtrip.training.strategies import STRATEGIES, strategy_of
from tests.roundtrip.training.tiny import TINY

REPOSITORY = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--shutdown-timeout=5"]
SAME = 1e-4
"""Between weights of about 1 whose gradients were added up in another order, 90 times. They learn about 0.1."""
STEPS = 2000 // TINY.recipe.batch_size
"""Of an epoch."""
EVERY_EPOCH = list(range(1, TINY.recipe.epochs + 1))


def torchrun(*arguments: object, ranks: int = 2) -> tuple[int, str]:
    """Exit code and output of a training of the tiny use case."""
    ended = subprocess.run(
        [*TORCHRUN, f"--nproc-per-node={ranks}", "-m", "tests.roundtrip.training.train_tiny", *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return ended.returncode, ended.stdout


def epochs_of(output: str) -> list[int]:
    return [int(line.split()[1].partition("/")[0]) for line in output.splitlines() if line.startswith("epoch ")]


class Undisturbed(Protocol):
    """The model folder of a training that nothing disturbed."""

    def __call__(self, strategy: str, *, precision: str = "fp32", ranks: int = 2) -> Path: ...


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:

    @cache
    def trained(strategy: str, *, precision: str = "fp32", ranks: int = 2) -> Path:
        folder = tmp_path_factory.mktemp(f"{strategy}_{precision}_{ranks}")
        options = ("--strategy", strategy, "--precision", precision)
        code, output = torchrun(folder / "checkpoints", folder / "model", *options, ranks=ranks)
        assert (code, epochs_of(output)) == (0, EVERY_EPOCH), output
        return folder / "model"

    return trained


def weights(model: Path) -> dict[str, Tensor]:
    return load_file(model / "weights.safetensors")


def furthest(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The largest difference between two weights of the same name."""
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_learn_what_one_learns(strategy: str, undisturbed: Undisturbed) -> None:
    alone = weights(undisturbed("data_parallel", ranks=1))
    assert furthest(weights(undisturbed(strategy)), alone) < SAME


def test_bf16_learns_nearly_the_same(undisturbed: Undisturbed) -> None:
    apart = furthest(weights(undisturbed("zero_1", precision="bf16")), weights(undisturbed("zero_1")))
    assert SAME < apart < 0.1


@pytest.mark.parametrize("strategy", ["data_parallel", "zero_1", "zero_3", "pipeline", "tensor_parallel"])
def test_a_killed_rank_resumes_from_the_last_complete_checkpoint_and_ends_with_the_same_weights(
    strategy: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    in_epoch_4 = 3 * STEPS + STEPS // 2
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "resumed", "--strategy", strategy, "--victim", 1, "--step", in_epoch_4)
    assert code != 0
    assert epochs_of(output) == [1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "network-0").glob("epoch-????")) == ["epoch-0002", "epoch-0003"]

    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "resumed", "--strategy", strategy)
    assert (code, epochs_of(output)) == (0, EVERY_EPOCH[3:]), output
    assert furthest(weights(tmp_path / "resumed"), weights(undisturbed(strategy))) == 0.0


def test_an_ensemble_goes_on_with_the_network_that_was_interrupted(tmp_path: Path) -> None:
    """Two networks; the second one is killed: the first is not trained again."""
    epochs, options = TINY.recipe.epochs, ("--networks", 2)
    code, output = torchrun(tmp_path / "a", tmp_path / "undisturbed", *options)
    assert (code, epochs_of(output)) == (0, list(range(1, 2 * epochs + 1))), output

    code, output = torchrun(tmp_path / "b", tmp_path / "resumed", *options, "--victim", 1, "--step", (epochs + 2) * STEPS + 1)
    assert code != 0
    code, output = torchrun(tmp_path / "b", tmp_path / "resumed", *options)
    assert (code, epochs_of(output)) == (0, list(range(epochs + 3, 2 * epochs + 1))), output
    first, second = weights(tmp_path / "undisturbed"), weights(tmp_path / "resumed")
    assert furthest(first, second) == 0.0
    assert not torch.equal(first["networks.0.head.weight"], first["networks.1.head.weight"])


def test_a_training_goes_on_with_fewer_ranks(undisturbed: Undisturbed, tmp_path: Path) -> None:
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "resumed", "--victim", 1, "--step", 3 * STEPS + 1)
    assert code != 0
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "resumed", ranks=1)
    assert (code, epochs_of(output)) == (0, EVERY_EPOCH[3:]), output
    assert furthest(weights(tmp_path / "resumed"), weights(undisturbed("data_parallel"))) <= 1e-6


def test_parts_of_other_ranks_are_refused_with_the_remedy(tmp_path: Path) -> None:
    torchrun(tmp_path / "checkpoints", tmp_path / "resumed", "--strategy", "zero_1", "--victim", 1, "--step", 3 * STEPS + 1)
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "resumed", "--strategy", "zero_1", ranks=1)
    assert code != 0
    assert "holds the parts of 2 ranks, which 1 can't take over: train with --ranks 2" in output


def test_a_hung_rank_is_found_and_named(tmp_path: Path) -> None:
    stopped = ("--victim", 1, "--step", 3 * STEPS + 1, "--disturbance", "SIGSTOP", "--rank-timeout", 5)
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "model", *stopped)
    assert code != 0
    assert "RankLost: [Rank 0]: Ranks 1 failed to pass monitoredBarrier" in output


def test_a_full_disk_leaves_the_last_good_checkpoint_and_says_so(undisturbed: Undisturbed, tmp_path: Path) -> None:
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "model", "--full-after", 4)
    assert code != 0
    assert "CheckpointFailed: the checkpoint of epoch 4 can't be written" in output
    assert "it goes on after epoch 3" in output
    code, output = torchrun(tmp_path / "checkpoints", tmp_path / "model")
    assert (code, epochs_of(output)) == (0, EVERY_EPOCH[3:]), output
    assert furthest(weights(tmp_path / "model"), weights(undisturbed("data_parallel"))) == 0.0


DAMAGES = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_file_of_a_checkpoint_can_be_damaged_unnoticed(damage: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    kept = undisturbed("zero_1").parent / "checkpoints" / "network-0"
    newest, before, *_ = complete_epochs(kept)
    files = [file.name for file in (kept / f"epoch-{newest:04d}").iterdir()]
    assert len(files) > 3
    for name in files:
        shutil.copytree(kept, tmp_path / name)
        DAMAGES[damage](tmp_path / name / f"epoch-{newest:04d}" / name)
        assert newest_whole(tmp_path / name) == before, name


def test_ranks_that_the_strategy_cannot_use_are_refused_with_the_remedy() -> None:
    with pytest.raises(BadRequest, match="ask for 2"):
        strategy_of(Recipe(strategy="pipeline"), world_size=3)
    with pytest.raises(BadRequest, match="1024 rows can't be shared out 3 ways"):
        strategy_of(Recipe(), world_size=3)
    with pytest.raises(BadRequest, match="'zero_9': choose one of data_parallel, zero_1"):
        strategy_of(Recipe(strategy="zero_9"), world_size=2)
