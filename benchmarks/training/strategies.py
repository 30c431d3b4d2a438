"""The same network trained under every strategy on the same rows: loss by epoch, and rows a second, in one run.

`make bench-strategies`. Two months of flights, two ranks (one alone for comparison), three epochs each, in fp32 and in bf16. The result
is committed as benchmarks/results/strategies_<hardware>_<date>.json.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.keep_result import keep_result
from benchmarks.training.trained import Run, trained
from benchmarks.training.year import labelled_year, months
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.training.strategies import STRATEGIES
from use_cases.flight_eta.declaration import USE_CASE

RECIPE = replace(USE_CASE.recipe, epochs=3)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch:
        rows = labelled_year(Path(scratch), last="2013-03")
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


if __name__ == "__main__":
    main()
