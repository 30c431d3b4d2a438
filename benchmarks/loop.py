"""What Airflow costs: the jobs of train_and_release bare, one after the other, against the same jobs run by Airflow.

`make bench-loop`, with the stack up and at least one model released (`make demo`). After a bare run that is not counted (it warms
caches) each round runs both on the same partitions, in alternating order; every run releases a version of its own. The result is
committed as benchmarks/results/loop_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.keep_result import keep_result
from roundtrip.cli.demo.airflow_api import AirflowApi, DagRun
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.settings import REPOSITORY, settings

USE_CASE = "flight_eta"
DAG = f"{USE_CASE}.train_and_release"
RANKS = 2
GOAL = 1.10
"""Most that a turn through Airflow may take, as a multiple of the bare jobs."""
BEFORE_TRAINING = ("snapshot_dataset", "tune_model")
AFTER_TRAINING = (
    "evaluate_model", "judge_candidate", "register_model", "compile_model", "stage_release", "probe_release", "promote_release",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__)
    parser.add_argument("--partitions", default="2013-01..2013-06", help="months to train on: the champion's, so that the gate passes")
    parser.add_argument("--rounds", type=int, default=4, help="pairs of runs")
    request = parser.parse_args(argv)
    run_bare(request.partitions)
    rounds = []
    for number in range(1, request.rounds + 1):
        order = (run_bare, run_through_airflow) if number % 2 else (run_through_airflow, run_bare)
        seconds = {run: run(request.partitions) for run in order}
        rounds.append({"bare": seconds[run_bare], "airflow": seconds[run_through_airflow]})
        bare_s, airflow_s = sum(seconds[run_bare].values()), seconds[run_through_airflow]["wall"]
        print(f"round {number}: bare {bare_s:.1f} s, through Airflow {airflow_s:.1f} s, ratio {airflow_s / bare_s:.3f}", flush=True)
    keep(request.partitions, rounds)


def run_bare(partitions: str) -> dict[str, float]:
    """Every job as anyone could type it, one after the other; seconds of each by name."""
    folder = RunFolder.of(f"{DAG}_bare", datetime.now(UTC).isoformat())
    seconds = {}
    for job in (*BEFORE_TRAINING, "train_model", *AFTER_TRAINING):
        started = time.monotonic()
        finished = subprocess.run(
            command(job, folder, partitions), cwd=REPOSITORY, capture_output=True, text=True, check=False, env=job_environment()
        )
        if finished.returncode:
            sys.exit(f"{job} ended with {finished.returncode}: {finished.stderr.strip()[-500:]}")
        seconds[job] = time.monotonic() - started
    return seconds


def command(job: str, folder: RunFolder, partitions: str) -> list[str]:
    """The command line of one job of the chain."""
    more = []
    if job == "train_model":
        more = ["--ranks", str(RANKS)]
    elif job == "snapshot_dataset":
        more = ["--partitions", partitions]
    return [sys.executable, "-m", f"jobs.{job}", "--use-case", USE_CASE, "--run-dir", folder.uri, *more]


def job_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_through_airflow(partitions: str) -> dict[str, float]:
    """One run by hand; seconds of each task and, as `wall`, from the trigger to the run's end."""
    airflow = AirflowApi(settings().airflow_url, user=settings().airflow_user, password=settings().airflow_password)
    run_id = f"bench_loop_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    started = datetime.now(UTC)
    airflow.trigger(DAG, run_id, {"partitions": partitions, "ranks": RANKS})
    run = ended_run(airflow, run_id)
    if run.state != "success" or run.end_date is None:
        sys.exit(f"{run_id} ended {run.state}: see {settings().airflow_url}/dags/{DAG}/runs/{run_id}")
    seconds = {task.name: task.seconds(run.end_date) for task in airflow.tasks(DAG, run_id)}
    return seconds | {"wall": (run.end_date - started).total_seconds()}


def ended_run(airflow: AirflowApi, run_id: str) -> DagRun:
    while True:
        run = next(run for run in airflow.runs([DAG]) if run.dag_run_id == run_id)
        if run.ended:
            return run
        time.sleep(0.5)


def keep(partitions: str, rounds: Sequence[dict[str, dict[str, float]]]) -> None:
    """Print the verdict and write the result file."""
    ratio = statistics.median(one["airflow"]["wall"] / sum(one["bare"].values()) for one in rounds)
    result = {
        "what": "train_and_release: jobs bare one after the other against through Airflow, seconds",
        "partitions": partitions, "ranks": RANKS, "median_ratio": round(ratio, 3), "goal": GOAL,
        "rounds": rounds,
    }  # fmt: skip
    path = keep_result("loop", result)
    print(f"median ratio {ratio:.3f} (goal {GOAL:.2f} at most); kept as {path}")


if __name__ == "__main__":
    main()
