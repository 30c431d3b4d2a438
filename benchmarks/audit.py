"""What the audit of a partition costs: seconds of building each table of flight_eta's operations, and of checking it before it is read.

`make bench-audit`, with the stack up. A month, then the whole year as one partition (337,000 flights, 26,000 weather reports), each
built from landed files into a folder of its own that is removed afterwards; a month that is not counted goes first, and holds the import
of Great Expectations. The result is committed as benchmarks/results/audit_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from benchmarks.keep_result import keep_result
from benchmarks.roomy_definitions import roomy_definitions
from roundtrip.contracts import storage
from roundtrip.contracts.names import months_between
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.contracts.settings import settings
from roundtrip.lakehouse.build import build_table
from roundtrip.lakehouse.landing import land
from roundtrip.lakehouse.session import spark_session
from use_cases.flight_eta.declaration import USE_CASE
from use_cases.flight_eta.replay import SOURCE_DATA, month_files

FEED = USE_CASE.feed("operations")
PARTITION = "2013-12"
SPANS = {"month": [PARTITION], "year": months_between("2013-01", PARTITION)}
"""Which months' rows the partition holds."""

Seconds = dict[str, dict[str, float]]
"""Table → seconds of `build` (all but the audit) and of `audit`."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times that month and year are built")
    request = parser.parse_args(argv)
    rounds: dict[str, list[Seconds]] = {span: [] for span in SPANS}
    with spark_session() as spark, tempfile.TemporaryDirectory() as folder:
        definitions = year_definitions(Path(folder) / "sql")
        first = seconds_of("month", spark, definitions)
        for _ in range(request.rounds):
            for span, seconds in rounds.items():
                seconds.append(seconds_of(span, spark, definitions))
                print(f"{span}: build {total(seconds[-1], 'build'):.1f} s, audit {total(seconds[-1], 'audit'):.1f} s", flush=True)
    keep(first, rounds)


def year_definitions(root: Path) -> Path:
    """A copy of sql/ for a partition of any length: no limit on rows, no rule that a row is of the partition's month."""
    return roomy_definitions(root, most_rows=1_000_000, instead={"= session.this_partition": "IS NOT NULL"})


def seconds_of(span: str, spark: SparkSession, definitions: Path) -> Seconds:
    """Build all tables of the feed from landed files, in a storage root of their own."""
    with own_storage() as root:
        land(USE_CASE.name, FEED, PARTITION, files_of(SPANS[span]))
        return {
            table: seconds_of_table(table, spark, definitions, RunFolder(f"{root}/run")) for stage in FEED.stages for table in stage
        }  # fmt: skip


def files_of(months: Sequence[str]) -> dict[str, bytes]:
    """Source → its CSV: the months' rows of flights and weather, the registers once."""
    files: dict[str, list[str]] = {}
    for month in months:
        for source, lines in month_files(FEED.name, month, SOURCE_DATA).items():
            monthly = source in ("flights", "weather")
            files[source] = files[source] + lines[1:] if source in files and monthly else lines
    return {source: "".join(lines).encode() for source, lines in files.items()}


def seconds_of_table(table: str, spark: SparkSession, definitions: Path, folder: RunFolder) -> dict[str, float]:
    receipt = Receipt("build_table", USE_CASE.name)
    started = time.monotonic()
    build_table(spark, USE_CASE, table, PARTITION, folder=folder, receipt=receipt, root=definitions)
    audit_s = receipt.figures["audit_seconds"]
    assert isinstance(audit_s, float)
    return {"build": round(time.monotonic() - started - audit_s, 3), "audit": audit_s}


@contextmanager
def own_storage() -> Iterator[str]:
    usual = settings().storage_root
    root = os.environ["ROUNDTRIP_STORAGE_ROOT"] = storage.join(usual, "benchmarks", f"audit_{time.time_ns()}")
    try:
        yield root
    finally:
        os.environ["ROUNDTRIP_STORAGE_ROOT"] = usual
        for found in list(storage.list_objects(f"{root}/")):
            storage.delete(found.uri)


def total(seconds: Seconds, part: str) -> float:
    return sum(table[part] for table in seconds.values())


def keep(first: Seconds, rounds: dict[str, list[Seconds]]) -> None:
    """Print the verdict and write the result file."""
    medians = {
        span: {
            table: {part: round(statistics.median(one[table][part] for one in seconds), 3) for part in ("build", "audit")}
            for table in seconds[0]
        }
        for span, seconds in rounds.items()
    }
    ratios = {span: round(total(seconds, "audit") / total(seconds, "build"), 3) for span, seconds in medians.items()}
    result = {
        "what": "building and auditing each table of flight_eta's operations, seconds", "audit_by_build": ratios, "medians": medians,
        "first_month": first, "load_1_min": os.getloadavg()[0], "rounds": rounds,
    }  # fmt: skip
    path = keep_result("audit", result)
    print(f"audit as a fraction of the build: {ratios}; kept as {path}")


if __name__ == "__main__":
    main()
