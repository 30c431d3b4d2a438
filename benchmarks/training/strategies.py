"""The same network trained under every strategy on the same rows: loss by epoch, and rows a second, in one run.

`make bench-strategies`. Two months of flights, two ranks (one alone for comparison), three epochs each, in fp32 and in bf16. The result
is committed as benchmarks/results/strategies_<hardware>_<date>.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.keep_result import keep_result
from benchmarks.training.year import labelled_year, months
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.strategies import STRATEGIES
from use_cases.flight_eta.declaration import USE_CASE

RECIPE = replace(USE_CASE.recipe, epochs=3)


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


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch:
        rows = labelled_year(Path(scratch))
        train, held_out = months(rows, "2013-01", "2013-02"), months(rows, "2013-03", "2013-03")
        alone = trained(Path(scratch) / "alone", train, held_out, replace(RECIPE, strategy="data_parallel", ranks=1))
        runs = [alone]
        for precision in ("fp32", "bf16"):
            for strategy in STRATEGIES:
                recipe = replace(RECIPE, strategy=strategy, precision=precision, ranks=2)  # type: ignore[arg-type]
                runs.append(trained(Path(scratch) / f"{strategy}_{precision}", train, held_out, recipe))
    furthest = {precision: max(apart(run, alone) for run in runs if run.precision == precision) for precision in ("fp32", "bf16")}
    result = {
        "what": "flight_eta's network, trained on January and February 2013 under every strategy; held out: March",
        "recipe": asdict(RECIPE), "rows": train.num_rows, "furthest_from_one_rank_alone": furthest, "runs": [asdict(run) for run in runs],
    }  # fmt: skip
    path = keep_result("strategies", result)
    print(f"Losses lie within {furthest} of those of one rank alone; kept as {path}")


def apart(run: Run, other: Run) -> float:
    """The largest difference between the losses of an epoch."""
    return max(abs(first - second) for first, second in zip(run.losses, other.losses, strict=True))


def trained(folder: Path, train: pa.Table, held_out: pa.Table, recipe: Recipe) -> Run:
    """Train in a torchrun of its own, and tell how it went. Leaves the model in `folder`."""
    folder.mkdir()
    pq.write_table(train, folder / "train.parquet")
    pq.write_table(held_out, folder / "held_out.parquet")
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={recipe.ranks}"]
    print(f"{recipe.strategy}, {recipe.precision}, {recipe.ranks} ranks", flush=True)
    rank = [*torchrun, "-m", "benchmarks.training.train_rank", str(folder)]
    subprocess.run(rank, cwd=REPOSITORY, env={"OMP_NUM_THREADS": "1"} | os.environ, check=True)
    epochs = json.loads((folder / "epochs.json").read_text())
    return Run(
        strategy=recipe.strategy,
        precision=recipe.precision,
        ranks=recipe.ranks,
        losses=[epoch["loss"] for epoch in epochs],
        held_out_maes=[epoch["held_out_mae"] for epoch in epochs],
        rows_per_second=[round(epoch["samples_per_second"]) for epoch in epochs],
    )


if __name__ == "__main__":
    main()
