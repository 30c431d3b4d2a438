"""What bad rows cost, side by side: a million-row CSV clean, with one bad row, with one stray quote and with every row bad but one.

`make bench-readers`, with the stack up. The Spark server is started anew for each build, so that each finds the same heap, and builds
small files first, which are not counted; then its highest resident memory is reset, and read after the build (VmHWM of /proc). Its CPU
seconds are read too: on a machine that others use they tell more than the clock. The order of the files turns from round to round. The
result is committed as benchmarks/results/readers_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.keep_result import keep_result
from benchmarks.peak_memory import peak_mib, reset_peak
from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import Stack, load_stack
from roundtrip.cli.stack.records import recorded
from roundtrip.cli.stack.supervisor import connected
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.build import build_table
from roundtrip.lakehouse.definitions import SQL
from roundtrip.lakehouse.landing import land
from roundtrip.lakehouse.session import spark_session
from use_cases import declared_use_cases

TABLE, FEED, MONTH = "raw_flights", "operations", "2013-04"
GOALS = {"seconds": 1.5, "cpu_s": 1.5, "peak_mib": 2.0}
"""Most that a file with bad rows may take, as a multiple of the clean one."""
CHECKS = """
- {expect: table_row_count_to_be_between, min_value: 1, max_value: 10000000, level: fails, because: it is a check that reads all rows.}
- {expect: column_values_to_not_be_null, column: dep_time, mostly: 0.85, level: fails, because: it is a check of a column.}
"""
BAD_ROW = "2013,4,1,517,515,2,830,819,11,UA,1,N1,XXX,IAH,227,1400,5,15,2013-04-01T09:00:00Z"
STRAY_QUOTE = '2013,4,1,517,515,2,830,819,11,UA,1,"N1,EWR,IAH,227,1400,5,15,2013-04-01T09:00:00Z'
BAD_PLACES: dict[str, Callable[[int, int], str | None]] = {
    "clean": lambda place, count: None,
    "one bad": lambda place, count: BAD_ROW if place == count // 2 else None,
    "one stray quote": lambda place, count: STRAY_QUOTE if place == count // 2 else None,
    "every row but one bad": lambda place, count: BAD_ROW if place else None,
}
"""Kind of file → the row that stands at a place instead of the good one."""


@dataclass(frozen=True)
class Cost:
    """What one build took."""

    seconds: float
    cpu_s: float
    """Of the Spark server."""
    peak_mib: float


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readers", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2, help="builds of each file")
    request = parser.parse_args(argv)
    stack = load_stack()
    os.environ.update(addresses(stack))
    root = f"{stack.storage_root}/benchmarks/readers_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    os.environ["ROUNDTRIP_STORAGE_ROOT"] = root
    (declared,) = (use_case for use_case in declared_use_cases() if use_case.name == "flight_eta")
    use_case = replace(declared, row_limit=1.0)
    kinds = list(BAD_PLACES)
    rounds: list[dict[str, Cost]] = []
    try:
        for number in range(request.rounds):
            order = kinds if number % 2 == 0 else kinds[::-1]
            rounds.append({kind: built(stack, use_case, kind, request.rows) for kind in order})
    finally:
        for found in list(storage.list_objects(f"{root}/")):
            storage.delete(found.uri)
    keep(request.rows, rounds)


def built(stack: Stack, use_case: UseCase, kind: str, rows: int) -> Cost:
    """Seconds of build_table for a file of that kind, and the highest resident memory of a server that was just started."""
    restart_spark(stack)
    with tempfile.TemporaryDirectory() as folder, spark_session() as spark:
        definitions = write_definitions(Path(folder))

        def build(month: str, content: bytes) -> Receipt:
            land(use_case.name, use_case.feed(FEED), month, {"flights": content})
            run = f"{kind.replace(' ', '_')}_{time.time_ns()}"
            receipt = Receipt("build_table", use_case.name)
            build_table(spark, use_case, TABLE, month, folder=RunFolder.of("benchmark", run), receipt=receipt, root=definitions)
            return receipt

        for first in ("one bad", "every row but one bad", "clean"):
            build("2013-03", flights(first, 20_000, month=3))
        content = flights(kind, rows)
        spark_process = recorded(stack, "spark")
        assert spark_process is not None  # restart_spark waited for it
        reset_peak(spark_process.pid)
        started, cpu_before = time.monotonic(), cpu_s(spark_process.pid)
        receipt = build(MONTH, content)
        seconds, cpu = time.monotonic() - started, cpu_s(spark_process.pid) - cpu_before
        cost = Cost(round(seconds, 2), round(cpu, 2), peak_mib(spark_process.pid))
    print(
        f"{kind}: {cost.seconds:.1f} s, {cost.cpu_s:.1f} CPU s, {cost.peak_mib:.0f} MiB, quarantined {receipt.figures['rows_quarantined']}",
        flush=True,
    )
    return cost


def flights(kind: str, count: int, *, month: int = 4) -> bytes:
    """A month's CSV of that many flights, each with a key of its own."""
    header = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest"
    return "\n".join([f"{header},air_time,distance,hour,minute,time_hour", *flight_lines(kind, count, month), ""]).encode()


def flight_lines(kind: str, count: int, month: int) -> Iterator[str]:
    for place in range(count):
        day, flight, carrier = place % 28 + 1, place // 28 % 9999 + 1, place // (28 * 9999)
        moment = f"2013-{month:02}-{day:02}T09:00:00Z"
        good = f"2013,{month},{day},517,515,2,830,819,11,U{carrier},{flight},N{flight},EWR,IAH,227,1400,5,15,{moment}"
        yield BAD_PLACES[kind](place, count) or good


def write_definitions(root: Path) -> Path:
    """raw_flights with checks that a single row passes too: all others may be in quarantine."""
    folder = root / "flight_eta" / TABLE
    folder.mkdir(parents=True)
    (folder / "schema.yaml").write_text((SQL / "flight_eta" / TABLE / "schema.yaml").read_text())
    (folder / "checks.yaml").write_text(CHECKS)
    return root


def restart_spark(stack: Stack) -> None:
    with connected(stack) as supervisor:
        supervisor.stopProcess("spark", True)
    subprocess.run([sys.executable, "-m", "roundtrip.cli", "up", "s3", "spark"], cwd=REPOSITORY, check=True, capture_output=True)


def cpu_s(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def keep(rows: int, rounds: Sequence[dict[str, Cost]]) -> None:
    """Print the ratios to the clean file and write the result file."""
    ratios = {
        kind: {
            figure: round(statistics.median(getattr(one[kind], figure) / getattr(one["clean"], figure) for one in rounds), 3)
            for figure in GOALS
        }
        for kind in BAD_PLACES
        if kind != "clean"
    }
    result = {
        "what": "build_table of raw_flights from one CSV, and the Spark server's peak resident memory; ratios to the clean file, medians",
        "rows": rows, "goals": GOALS, "ratios": ratios,
        "rounds": [{kind: vars(cost) for kind, cost in one.items()} for one in rounds],
    }  # fmt: skip
    path = keep_result("readers", result)
    print(f"{ratios} (goals {GOALS}); kept as {path}")


if __name__ == "__main__":
    main()
