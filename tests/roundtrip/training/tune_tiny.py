"""Tunings of a tiny use case: `tune_tiny.py tune NAME RUN_DIR TRIALS`; its trials are `tune_tiny.py try NAME RUN_DIR NUMBER`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import Gate, OneOf, UseCase
from tests.roundtrip.training.tiny import TINY

GOOD, HOPELESS, DIVERGES = TINY.recipe.learning_rate, 1e-9, 1e38
"""Learning rates."""
WIDE, NARROW = TINY.recipe.hidden, (8,)
VALIDATION_DAYS = 2


def tiny(name: str) -> UseCase:
    """The tiny use case under a name of its own, with something to tune."""
    search = (OneOf(field="learning_rate", choices=(GOOD, HOPELESS, DIVERGES)), OneOf(field="hidden", choices=(WIDE, NARROW)))
    return replace(TINY, name=name, gate=Gate(held_out_days=VALIDATION_DAYS), search=search)


def slow_down(step_s: float) -> None:
    """Let every step of this process take so much longer."""
    from torch import Tensor

    from roundtrip.training.rows import Rows
    from roundtrip.training.spread_network import SpreadNetwork

    undisturbed = SpreadNetwork.step

    def step(self: SpreadNetwork, share: Rows) -> Tensor:
        time.sleep(step_s)
        return undisturbed(self, share)

    SpreadNetwork.step = step  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["tune", "try"])
    parser.add_argument("name")
    parser.add_argument("run_dir")
    parser.add_argument("count", type=int, help="trials to make, or the number of the one to try")
    parser.add_argument("--step-s", type=float, default=0.0)
    request = parser.parse_args()
    use_case, folder = tiny(request.name), RunFolder(request.run_dir)
    if request.verb == "try":
        end_with_parent()
        from roundtrip.training.trial import run_trial

        slow_down(request.step_s)
        run_trial(use_case, folder, request.count)
        return
    from roundtrip.training.tune import Budget, tune

    trial = [sys.executable, "-m", "tests.roundtrip.training.tune_tiny", "try", request.name, request.run_dir]
    budget = Budget(trials=request.count, minutes=5, parallel=2)
    tune(use_case, folder, budget, command=lambda number: [*trial, str(number), f"--step-s={request.step_s}"]).save(folder)


if __name__ == "__main__":
    main()
