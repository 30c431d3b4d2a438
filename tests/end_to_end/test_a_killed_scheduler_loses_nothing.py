"""kill -9 of Airflow's scheduler and of all its workers while a model trains: the training goes on, and a new worker finds it.

It is the loop's first training that is hit: test_the_loop_closes goes on from the model that it releases.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from operators.detached_process import Attempt
from roundtrip.cli.demo.airflow_api import AirflowApi, DagRun
from roundtrip.cli.demo.driver import FIRST_RUN
from roundtrip.cli.stack.layout import Stack, load_stack
from roundtrip.cli.stack.processes import descendants
from roundtrip.cli.stack.records import recorded
from roundtrip.contracts.settings import settings
from tests.end_to_end.small_year import SmallYear
from use_cases.flight_eta.declaration import USE_CASE

DAG_ID = f"{USE_CASE.name}.train_and_release"
MONTH = SmallYear.TRAINING_MONTHS[0]


def until(condition: Callable[[], bool], what: str, *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        time.sleep(0.5)


@pytest.fixture
def api(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.home.is_dir()
    addressed = settings()
    with closing(AirflowApi.of_the_stack(addressed)) as api:
        yield api


@pytest.fixture
def landed(api: AirflowApi) -> None:
    """The month's features and outcomes are built."""
    replay = SmallYear()
    for feed in USE_CASE.feeds:
        if MONTH not in replay.landed_months(feed.name):
            replay.land_month(feed.name, MONTH)
    wanted = {f"{USE_CASE.name}/{feed.emits}" for feed in USE_CASE.feeds}
    until(lambda: wanted <= {event.name for event in api.events(f"{USE_CASE.name}/")}, "features and outcomes", within_s=600)


def run(api: AirflowApi) -> DagRun:
    return next(run for run in api.runs([DAG_ID]) if run.dag_run_id == FIRST_RUN)


def attempts() -> list[Attempt]:
    """Every start of the training job, by its folder."""
    folders = settings().home_path.glob(f"jobs/{DAG_ID}.{FIRST_RUN}.train_model.*/*/")
    return [Attempt(folder) for folder in folders]


def epochs(attempt: Attempt) -> list[int]:
    """The numbers of the epochs that its log tells of, in order."""
    return [int(number) for number in re.findall(r"^epoch (\d+)/", (attempt.folder / "log").read_text(), re.MULTILINE)]


def kill_scheduler() -> int:
    """kill -9 the scheduler and every process below it but the jobs, which have sessions of their own; gives its pid."""
    scheduler = recorded(load_stack(), "airflow_scheduler")
    assert scheduler is not None
    session = os.getsid(scheduler.pid)
    victims = [pid for pid in descendants(scheduler.pid) if os.getsid(pid) == session]
    assert len(victims) > 2, "the scheduler has a worker, and that a task"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    return scheduler.pid


def test_a_killed_scheduler_loses_nothing(api: AirflowApi, landed: None) -> None:
    api.trigger(DAG_ID, FIRST_RUN, {"partitions": f"{MONTH}..{MONTH}"})
    until(lambda: bool(attempts()) and len(epochs(attempts()[0])) >= 1, "the first epoch", within_s=300)
    (running,) = attempts()

    killed = kill_scheduler()

    assert running.state() == "running"
    until(lambda: (new := recorded(load_stack(), "airflow_scheduler")) is not None and new.pid != killed, "a new scheduler", within_s=60)
    until(lambda: run(api).ended, "the end of the run", within_s=900)
    assert run(api).state == "success"
    assert attempts() == [running], "the training was submitted once"
    assert epochs(running) == list(range(1, USE_CASE.recipe.epochs + 1)), "no epoch was lost, and none trained twice"
    (training,) = [task for task in api.tasks(DAG_ID, FIRST_RUN) if task.task_id == "train_model"]
    assert (training.state, training.try_number) == ("success", 2)
