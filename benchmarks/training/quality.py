"""How well flight_eta's network predicts, beside boosted trees and the baseline.

`make bench-quality`. Trained on January to August, tested on October to December; September is what training watches. The trees are the
yardstick of every evaluation (roundtrip/evaluation/yardstick.py), on the same rows and features. The result is committed as
benchmarks/results/quality_<hardware>_<date>.json.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from benchmarks.keep_result import keep_result
from benchmarks.training.trained import trained
from benchmarks.training.year import labelled_year, months
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.evaluation.evaluate import ask, evaluate
from roundtrip.evaluation.quality import Evaluation
from roundtrip.evaluation.yardstick import trees_answer
from roundtrip.serving.parity import network_answer
from roundtrip.training.ensemble import Ensemble
from roundtrip.training.rows import rows_of
from roundtrip.training.training_record import CONTRACT_FILE
from use_cases.flight_eta.declaration import USE_CASE

RECIPES = {
    "declared": USE_CASE.recipe,
    "larger": replace(USE_CASE.recipe, networks=4, hidden=(512, 256), epochs=8, input_dropout=0.2),
}
"""What the demo trains, and one that takes several times as long."""
GOAL = 9.43
"""MAE in minutes of XGBoost on such features (its own, and tuned on September)."""


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch:
        rows = labelled_year(Path(scratch))
        learned, watched, test = (
            months(rows, f"2013-{first}", f"2013-{last}") for first, last in (("01", "08"), ("09", "09"), ("10", "12"))
        )
        candidates = {}
        for name, recipe in RECIPES.items():
            run = trained(Path(scratch) / name, learned, watched, recipe)
            found = evaluated(Path(scratch) / name / "model", learned, test)
            candidates[name] = {"run": asdict(run), "recipe": asdict(recipe), **found.figures()}
            print("\n".join([name, *found.lines("min"), f"coverage {found.candidate.coverage:.1%} of {found.nominal_coverage:.0%}"]))
    what = "MAE in minutes of October to December, trained on January to August"
    path = keep_result("quality", {"what": what, "goal": GOAL, "candidates": candidates})
    print(f"Goal {GOAL} min; kept as {path}")


def evaluated(model: Path, learned: pa.Table, test: pa.Table) -> Evaluation:
    """The network in `model`, trees grown on `learned`, and the baseline, on the rows of `test`."""
    network, contract = Ensemble.load(model), ModelContract.from_json((model / CONTRACT_FILE).read_bytes())
    known, asked = (rows_of(contract, table, USE_CASE.label) for table in (learned, test))
    candidate = partial(network_answer, network, contract)
    answers = ask(
        USE_CASE, test, candidate=candidate, gain=float(network.gain), champion=None, yardstick=trees_answer(contract, known, asked)
    )  # fmt: skip
    return evaluate(USE_CASE, test, answers)


if __name__ == "__main__":
    main()
