"""What training costs: rows a second beside a plain PyTorch loop, checkpoints, the start, the way from Delta to the first step, memory.

`make bench-training`. Three rounds, Roundtrip and the plain loop (plain_rank.py) one after the other in each, on flight_eta's year;
then the way from Delta tables on this disk for one year and for thirty (10 million rows). The result is committed as
benchmarks/results/training_<hardware>_<date>.json; it is kept after each part, for the whole takes twenty minutes.
"""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import pyarrow as pa

from benchmarks.keep_result import keep_result
from benchmarks.training.trained import leave_rows, run_ranks, trained
from benchmarks.training.year import labelled_year, leave_snapshot
from roundtrip.contracts.settings import REPOSITORY
from use_cases.flight_eta.declaration import USE_CASE

ROUNDS, EPOCHS = 3, 4
YEARS = (1, 30)
RECIPE = replace(USE_CASE.recipe, epochs=EPOCHS)
JUST_STARTED = 4096
"""Rows of a training that costs little beside its start."""
GOALS = {"ratio": 0.95, "checkpoint_share": 0.03, "start_cpu_s": 15, "first_step_s_of_a_year": 5}


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as folder:
        scratch = Path(folder)
        rows = labelled_year(scratch / "year")
        what = {"what": "flight_eta's network trained on the rows of 2013", "rows": rows.num_rows, "recipe": asdict(RECIPE), "goals": GOALS}
        parts: dict[str, object] = {}
        for name, part in measurements(scratch, rows):
            parts[name] = part
            print(f"{name}: {json.dumps(part)}\nKept in {keep_result('training', what | parts)}", flush=True)


def measurements(scratch: Path, rows: pa.Table) -> Iterator[tuple[str, object]]:
    """Each part and what was measured."""
    for ranks in (1, 2):
        yield f"beside_plain_pytorch_ranks_{ranks}", beside_plain(scratch / f"ranks-{ranks}", rows, ranks)
    yield "start_cpu_s", start_cpu_s(scratch / "start", rows.slice(0, JUST_STARTED))
    for years in YEARS:
        yield f"from_delta_years_{years}", from_delta(scratch / f"years-{years}", rows, years)


def beside_plain(folder: Path, rows: pa.Table, ranks: int) -> dict[str, object]:
    """Rows a second of both, the median of all epochs but each training's first, and what checkpoints cost."""
    recipe = replace(RECIPE, ranks=ranks)
    ours, plain, shares = [], [], []
    folder.mkdir()
    for number in range(ROUNDS):
        run = trained(folder / f"ours-{number}", rows, rows.slice(0, JUST_STARTED), recipe)
        ours += run.rows_per_second[1:]
        shares.append(run.checkpoint_share)
        leave_rows(folder / f"plain-{number}", rows, rows.slice(0, JUST_STARTED), recipe)
        run_ranks("plain_rank", folder / f"plain-{number}")
        plain += [epoch["samples_per_second"] for epoch in json.loads((folder / f"plain-{number}" / "epochs.json").read_text())][1:]
    return {
        "ranks": ranks,
        "rows_per_second": round(median(ours)),
        "plain_rows_per_second": round(median(plain)),
        "ratio": round(median(ours) / median(plain), 3),
        "checkpoint_share": round(median(shares), 4),
    }


def start_cpu_s(folder: Path, rows: pa.Table) -> float:
    """CPU seconds of a training of two ranks, torchrun included, that has next to nothing to do."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    trained(folder, rows, rows, replace(RECIPE, epochs=1, ranks=2))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)


def from_delta(folder: Path, rows: pa.Table, years: int) -> dict[str, object]:
    """Two ranks, from Delta tables of so many years to the end of an epoch."""
    snapshot = leave_snapshot(folder, rows, years=years)
    run_ranks("from_delta_rank", folder)
    ranks = [json.loads((folder / f"rank-{number}.json").read_text()) for number in range(2)]
    shutil.rmtree(folder)
    return {"rows": snapshot.rows, "megabytes_encoded": round(snapshot.rows * 4 * (len(USE_CASE.inputs) + 1) / 1e6), "ranks": ranks}


if __name__ == "__main__":
    main()
