"""Real ranks, really killed: torchrun, two processes, gloo."""

import os
import subprocess
import sys
from pathlib import Path

from tests.roundtrip.training.tiny import TINY

REPOSITORY = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]


def torchrun(*arguments: object) -> tuple[int, str]:
    """Exit code and output of a training of the tiny use case."""
    ended = subprocess.run(
        [*TORCHRUN, "tests.roundtrip.training.train_tiny", *map(str, arguments)],
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


def test_a_killed_rank_resumes_from_the_last_complete_checkpoint_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    every_epoch = list(range(1, TINY.recipe.epochs + 1))
    code, output = torchrun(tmp_path / "a", tmp_path / "undisturbed")
    assert (code, epochs_of(output)) == (0, every_epoch), output

    code, output = torchrun(tmp_path / "b", tmp_path / "resumed", 4)
    assert code != 0
    assert epochs_of(output) == [1, 2, 3, 4]
    assert sorted(path.name for path in (tmp_path / "b").glob("epoch-????")) == ["epoch-0002", "epoch-0003"]

    code, output = torchrun(tmp_path / "b", tmp_path / "resumed")
    assert (code, epochs_of(output)) == (0, every_epoch[3:]), output
    undisturbed, resumed = ((tmp_path / run / "weights.safetensors").read_bytes() for run in ("undisturbed", "resumed"))
    assert resumed == undisturbed
