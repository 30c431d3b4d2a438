"""One training of a bench, in a torchrun of its own (train_rank.py), and how it went."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import Recipe

BEGINS = "training begins"
"""What a rank says before its first step."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training."""

    strategy: str
    precision: str
    ranks: int
    losses: list[float]
    """By epoch."""
    held_out_maes: list[float]
    """By epoch, minutes."""
    rows_per_second: list[float]
    """By epoch."""
    checkpoint_share: float
    """Part of the time after the first epoch that was spent on checkpoints."""


def trained(folder: Path, train: pa.Table, held_out: pa.Table, recipe: Recipe) -> Run:
    """Train in a torchrun of its own, and tell how it went. Leaves the model in `folder`."""
    leave_rows(folder, train, held_out, recipe)
    print(f"{recipe.strategy}, {recipe.precision}, {recipe.ranks} ranks", flush=True)
    run_ranks("train_rank", folder)
    epochs = json.loads((folder / "epochs.json").read_text())
    first, last = epochs[0], epochs[-1]
    passed = last["recorded_at"] - first["recorded_at"]
    return Run(
        strategy=recipe.strategy,
        precision=recipe.precision,
        ranks=recipe.ranks,
        losses=[epoch["loss"] for epoch in epochs],
        held_out_maes=[epoch["held_out_mae"] for epoch in epochs],
        rows_per_second=[round(epoch["samples_per_second"]) for epoch in epochs],
        checkpoint_share=(passed - last["useful_seconds"] + first["useful_seconds"]) / passed if passed else 0.0,
    )


def leave_rows(folder: Path, train: pa.Table, held_out: pa.Table, recipe: Recipe) -> None:
    """What a rank reads."""
    folder.mkdir()
    pq.write_table(train, folder / "train.parquet")
    pq.write_table(held_out, folder / "held_out.parquet")
    leave_recipe(folder, recipe)


def leave_recipe(folder: Path, recipe: Recipe) -> None:
    """The other thing that it reads."""
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe)))


def run_ranks(module: str, folder: Path) -> None:
    """Run that module of benchmarks/training on its ranks."""
    subprocess.run(command_of(module, folder), cwd=REPOSITORY, check=True)


def command_of(module: str, folder: Path) -> list[str]:
    """What becomes the torchrun of that module's ranks."""
    return [sys.executable, "-m", f"benchmarks.training.{module}", str(folder)]
