"""Real ranks, really killed: torchrun, two processes, gloo."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.roundtrip.training.tiny import TINY

REPOSITORY = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]


def start(checkpoints: Path, model: Path) -> subprocess.Popen[str]:
    command = [*TORCHRUN, "tests.roundtrip.training.train_tiny", str(checkpoints), str(model)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout)


def epochs_of(output: list[str]) -> list[int]:
    return [int(line.split()[1].partition("/")[0]) for line in output if line.startswith("epoch ")]


def test_a_killed_rank_resumes_from_the_last_complete_checkpoint_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    undisturbed = start(tmp_path / "a", tmp_path / "undisturbed")
    seen = list(lines(undisturbed))
    assert undisturbed.wait() == 0, "".join(seen)
    assert epochs_of(seen) == list(range(1, TINY.recipe.epochs + 1))

    killed = start(tmp_path / "b", tmp_path / "resumed")
    pids: list[int] = []
    before: list[str] = []
    for line in lines(killed):
        before.append(line)
        if line.startswith("pids"):
            pids = [int(pid) for pid in line.split()[1:]]
        if line.startswith("epoch 3/"):
            os.kill(pids[1], signal.SIGKILL)
    assert killed.wait() != 0
    whole = [path.name for path in (tmp_path / "b").glob("epoch-????")]
    assert 1 <= len(whole) <= 2, whole

    resumed = start(tmp_path / "b", tmp_path / "resumed")
    after = list(lines(resumed))
    assert resumed.wait() == 0, "".join(after)
    assert epochs_of(after)[0] == max(int(name[-4:]) for name in whole) + 1
    assert epochs_of(after)[0] >= 3
    assert epochs_of(after)[-1] == TINY.recipe.epochs
    weights = [(tmp_path / run / "weights.safetensors").read_bytes() for run in ("undisturbed", "resumed")]
    assert weights[0] == weights[1]
