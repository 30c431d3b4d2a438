"""Every strategy with real ranks, really killed: torchrun, two processes, gloo."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.checkpoints import Checkpoints, complete_epochs, newest_whole
from roundtrip.training.engine import single_rank
from roundtrip.training.loop import train
from roundtrip.training.rows import training_data
from roundtrip.training.strategies import STRATEGIES, strategy_of
from tests.roundtrip.training.tiny import TINY, tiny_rows

REPOSITORY = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--shutdown-timeout=5"]
SAME = 1e-4
"""Between weights of about 1 whose gradients were added up in another order, 90 times. They learn about 0.1."""
STEPS = 2000 // TINY.recipe.batch_size
"""Of an epoch."""
EVERY_EPOCH = list(range(1, TINY.recipe.epochs + 1))


def torchrun(folder: Path, *arguments: object, ranks: int = 2) -> tuple[int, str]:
    """Exit code and output of trainings of the tiny use case."""
    ended = subprocess.run(
        [*TORCHRUN, f"--nproc-per-node={ranks}", "-m", "tests.roundtrip.training.train_tiny", str(folder), *map(str, arguments)],
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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two ranks trained by every strategy, and nothing disturbed them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipes = ["zero_1-bf16", *STRATEGIES]  # the last is tensor parallelism, after which DeepSpeed sets nothing else up in a process
    code, output = torchrun(folder, *recipes)
    assert (code, epochs_of(output)) == (0, EVERY_EPOCH * len(recipes)), output
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which one rank trained."""
    folder = tmp_path_factory.mktemp("alone")
    assert torchrun(folder, "data_parallel", ranks=1)[0] == 0
    return folder


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model" / "weights.safetensors")


def furthest(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The largest difference between two weights of the same name."""
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_learn_what_one_learns(strategy: str, undisturbed: Path, alone: Path) -> None:
    assert furthest(weights(undisturbed / strategy), weights(alone / "data_parallel")) < SAME


def test_a_rank_without_torchrun_learns_the_same_bits_each_time(alone: Path, tmp_path: Path) -> None:
    data = training_data(TINY, tiny_rows(), tiny_rows(200, seed=2))
    for attempt in ("first", "second"):
        with single_rank(TINY.recipe):
            ensemble, _ = train(data, TINY.recipe, checkpoints=Checkpoints(tmp_path / attempt), journal=None)
        ensemble.save(tmp_path / attempt / "model")
        assert furthest(weights(tmp_path / attempt), weights(alone / "data_parallel")) == 0.0
    assert "RANK" not in os.environ


def test_bf16_learns_nearly_the_same(undisturbed: Path) -> None:
    assert SAME < furthest(weights(undisturbed / "zero_1-bf16"), weights(undisturbed / "zero_1")) < 0.1


def test_a_killed_rank_resumes_from_the_last_complete_checkpoint_and_ends_with_the_same_weights(undisturbed: Path, tmp_path: Path) -> None:
    in_epoch_4 = 3 * STEPS + STEPS // 2
    strategies = ["data_parallel", "zero_3", "pipeline", "tensor_parallel"]
    for strategy in strategies:
        code, output = torchrun(tmp_path, strategy, "--victim", 1, "--step", in_epoch_4)
        assert code != 0
        assert epochs_of(output) == [1, 2, 3]
        assert [path.name for path in kept(tmp_path / strategy)] == ["epoch-0002", "epoch-0003"]

    code, output = torchrun(tmp_path, *strategies)
    assert (code, epochs_of(output)) == (0, EVERY_EPOCH[3:] * len(strategies)), output
    for strategy in strategies:
        assert furthest(weights(tmp_path / strategy), weights(undisturbed / strategy)) == 0.0, strategy


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints" / "network-0").glob("epoch-????"))


def test_an_ensemble_goes_on_with_the_network_that_was_interrupted(undisturbed: Path, tmp_path: Path) -> None:
    """Two networks; the second one is killed: the first is not trained again."""
    epochs, in_second = TINY.recipe.epochs, (TINY.recipe.epochs + 2) * STEPS + 1
    code, output = torchrun(tmp_path, "data_parallel", "--networks", 2, "--victim", 1, "--step", in_second)
    assert code != 0
    code, output = torchrun(tmp_path, "data_parallel", "--networks", 2)
    assert (code, epochs_of(output)) == (0, list(range(epochs + 3, 2 * epochs + 1))), output
    both, first = weights(tmp_path / "data_parallel"), weights(undisturbed / "data_parallel")
    assert all(torch.equal(both[name], first[name]) for name in first)
    assert not torch.equal(both["networks.1.head.weight"], both["networks.0.head.weight"])


def test_a_training_goes_on_with_fewer_ranks(undisturbed: Path, tmp_path: Path) -> None:
    code, output = torchrun(tmp_path, "data_parallel", "--victim", 1, "--step", 3 * STEPS + 1)
    assert code != 0
    code, output = torchrun(tmp_path, "data_parallel", ranks=1)
    assert (code, epochs_of(output)) == (0, EVERY_EPOCH[3:]), output
    assert furthest(weights(tmp_path / "data_parallel"), weights(undisturbed / "data_parallel")) <= 1e-6


def test_parts_of_other_ranks_are_refused_with_the_remedy(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "zero_1", tmp_path / "zero_1")
    code, output = torchrun(tmp_path, "zero_1", ranks=1)
    assert code != 0
    assert "holds the parts of 2 ranks, which 1 can't take over: train with --ranks 2" in output


def test_a_hung_rank_is_found_and_named_in_a_step_and_in_a_checkpoint(tmp_path: Path) -> None:
    """Both at the same time: torchrun gives the hung rank half a minute before it kills it."""

    def hung(moment: str, place: int) -> tuple[int, str]:
        stopped = ("--victim", 1, moment, place, "--disturbance", "SIGSTOP", "--rank-timeout", 5)
        return torchrun(tmp_path / moment, "data_parallel", *stopped)

    with ThreadPoolExecutor() as both:
        for code, output in both.map(hung, ("--step", "--saving"), (3 * STEPS + 1, 3)):
            assert code != 0
            assert "RankLost: [Rank 0]: Ranks 1 failed to pass monitoredBarrier" in output


def test_a_full_disk_leaves_the_last_good_checkpoint_and_says_so(tmp_path: Path) -> None:
    code, output = torchrun(tmp_path, "data_parallel", "--full-after", 4)
    assert code != 0
    assert "CheckpointFailed: the checkpoint of epoch 4 can't be written" in output
    assert "it goes on after epoch 3" in output
    assert complete_epochs(kept(tmp_path / "data_parallel")[0].parent)[0] == newest_whole(kept(tmp_path / "data_parallel")[0].parent) == 3


DAMAGES = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "deleted": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_file_of_a_checkpoint_can_be_damaged_unnoticed(damage: str, undisturbed: Path, tmp_path: Path) -> None:
    checkpoints = undisturbed / "zero_1" / "checkpoints" / "network-0"
    newest, before, *_ = complete_epochs(checkpoints)
    files = [file.name for file in (checkpoints / f"epoch-{newest:04d}").iterdir()]
    assert len(files) > 3
    for name in files:
        shutil.copytree(checkpoints, tmp_path / name)
        DAMAGES[damage](tmp_path / name / f"epoch-{newest:04d}" / name)
        assert newest_whole(tmp_path / name) == before, name


def test_ranks_that_the_strategy_cannot_use_are_refused_with_the_remedy() -> None:
    with pytest.raises(BadRequest, match="ask for 2"):
        strategy_of(Recipe(strategy="pipeline"), world_size=3)
    with pytest.raises(BadRequest, match="1024 rows can't be shared out 3 ways"):
        strategy_of(Recipe(), world_size=3)
    with pytest.raises(BadRequest, match="'zero_9': choose one of data_parallel, zero_1"):
        strategy_of(Recipe(strategy="zero_9"), world_size=2)
