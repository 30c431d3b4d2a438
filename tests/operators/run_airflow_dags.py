"""Runs the DAGs of airflow_dags/ in an Airflow of its own (SQLite, in AIRFLOW_HOME) and prints as JSON what became of their tasks.

A process of its own: Airflow reads its configuration once, and the tests' process may be set up for the stack's.
"""

from __future__ import annotations

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select


def outcome(dag: DAG) -> dict[str, object]:
    run = dag.test()
    with create_session() as session:
        columns = select(AssetModel.name, AssetEvent.partition_key).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        events = sorted(list(row) for row in session.execute(columns.where(AssetEvent.source_dag_id == dag.dag_id)))
    tasks = {f"{task.task_id}[{task.map_index}]": described(task) for task in run.get_task_instances()}
    return {"state": run.state, "tasks": tasks, "events": events}


def described(task: TaskInstance) -> dict[str, object]:
    def pull(key: str) -> object:
        return task.xcom_pull(task_ids=task.task_id, key=key, map_indexes=task.map_index)

    links = {title: pull(f"_link_{title}") for title in ("use_case", "receipt", "mlflow_run", "checks")}
    return {"state": task.state, "tries": task.try_number, "label": task.rendered_map_index, "xcom": pull("return_value"), "links": links}


if __name__ == "__main__":
    initdb()
    bag = DagBag(sys.argv[1])
    assert not bag.import_errors, bag.import_errors
    with open(sys.argv[2], "w") as file:  # noqa: PTH123
        json.dump({dag_id: outcome(dag) for dag_id, dag in sorted(bag.dags.items())}, file)
