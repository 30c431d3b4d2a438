"""Roundtrip's Spark jobs beside Spark alone, DuckDB and Polars, which build the same Delta tables: seconds and memory, as the data grows.

`make bench-etl`, with the stack up (`roundtrip up s3 spark` is enough). For each factor the months of 2013 land one after the other
with so many times their flights (landing.py); each is built by all of them, in turn, one process a month: raw tables from CSV, clean
ones, features. Everything lies on the local disk, in a folder that is removed afterwards. Roundtrip also judges every row by the
contract, audits every table and keeps fingerprints and provenance; the others only build: Spark alone by Roundtrip's own queries, on the
same server. The features of the last month are compared.
The result is committed as benchmarks/results/etl_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.compute as pc
from deltalake import DeltaTable

from benchmarks.keep_result import keep_result
from benchmarks.peak_memory import peak_mib, reset_peak
from benchmarks.roomy_definitions import roomy_definitions
from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import load_stack
from roundtrip.cli.stack.records import recorded
from roundtrip.contracts.names import months_between
from roundtrip.contracts.settings import REPOSITORY
from use_cases.flight_eta.replay import SOURCE_DATA

HERE = Path(__file__).parent
PEERS_PYTHON = REPOSITORY / ".roundtrip" / "bench" / "bin" / "python"
ENGINES = ("roundtrip", "spark", "duckdb", "polars")
PEERS = ("duckdb", "polars")
GOAL = 3.0
"""Most that Roundtrip may take, as a multiple of the faster peer, at ten million flights and more."""


@dataclass(frozen=True)
class Built:
    """What an engine took for one month."""

    seconds: float
    peak_mib: float
    """Highest resident memory of the process; of Roundtrip's and Spark's alone, the client's."""
    server_peak_mib: float | None = None
    """Of the Spark server, whose heap is limited to 2 GiB."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.etl.run", description=__doc__)
    parser.add_argument("--factors", default="1,10,100", help="copies of each flight")
    parser.add_argument("--last-month", default="2013-12")
    parser.add_argument("--engines", default=",".join(ENGINES))
    request = parser.parse_args(argv)
    os.environ.update(addresses(load_stack()))
    months = months_between("2013-01", request.last_month)
    factors = [int(factor) for factor in request.factors.split(",")]
    engines = request.engines.split(",")
    runs = {factor: run(factor, months, engines) for factor in factors}
    keep(runs, months)


def run(factor: int, months: Sequence[str], engines: list[str]) -> dict[str, list[Built]]:
    """Engine → what each month took; raises ValueError when the engines' last features differ."""
    built: dict[str, list[Built]] = {engine: [] for engine in engines}
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".roundtrip") as folder:
        root = Path(folder)
        definitions = definitions_for(factor, root / "sql")
        for place, month in enumerate(months):
            landed = root / "landing" / "flight_eta" / "operations" / month
            subprocess.run([PEERS_PYTHON, HERE / "landing.py", SOURCE_DATA, month, str(factor), landed], check=True)
            for engine in engines[place % len(engines) :] + engines[: place % len(engines)]:
                built[engine].append(build(engine, root, definitions, landed, month))
                print(f"×{factor} {month} {engine}: {built[engine][-1]}", flush=True)
            shutil.rmtree(landed)
        compare({engine: lakehouse(engine, root) / "features" for engine in engines}, months[-1])
    return built


def definitions_for(factor: int, root: Path) -> Path:
    """A copy of sql/ that allows a hundred times a month's rows, the flight numbers of copies, and as many departures in half an hour."""
    instead = {"maximum: 9999,": f"maximum: {10_000 * factor},", "minimum: 1, maximum: 200,": f"minimum: 1, maximum: {200 * factor},"}
    return roomy_definitions(root, most_rows=4_000_000, instead=instead)


def lakehouse(engine: str, root: Path) -> Path:
    folders = {"roundtrip": root / "lakehouse" / "flight_eta", "spark": root / engine / "lakehouse" / "flight_eta"}
    return folders.get(engine, root / engine)


def build(engine: str, root: Path, definitions: Path, landed: Path, month: str) -> Built:
    module = f"benchmarks.etl.with_{engine}"
    words: dict[str, list[object]] = {
        "roundtrip": [sys.executable, "-m", module, definitions, root.as_uri(), month],
        "spark": [sys.executable, "-m", module, definitions, (root / engine).as_uri(), landed, month],
    }
    command = [str(word) for word in words.get(engine, [PEERS_PYTHON, "-m", module, landed, lakehouse(engine, root), month])]
    server = recorded(load_stack(), "spark")
    assert server is not None, "the Spark server is not up: run `roundtrip up s3 spark`"
    reset_peak(server.pid)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = round(time.monotonic() - started, 2)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    peak = peak_mib(server.pid) if engine in words else None
    return Built(seconds, round(usage.ru_maxrss / 1024, 1), peak)


def compare(tables: dict[str, Path], month: str) -> None:
    """Raise ValueError unless each column has as many values in the month, of the same sum; a half may be rounded either way."""
    found = {engine: content(path, month) for engine, path in tables.items()}
    first, *others = found
    for other in others:
        for column, value in found[first].items():
            if abs(value - found[other][column]) > (0 if column.startswith("values of") else 1e-5 * found[first]["values of flight_id"]):
                raise ValueError(f"{month}: {column} of {first} is {value}, of {other} {found[other][column]}")


def content(path: Path, month: str) -> dict[str, float]:
    rows = DeltaTable(path).to_pyarrow_table(filters=[("event_month", "=", month)])
    values = {name: rows[name] for name in rows.column_names}
    sums = {name: pc.sum(value).as_py() for name, value in values.items() if str(value.type) == "double"}
    counts = {f"values of {name}": pc.count(value).as_py() for name, value in values.items()}
    return sums | counts


def keep(runs: dict[int, dict[str, list[Built]]], months: Sequence[str]) -> None:
    """Print the verdict and write the result file."""
    totals = {
        factor: {engine: round(sum(one.seconds for one in built), 1) for engine, built in run.items()} for factor, run in runs.items()
    }
    ratios = {factor: round(total["roundtrip"] / min(total[peer] for peer in PEERS), 2) for factor, total in totals.items()}
    to_spark = {factor: round(total["roundtrip"] / total["spark"], 2) for factor, total in totals.items() if "spark" in total}
    result = {
        "what": "building flight_eta's operations, raw to features, one process a month: seconds, by factor of the real flights",
        "months": list(months), "goal": GOAL, "ratio_to_the_faster_peer": ratios, "ratio_to_spark_alone": to_spark, "seconds": totals,
        "runs": {factor: {engine: [asdict(one) for one in built] for engine, built in run.items()} for factor, run in runs.items()},
    }  # fmt: skip
    path = keep_result("etl", result)
    print(f"{totals}; Roundtrip by the faster of DuckDB and Polars: {ratios} (goal {GOAL} at ×30 and more); by Spark alone: {to_spark}")
    print(f"Kept as {path}")


if __name__ == "__main__":
    main()
