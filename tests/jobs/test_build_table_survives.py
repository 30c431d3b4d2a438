"""kill -9 of the job and of the Spark server, in the middle of a build: each row of the file ends in the table or in quarantine, once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from roundtrip.cli.stack.layout import Stack
from roundtrip.cli.stack.records import recorded
from roundtrip.contracts import storage
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.lakehouse.landing import land
from roundtrip.lakehouse.tables import read_table
from use_cases.flight_eta.declaration import USE_CASE
from use_cases.flight_eta.replay import SOURCE_DATA, month_files

MONTH = "2013-02"
EVERY = 40
"""Each so many-th line of the file is broken: 2.5 %, half of the limit."""
MOMENTS_S = (2.0, 4.0, 5.0, 6.0)
"""Seconds after the job's start: from its imports to its last commit."""


@pytest.fixture
def landed(storage_root: str) -> list[int]:
    """February's flights, some of them broken, in the landing zone; the numbers of the file's lines."""
    header, *lines = month_files("operations", MONTH, SOURCE_DATA)["flights"]
    broken = [f"never,{line.partition(',')[2]}" if place % EVERY == 0 else line for place, line in enumerate(lines)]
    land(USE_CASE.name, USE_CASE.feed("operations"), MONTH, {"flights": "".join([header, *broken]).encode()})
    return list(range(2, len(lines) + 2))


def job(run: str = "1") -> subprocess.Popen[bytes]:
    argv = ["-m", "jobs.build_table", "--use-case", "flight_eta", "--run-dir", f"{os.environ['ROUNDTRIP_STORAGE_ROOT']}/runs/ingest/{run}"]
    return subprocess.Popen(
        [sys.executable, *argv, "--tables", "raw_flights", "--partition", MONTH], cwd=REPOSITORY, stderr=subprocess.DEVNULL
    )


def lines_held() -> list[int]:
    """Line numbers of the table's and the quarantine's rows, sorted."""
    good = read_table("flight_eta", "raw_flights").column("source_line").to_pylist()
    return sorted(good + read_table("flight_eta", "raw_flights_quarantine").column("line").to_pylist())


def commits_of(storage_root: str, table: str) -> list[str]:
    log = f"{storage_root}/lakehouse/flight_eta/{table}/_delta_log/"
    return [name for entry in storage.list_objects(log) if (name := entry.uri.rpartition("/")[2]).endswith(".json")]


def test_a_job_that_is_killed_at_any_moment_leaves_each_row_once(stack: Stack, landed: list[int], storage_root: str) -> None:
    for moment in MOMENTS_S:
        with job() as killed:
            time.sleep(moment)
            killed.kill()
    with job() as last:
        assert last.wait(120) == 0
    assert lines_held() == landed
    for table in ("raw_flights", "raw_flights_quarantine"):
        assert commits_of(storage_root, table) == ["00000000000000000000.json"]


def test_a_server_that_is_killed_in_a_build_is_worth_another_try(stack: Stack, landed: list[int]) -> None:
    with job() as interrupted:
        time.sleep(4)
        server = recorded(stack, "spark")
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        assert interrupted.wait(120) in (0, 1)
    environment = os.environ | {"ROUNDTRIP_HOME": str(stack.home)}
    subprocess.run([sys.executable, "-m", "roundtrip.cli", "up", "spark", "--json"], check=True, capture_output=True, env=environment)
    with job() as last:
        assert last.wait(120) == 0
    assert lines_held() == landed


def test_builds_at_the_same_moment_leave_each_row_once(stack: Stack, landed: list[int]) -> None:
    together = [job(str(run)) for run in range(2)]
    assert {process.wait(240) for process in together} <= {0, 1}  # one that lost the race is tried again
    with job("again") as last:
        assert last.wait(120) == 0
    assert lines_held() == landed
