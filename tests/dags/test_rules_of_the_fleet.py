"""What must hold for every DAG. Each message says what to do."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypedDict

import pytest
from airflow.sdk import DAG, AssetAll, AssetAny

from operators.dag_defaults import worth_measuring
from tests.dags.conftest import DAG_FILES
from use_cases import declared_use_cases


def test_every_use_case_has_every_dag(dags: dict[str, DAG]) -> None:
    own = {"score_batch", "watch_drift", "train_and_release", "replay_quarantine", "housekeeping", "release", "roll_back"}
    expected = {f"{use_case.name}.{name}" for use_case in declared_use_cases() for name in own | {feed.dag for feed in use_case.feeds}}
    assert set(dags) == expected


def test_a_dag_is_found_and_understood_in_the_ui(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        use_case, _, name = dag.dag_id.partition(".")
        assert set(dag.tags) == {use_case, name}, f"{dag.dag_id}: tag it with its use case and its name"
        assert dag.dag_display_name != dag.dag_id, f"{dag.dag_id}: give it a title"
        assert dag.doc_md and "**Starts**" in dag.doc_md, f"{dag.dag_id}: say in the file's docstring when it starts and what it does"
        assert dag.deadline, f"{dag.dag_id}: say after how long a warning is due"
        assert dag.max_active_runs == 1, f"{dag.dag_id}: one run at a time, all share one Spark server"
        assert not dag.is_paused_upon_creation, f"{dag.dag_id}: an event that reaches a paused DAG is lost"


def test_every_task_has_an_owner_a_title_and_tries_that_outlast_a_minute_s_outage(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            assert task.owner == "roundtrip", f"{dag.dag_id}.{task.task_id}: its owner is the use case's"
            assert task.task_display_name != task.task_id, f"{dag.dag_id}.{task.task_id}: give it a title"
            waits = [
                task.retry_delay.total_seconds() * task.retry_exponential_backoff**number for number in range(1, (task.retries or 0) + 1)
            ]
            assert sum(waits) > 60, f"{dag.dag_id}.{task.task_id}: its tries end after {sum(waits)} s, a service may be away for 60 s"


def test_every_field_of_a_form_explains_itself(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            assert {"title", "section", "description_md", "type"} <= set(schema), (
                f"{dag.dag_id}: param {name} lacks a title, section or text"
            )


class Parsing(TypedDict):
    cpu_s: float
    heavy: list[str]


@cache
def parsed() -> dict[str, Parsing]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.dags.parse_files", *map(str, DAG_FILES)], capture_output=True, text=True, check=True
    )
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_parses_in_under_a_second_of_cpu_and_imports_nothing_heavy(file: Path) -> None:
    assert parsed()[file.name]["heavy"] == []
    assert parsed()[file.name]["cpu_s"] < 1


def test_a_drift_check_waits_for_the_outcomes_unless_the_use_case_says_that_they_come_late() -> None:
    fast = declared_use_cases()[0]
    assert isinstance(worth_measuring(fast), AssetAll)
    late = worth_measuring(replace(fast, outcomes_come_late=True))
    assert isinstance(late, AssetAny)
    assert {asset.name for asset in late.objects} == {f"{fast.name}/predictions", f"{fast.name}/outcomes"}  # type: ignore[attr-defined]
