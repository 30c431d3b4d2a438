"""What counting a large partition costs, in seconds and memory, beside Evidently on the same rows.

`make bench-monitoring`. 20 inputs (16 numbers, 4 categories) of as many rows as asked for, in Parquet, against a reference of a tenth of
them. Each measurement is a process of its own. Kept as benchmarks/results/monitoring_size_<hardware>_<date>.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks.keep_result import keep_result
from benchmarks.peak_memory import peak_mib, reset_peak
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.inputs import input_drifts, inputs_drifted, joint_drift
from roundtrip.monitoring.profile import BATCH_ROWS, profile_reference, profile_rows

NUMBERS = tuple(Input(name=f"number_{place}", kind="number", unit="1", meaning="") for place in range(16))
CATEGORIES = tuple(Input(name=f"category_{place}", kind="category", unit="code", meaning="") for place in range(4))
INPUTS = (*NUMBERS, *CATEGORIES)
SIZES = 1_000_000, 10_000_000
EVIDENTLY_ROWS = 100_000, 1_000_000
"""Rows of either side that Evidently is given, drawn from the first million."""
PIECES = 40
"""Of a file, each of one moment: the reference's parts need several weeks."""
ROW_GROUP = 25_000
GOALS = "a million rows of 20 inputs in 10 s, memory flat to ten million"


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(MEASURED[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
        return
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as scratch:
        folder = Path(scratch)
        write_rows(folder / "reference.parquet", SIZES[0] // 10, seed=1)
        for rows in SIZES:
            write_rows(folder / f"current_{rows}.parquet", rows, seed=2)
        roundtrip = [measured("roundtrip", folder, rows) for rows in SIZES]
        evidently = [measured("evidently", folder, rows) for rows in EVIDENTLY_ROWS]
    what = "drift of 20 inputs: seconds by the clock and on a core, and the most memory while measuring less that before it"
    print(f"Kept as {keep_result('monitoring_size', {'what': what, 'goals': GOALS, 'roundtrip': roundtrip, 'evidently': evidently})}")


def measured(which: str, folder: Path, rows: int) -> dict[str, float]:
    """In a process of its own."""
    command = [sys.executable, "-m", "benchmarks.monitoring.size", which, str(folder), str(rows)]
    found = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    print(f"{which}, {rows:,} rows: {found}", flush=True)
    return {"rows": rows, **found}


def by_roundtrip(folder: Path, rows: int) -> dict[str, float]:
    """The reference counted, the rows counted, all inputs and pairs compared."""
    reference, current = folder / "reference.parquet", folder / f"current_{rows}.parquet"
    before, began = _from_here(), _clocks()
    profile = profile_reference(INPUTS, lambda: batches(reference), time="at")
    now = profile_rows(profile.plan, batches(current))
    alarms = inputs_drifted(INPUTS, input_drifts(profile, now))
    assert now.rows == rows and not alarms and not joint_drift(profile, now).drifted, alarms
    return _since(began) | {"memory_mib": round(peak_mib(os.getpid()) - before, 1)}


def by_evidently(folder: Path, rows: int) -> dict[str, float]:
    """Evidently's data drift preset (PSI) on so many rows of either side as pandas frames; the reference's are repeated to as many."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    before, began = _from_here(), _clocks()
    current = pq.read_table(folder / f"current_{SIZES[0]}.parquet").slice(0, rows).to_pandas()
    trained = pq.read_table(folder / "reference.parquet").to_pandas().sample(rows, replace=True, random_state=1)
    names = {"numerical_columns": [entry.name for entry in NUMBERS], "categorical_columns": [entry.name for entry in CATEGORIES]}
    sides = [Dataset.from_pandas(frame.drop(columns="at"), data_definition=DataDefinition(**names)) for frame in (current, trained)]
    Report([DataDriftPreset(num_method="psi", cat_method="psi")]).run(*sides)
    return _since(began) | {"memory_mib": round(peak_mib(os.getpid()) - before, 1)}


MEASURED = {"roundtrip": by_roundtrip, "evidently": by_evidently}


def write_rows(path: Path, rows: int, *, seed: int) -> None:
    """Rows of the last twelve weeks of 2013, in their order."""
    draw = np.random.default_rng(seed)
    writer: pq.ParquetWriter | None = None
    for place in range(PIECES):
        piece = _piece(draw, rows // PIECES, share=place / PIECES)
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece, row_group_size=ROW_GROUP)  # a reader holds some of them: as large in every file
    assert writer is not None
    writer.close()


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """A few batches ahead, no more; `pre_buffer` would keep the whole file."""
    read = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=False))
    yield from ds.dataset(path, format=read).to_batches(batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1)


def _piece(draw: np.random.Generator, rows: int, *, share: float) -> pa.Table:
    first = np.datetime64("2013-10-08", "us") + np.timedelta64(int(share * 84 * 86400e6), "us")
    at = pa.array(np.full(rows, first), pa.timestamp("us", tz="UTC"))
    numbers = {entry.name: draw.gamma(2.0, 10.0 + place, rows) for place, entry in enumerate(NUMBERS)}
    codes = np.array([f"code {place}" for place in range(50)])
    return pa.table(numbers | {entry.name: draw.choice(codes, rows) for entry in CATEGORIES} | {"at": at})


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _since(began: tuple[float, float]) -> dict[str, float]:
    """Seconds by the clock, and those of the process on a core: beside other work they differ."""
    wall, cpu = (now - then for now, then in zip(_clocks(), began, strict=True))
    return {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}


def _from_here() -> float:
    """Memory now, from which the peak is counted, MiB."""
    reset_peak(os.getpid())
    return peak_mib(os.getpid())


if __name__ == "__main__":
    main()
