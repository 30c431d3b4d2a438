"""Ranks killed at random: whether the weights come out the same, and how much of the time is useful.

`make bench-faults`. Twenty trainings of flight_eta's network on January, each with a random one of its two ranks killed (kill -9, from
outside) at a random moment, and run again: all must end with the bits of the undisturbed one. Then one training from Delta tables, of
longer epochs, with a kill in every ten of them (a checkpoint is kept after each epoch). The result is committed as
benchmarks/results/faults_<hardware>_<date>.json.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.keep_result import keep_result
from benchmarks.training.trained import BEGINS, command_of, leave_recipe, leave_rows, run_ranks
from benchmarks.training.year import labelled_year, leave_snapshot, months
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.training.ensemble import WEIGHTS_FILE
from use_cases.flight_eta.declaration import USE_CASE

SEEDS = 20
RECIPE = replace(USE_CASE.recipe, ranks=2)
LONG = replace(RECIPE, epochs=20)
KILLED_EVERY = 10
"""Epochs."""
YEARS = 12
"""The year's rows, so many times: epochs that take long beside a start."""
GOAL = 0.90
"""Useful time / wall time (ETTR)."""


@dataclass(frozen=True)
class Trained:
    """How a training ended."""

    useful_time_ratio: float
    rows_per_second: float
    weights: bytes


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as name:
        scratch = Path(name)
        rows = labelled_year(scratch / "year")
        january, held_out = months(rows, "2013-01", "2013-01"), rows.slice(0, 4096)
        leave_rows(scratch / "undisturbed", january, held_out, RECIPE)
        undisturbed = run(scratch / "undisturbed")
        same = 0
        for seed in range(SEEDS):
            folder = scratch / f"seed-{seed}"
            leave_rows(folder, january, held_out, RECIPE)
            kill_rank(folder, at=moment(seed, RECIPE.epochs), epoch_s=january.num_rows / undisturbed.rows_per_second)
            same += run(folder).weights == undisturbed.weights
            print(f"seed {seed}: {same} of {seed + 1} the same", flush=True)
        snapshot = leave_snapshot(scratch / "long", rows, years=YEARS)
        leave_recipe(scratch / "long", LONG)
        kills = [first + moment(first, KILLED_EVERY) for first in range(0, LONG.epochs, KILLED_EVERY)]
        for kill in kills:
            kill_rank(scratch / "long", at=kill, epoch_s=snapshot.rows / undisturbed.rows_per_second)
        useful = run(scratch / "long").useful_time_ratio
    result = {
        "what": "flight_eta's network, two ranks, one of them killed",
        "recipe": asdict(RECIPE),
        "trainings": SEEDS,
        "same_weights": same,
        "long_training": {
            "rows": snapshot.rows,
            "epochs": LONG.epochs,
            "killed_in_epoch": kills,
            "useful_time_ratio": useful,
            "goal": GOAL,
        },
    }
    path = keep_result("faults", result)
    print(f"{same} of {SEEDS} with the same weights; useful time ratio {useful:.3f} (goal {GOAL}); kept as {path}")


def moment(seed: int, epochs: int) -> float:
    """A random moment of so many epochs: 2.25 is a quarter of the third."""
    return random.Random(seed).uniform(0, epochs)


def run(folder: Path) -> Trained:
    """Train to the end."""
    run_ranks("train_rank", folder)
    last = json.loads((folder / "epochs.json").read_text())[-1]
    return Trained(last["useful_time_ratio"], last["samples_per_second"], (folder / "model" / WEIGHTS_FILE).read_bytes())


def kill_rank(folder: Path, *, at: float, epoch_s: float) -> None:
    """Train until that moment, counted in epochs, kill one of the ranks, and wait for the other to end."""
    with subprocess.Popen(command_of("train_rank", folder), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as attempt:
        assert attempt.stdout is not None
        awaited = f"epoch {int(at)}/" if at >= 1 else BEGINS
        for line in attempt.stdout:
            print(line, end="", flush=True)
            if line.startswith(awaited):
                break
        time.sleep(at % 1 * epoch_s)
        victim = random.Random(at).choice(ranks_of(attempt.pid))
        print(f"kill -9 of rank process {victim}", flush=True)
        os.kill(victim, signal.SIGKILL)
        attempt.communicate()


def ranks_of(torchrun: int) -> list[int]:
    """Processes of its ranks."""
    return [int(pid) for task in Path(f"/proc/{torchrun}/task").iterdir() for pid in (task / "children").read_text().split()]


if __name__ == "__main__":
    main()
