"""What a drift check of a large partition costs, in seconds and memory, beside Evidently on as many rows.

`make bench-monitoring`. A use case of 20 inputs (16 numbers, 4 categories) in Delta tables: features, predictions and outcomes of a month,
against a model version that was trained on a hundred thousand rows. Counted are inputs, predictions and errors, read and joined from
the tables; the whole check refits, looks at skew and writes the report as well. Each measurement is a process of its own. Kept as
benchmarks/results/monitoring_size_<hardware>_<date>.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from numpy.typing import NDArray

from benchmarks.keep_result import keep_result
from benchmarks.peak_memory import peak_mib, reset_peak
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import Baseline, Input, Output, UseCase
from roundtrip.lakehouse.snapshot import load_rows, take_snapshot
from roundtrip.lakehouse.tables import read_table, table_uri
from roundtrip.monitoring.answers import answer_inputs, answering
from roundtrip.monitoring.counted import count_rows
from roundtrip.monitoring.inputs import input_drifts, inputs_drifted, joint_drift
from roundtrip.monitoring.measure import check_drift
from roundtrip.monitoring.profile import profile_reference
from roundtrip.monitoring.reference import load_reference
from roundtrip.monitoring.scored_rows import scored_rows
from roundtrip.registry.version_folder import publish, write_manifest
from roundtrip.serving.compile import build_version
from roundtrip.serving.scoring import Scorer
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.rows import training_data

NUMBERS = tuple(Input(name=f"number_{place}", kind="number", unit="min", meaning="") for place in range(16))
CATEGORIES = tuple(Input(name=f"category_{place}", kind="category", unit="code", meaning="") for place in range(4))
USE_CASE = UseCase(
    name="sized", title="Sized", owner="roundtrip", description="", feeds=(), features_table="features", outcomes_table="outcomes",
    predictions_table="predictions", key=("trip_id",), label="delay", inputs=(*NUMBERS, *CATEGORIES),
    outputs=(
        Output(name="delay", unit="min", quantile=0.5), Output(name="delay_p10", unit="min", quantile=0.1),
        Output(name="delay_p90", unit="min", quantile=0.9),
    ),
    baseline=Baseline(column="number_0", meaning="as long as it took so far"), slices=(), prediction_time="at",
)  # fmt: skip
REFERENCE = dict.fromkeys(("2013-01", "2013-02"), 50000)
PARTITIONS = {"2013-03": 1_000_000, "2013-04": 10_000_000}
EVIDENTLY_ROWS = 100_000, 1_000_000
"""Rows of either side that Evidently is given, of the first partition."""
PIECE = 250_000
"""Rows of a file."""
GOALS = "a million rows of 20 inputs in 10 s, memory flat to ten million"


def main() -> None:
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as folder:
        os.environ |= {"ROUNDTRIP_STORAGE_ROOT": Path(folder).as_uri(), "ROUNDTRIP_HOME": f"{folder}/home"}
        if len(sys.argv) > 1:
            os.environ |= {"ROUNDTRIP_STORAGE_ROOT": Path(sys.argv[2]).as_uri()}
            print(json.dumps(MEASURED[sys.argv[1]](sys.argv[3])))
            return
        for month, rows in (REFERENCE | PARTITIONS).items():
            write_month(month, rows)
        release(Path(folder) / "version")
        found = {
            "counted": [measured("counted", folder, month) for month in PARTITIONS],
            "checked": [measured("checked", folder, month) for month in PARTITIONS],
            "evidently": [measured("evidently", folder, str(rows)) for rows in EVIDENTLY_ROWS],
        }
    what = "drift of 20 inputs: seconds by the clock and on a core, and the most memory while measuring less that before it"
    print(f"Kept as {keep_result('monitoring_size', {'what': what, 'goals': GOALS, **found})}")


def measured(which: str, folder: str, request: str) -> dict[str, float]:
    """In a process of its own."""
    command = [sys.executable, "-m", "benchmarks.monitoring.size", which, folder, request]
    found = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    print(f"{which} {request}: {found}", flush=True)
    return dict(found)


def counted(month: str) -> dict[str, float]:
    """The reference and the rows counted, all inputs and pairs compared."""
    before, began = _from_here(), _clocks()
    scored = scored_rows(USE_CASE, month)
    reference = load_reference(USE_CASE, scored.model_version)
    profile = profile_reference(
        (*USE_CASE.inputs, *answer_inputs(USE_CASE)), reference.batches, time=USE_CASE.prediction_time,
        with_more=answering(USE_CASE, Scorer(reference.folder, threads=2)),
    )  # fmt: skip
    now = count_rows(USE_CASE, scored, profile.plan, baseline_gain=reference.baseline_gain).profile
    drifts = input_drifts(USE_CASE.inputs, profile, now)
    assert not inputs_drifted(USE_CASE.inputs, drifts) and not joint_drift(profile, now).drifted
    return _since(began, rows=now.rows) | {"memory_mib": round(peak_mib(os.getpid()) - before, 1)}


def checked(month: str) -> dict[str, float]:
    """All that a drift check does."""
    before, began = _from_here(), _clocks()
    check = check_drift(USE_CASE, month)
    assert not check.inputs_drifted and check.refit is not None
    return _since(began, rows=check.rows) | {"memory_mib": round(peak_mib(os.getpid()) - before, 1), "refit_s": check.refit.seconds}


def by_evidently(rows: str) -> dict[str, float]:
    """Evidently's data drift preset (PSI) on so many rows of either side as pandas frames; the reference's are repeated to as many."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [entry.name for entry in USE_CASE.inputs]
    before, began = _from_here(), _clocks()
    current = read_table(USE_CASE.name, "features", partitions=[next(iter(PARTITIONS))], columns=names).slice(0, int(rows)).to_pandas()
    trained = read_table(USE_CASE.name, "features", partitions=[*REFERENCE], columns=names).to_pandas()
    definition = DataDefinition(
        numerical_columns=[entry.name for entry in NUMBERS], categorical_columns=[entry.name for entry in CATEGORIES]
    )
    frames = current, trained.sample(int(rows), replace=True, random_state=1)
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    Report([DataDriftPreset(num_method="psi", cat_method="psi")]).run(*sides)
    return _since(began, rows=int(rows)) | {"memory_mib": round(peak_mib(os.getpid()) - before, 1)}


MEASURED = {"counted": counted, "checked": checked, "evidently": by_evidently}


def write_month(month: str, rows: int) -> None:
    """Features in the order of their time; predictions and outcomes of the same rows in another order, as other writers leave them."""
    draw = np.random.default_rng(int(month[5:]))
    for first in range(0, rows, PIECE):
        size = min(PIECE, rows - first)
        features = _features(draw, month, first, size, days=28 * np.linspace(first / rows, (first + size) / rows, size))
        median = features["number_0"].to_numpy() + 3
        keys = {name: features[name] for name in ("trip_id", "event_month")}
        answers = {"delay": median, "delay_p10": median - 15, "delay_p90": median + 15}
        order = pa.array(draw.permutation(size))
        append("features", features)
        append("predictions", pa.table({**keys, **answers, "model_version": ["1"] * size}).take(order))
        append("outcomes", pa.table({**keys, "delay": median + draw.laplace(0, 10, size)}).take(order))


def release(folder: Path) -> None:
    """Version 1, a network that was fitted to its inputs and never trained."""
    folder.mkdir()
    snapshot = take_snapshot(USE_CASE, ",".join(REFERENCE))
    rows = load_rows(USE_CASE, snapshot)
    data = training_data(USE_CASE, rows.train, rows.held_out)
    network = Network(NetworkShape.of(data.contract, USE_CASE.recipe))
    fit_inputs(network, data)
    build_version(network, data.contract, folder)
    (folder / "snapshot.json").write_bytes(snapshot.to_json())
    (folder / "evaluation.json").write_text(json.dumps({"candidate": {"skill": 0.0, "skill_low": -0.01, "skill_high": 0.01}}))
    write_manifest(folder)
    publish(folder, USE_CASE.name, "1")


def append(table: str, rows: pa.Table) -> None:
    write_deltalake(table_uri(USE_CASE.name, table).removeprefix("file://"), rows, mode="append", partition_by=["event_month"])


def _features(draw: np.random.Generator, month: str, first: int, size: int, *, days: NDArray[np.float64]) -> pa.Table:
    at = np.datetime64(f"{month}-01", "us") + (days * 86400e6).astype("timedelta64[us]")
    numbers = {entry.name: draw.gamma(2.0, 10.0 + place, size) for place, entry in enumerate(NUMBERS)}
    codes = np.array([f"code {place}" for place in range(50)])
    return pa.table(
        {
            "trip_id": [f"{month}/{number:010d}" for number in range(first, first + size)],
            "event_month": [month] * size,
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            **numbers,
            **{entry.name: draw.choice(codes, size) for entry in CATEGORIES},
        }
    )


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _since(began: tuple[float, float], *, rows: int) -> dict[str, float]:
    """Seconds by the clock, and those of the process on a core: beside other work they differ."""
    wall, cpu = (now - then for now, then in zip(_clocks(), began, strict=True))
    return {"rows": rows, "seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}


def _from_here() -> float:
    """Memory now, from which the peak is counted, MiB."""
    reset_peak(os.getpid())
    return peak_mib(os.getpid())


if __name__ == "__main__":
    main()
