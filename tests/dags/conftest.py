import os
from pathlib import Path

import pytest

from roundtrip.contracts.settings import REPOSITORY

os.environ.setdefault("AIRFLOW_HOME", str(REPOSITORY / ".roundtrip" / "airflow"))
os.environ.setdefault("AIRFLOW_CONFIG", str(REPOSITORY / "airflow.cfg"))

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

DAG_FILES = sorted(path for path in Path(REPOSITORY, "dags").glob("*.py") if path.name != "__init__.py")


@pytest.fixture(scope="session")
def dags() -> dict[str, DAG]:
    """Every DAG of the repository, by id."""
    bag = DagBag(str(REPOSITORY / "dags"))
    assert not bag.import_errors
    return dict(bag.dags)
