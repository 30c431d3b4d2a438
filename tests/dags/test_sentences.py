"""What each DAG says, task by task, is a golden file in sentences/: `task → what follows`, with its trigger rule and its events."""

from pathlib import Path

import pytest
from airflow.sdk import DAG, Asset, AssetAll, CronTriggerTimetable, TriggerRule
from airflow.sdk.definitions.timetables.simple import NullTimetable

SENTENCES = Path(__file__).parent / "sentences"


def sentence(dag: DAG) -> str:
    """How it starts, then a line a task, in order."""
    lines = []
    for task in dag.topological_sort():
        rule = "" if task.trigger_rule == "all_success" else f" [{TriggerRule(task.trigger_rule).value}]"
        mapped = " × partitions" if task.is_mapped else ""
        outlets = task.partial_kwargs.get("outlets", []) if task.is_mapped else task.outlets
        emits = f"; emits {', '.join(asset.name for asset in outlets)}" if outlets else ""
        lines.append(f"{task.task_id}{mapped}{rule} → {', '.join(sorted(task.downstream_task_ids)) or '.'}{emits}")
    return "\n".join([f"starts on {starts_on(dag)}", *lines]) + "\n"


def starts_on(dag: DAG) -> str:
    if isinstance(dag.timetable, NullTimetable):
        return "nothing but a hand"
    if isinstance(dag.timetable, CronTriggerTimetable):
        return dag.timetable.expression
    condition = dag.timetable.asset_condition
    assets = condition.objects if isinstance(condition, AssetAll) else [condition]
    return " and ".join(sorted(asset.name for asset in assets if isinstance(asset, Asset)))


def test_every_dag_has_its_sentence_and_no_sentence_is_left_over(dags: dict[str, DAG]) -> None:
    assert {f"{dag_id}.txt" for dag_id in dags} == {path.name for path in SENTENCES.glob("*.txt")}


@pytest.mark.parametrize("file", sorted(SENTENCES.glob("*.txt")), ids=lambda path: path.stem)
def test_a_dag_says_what_its_golden_file_says(dags: dict[str, DAG], file: Path) -> None:
    assert sentence(dags[file.stem]) == file.read_text(), f"if the change is meant, make {file} say this"
