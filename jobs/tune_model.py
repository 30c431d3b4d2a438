"""Look for a better recipe than the declared one, on the older training rows of the run's snapshot; train_model trains the best.

0 trials: the declared recipe is trained. Killed and run again with the same --run-dir it goes on: finished trials stay, those that were
running are resumed from their checkpoints, and both count.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from roundtrip.contracts.receipts import RunFolder, job_parser, receipt_for
from roundtrip.training.chosen_recipe import forget_choice
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    parser = job_parser("tune_model", __doc__ or "")
    parser.add_argument("--trials", type=int, default=0, help="recipes to try; 0: none, the declared one is trained")
    parser.add_argument("--minutes", type=float, default=30.0, help="most that it may take, over all attempts")
    parser.add_argument("--parallel", type=int, default=len(os.sched_getaffinity(0)), help="trials at a time; one a core when left out")
    request = parser.parse_args(argv)
    with receipt_for(request) as receipt:
        use_case, folder = use_case_named(request.use_case), RunFolder(request.run_dir)
        if request.trials == 0:
            forget_choice(folder)
            print("0 trials: the declared recipe is trained.", flush=True)
            receipt.figures |= {"trials": 0, "recipe": "as declared"}
            return
        from roundtrip.training.tune import Budget, tune

        trial = [sys.executable, "-m", "jobs.run_trial", "--use-case", use_case.name, "--run-dir", folder.uri, "--trial"]
        budget = Budget(trials=request.trials, minutes=request.minutes, parallel=request.parallel)
        chosen = tune(use_case, folder, budget, command=lambda number: [*trial, str(number)])
        chosen.save(folder)
        if chosen.tuning:
            receipt.figures |= chosen.tuning.figures() | {"recipe": asdict(chosen.recipe)}
            receipt.links["MLflow run"] = chosen.tuning.mlflow_run_url


if __name__ == "__main__":
    main()
