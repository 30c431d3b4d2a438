import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import pytest

from tests.operators.receivers import MailServer, Webhook, connections, receiving


class Task(TypedDict):
    state: str
    tries: int
    label: str | None
    xcom: dict[str, str | int]
    links: dict[str, str]


class Run(TypedDict):
    """What became of a run: its state, its tasks by `<task id>[<map index>]`, its asset events as (asset, partition)."""

    state: str
    tasks: dict[str, Task]
    events: list[list[str]]


Ran = dict[str, Run]

CONNECTIONS = {
    "aws_default": {"conn_type": "aws", "login": "key", "password": "secret", "extra": {"endpoint_url": "http://s3", "region_name": "r"}},
    "mlflow_default": {"conn_type": "http", "host": "mlflow", "port": 5000, "login": "user", "password": "secret"},
    "triton_default": {"conn_type": "grpc", "host": "triton", "port": 8001, "password": "secret", "extra": {"repository": "/models"}},
    "spark_default": {"conn_type": "spark_connect", "host": "localhost", "port": 15002, "password": "token"},
}


def airflow_of_its_own(home: Path, more: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """An environment for an Airflow that has nothing to do with the stack's: SQLite, local files, Connections to nowhere."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ROUNDTRIP_"))}
    return inherited | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "airflow_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "ROUNDTRIP_HOME": str(home / "roundtrip"),
        "ROUNDTRIP_STORAGE_ROOT": f"file://{home}/storage",
        "ROUNDTRIP_AIRFLOW_URL": "http://airflow",
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in {**CONNECTIONS, **more}.items()},
    }  # fmt: skip


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="session")
def received() -> Iterator[tuple[Webhook, MailServer]]:
    """Where the alerts of these DAGs go."""
    with receiving() as servers:
        yield servers


@pytest.fixture(scope="session")
def ran(airflow_home: Path, received: tuple[Webhook, MailServer]) -> Ran:
    """What became of the runs of the DAGs in airflow_dags/, by DAG id. Takes about 15 s, once."""
    outcome = airflow_home / "outcome.json"
    with (airflow_home / "log").open("w") as log:
        finished = subprocess.run(
            [sys.executable, "-m", "tests.operators.run_airflow_dags", str(Path(__file__).parent / "airflow_dags"), str(outcome)],
            env=airflow_of_its_own(airflow_home, connections(*received)), stdout=log, stderr=log, check=False,
        )  # fmt: skip
    assert finished.returncode == 0, (airflow_home / "log").read_text()[-4000:]
    return json.loads(outcome.read_text())
