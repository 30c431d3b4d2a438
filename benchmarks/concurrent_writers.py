"""Many processes publish to one table at the same time: no commit may be lost, and no version left out.

`make bench-writers`, with the stack up. Each writer is a process with a Spark session of its own, as a job is, and
publishes its own month again and again, each time with other rows. The result is committed as
benchmarks/results/concurrent_writers_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context

from benchmarks.keep_result import keep_result
from roundtrip.contracts import storage
from roundtrip.contracts.names import months_between
from roundtrip.lakehouse.publish import Commit, publish
from roundtrip.lakehouse.session import spark_session
from roundtrip.lakehouse.tables import history_of, open_table, rows_in, table_uri

USE_CASE = "bench_concurrent_writers"
ROWS = 100
"""Of a commit: what is measured is the commit, not the writing of rows."""


@dataclass(frozen=True)
class Written:
    """What one writer was told, by the number of its commit."""

    versions: list[int]
    seconds: list[float]
    conflicts: int
    """Tries that another writer's commit came before."""


class Conflicts(logging.Handler):
    """Counts what `publish` says of lost races."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += "commit came first" in record.msg


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrent_writers", description=__doc__)
    parser.add_argument("--writers", type=int, default=20, help="processes")
    parser.add_argument("--commits", type=int, default=50, help="of each writer")
    request = parser.parse_args(argv)
    table = f"t{datetime.now(UTC):%Y%m%d%H%M%S}"
    months = months_between("2000-01", "2099-12")[: request.writers]
    started = time.monotonic()
    with ProcessPoolExecutor(request.writers, mp_context=get_context("spawn")) as writers:
        written = list(writers.map(partial(write, table, request.commits), months))
    seconds = time.monotonic() - started
    faults = faults_of(table, dict(zip(months, written, strict=True)), request.commits)
    keep(request, written, seconds, faults)
    for found in storage.list_objects(f"{table_uri(USE_CASE, table)}/"):
        storage.delete(found.uri)
    sys.exit("\n".join(faults) or 0)


def write(table: str, commits: int, month: str) -> Written:
    """Publish the month `commits` times, with other rows each time; runs in a process of its own."""
    versions, seconds, conflicts = [], [], Conflicts()
    logging.getLogger("roundtrip.lakehouse.publish").addHandler(conflicts)
    logging.getLogger("roundtrip.lakehouse.publish").setLevel(logging.INFO)
    with spark_session() as spark:
        for number in range(commits):
            frame = spark.range(ROWS).selectExpr(f"id + {number * ROWS} AS id", f"'{month}' AS event_month")
            started = time.monotonic()
            told = publish(spark, frame, use_case_name=USE_CASE, table=table, partition=month, transaction=f"{month} {number}")
            seconds.append(time.monotonic() - started)
            versions.append(told.version)
    return Written(versions, seconds, conflicts.seen)


def faults_of(table: str, written: dict[str, Written], commits: int) -> list[str]:
    """What is not as it must be: a version left out or given twice, a commit that is not in the log, a month with other rows."""
    opened = open_table(USE_CASE, table)
    log = {int(str(entry["version"])): Commit.from_json(str(entry["userMetadata"])) for entry in history_of(USE_CASE, table)}
    faults = [] if sorted(log) == list(range(len(written) * commits)) else [f"versions of the log: {sorted(log)}"]
    told = [version for writer in written.values() for version in writer.versions]
    faults += [f"version {version} was given to {count} writers" for version, count in Counter(told).items() if count > 1]
    for month, writer in written.items():
        for number, version in enumerate(writer.versions):
            if log[version].transaction != f"{month} {number}":
                faults.append(f"{month}: commit {number} was told to be version {version}, which is of {log[version].transaction!r}")
        if rows_in(opened, [month]) != ROWS:
            faults.append(f"{month} has {rows_in(opened, [month])} rows, expected {ROWS}")
    return faults


def keep(request: argparse.Namespace, written: Sequence[Written], seconds: float, faults: Sequence[str]) -> None:
    """Print the verdict and write the result file."""
    each = [took for writer in written for took in writer.seconds]
    result = {
        "what": "processes that publish to one table on the embedded S3 through one Spark Connect server, each its own month",
        "writers": request.writers, "commits_each": request.commits, "rows_a_commit": ROWS,
        "seconds": round(seconds, 1), "commits_a_second": round(len(each) / seconds, 2),
        "seconds_a_commit": {"median": round(statistics.median(each), 2), "longest": round(max(each), 2)},
        "conflicts": sum(writer.conflicts for writer in written), "faults": list(faults),
    }  # fmt: skip
    path = keep_result("concurrent_writers", result)
    print(f"{len(each)} commits in {seconds:.0f} s, {len(faults)} faults; kept as {path}")


if __name__ == "__main__":
    main()
