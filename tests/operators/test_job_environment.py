import json

import pytest

from operators.job_environment import job_environment
from tests.operators.conftest import CONNECTIONS


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CONNECTIONS.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))


def test_a_connection_overrides_what_the_worker_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://old")
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", "s3://bucket")
    variables = job_environment(["aws_default", "mlflow_default", "triton_default", "spark_default"])
    expected = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_ENDPOINT_URL": "http://s3",
        "AWS_REGION": "r",
        "MLFLOW_S3_ENDPOINT_URL": "http://s3",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_TRACKING_USERNAME": "user",
        "ROUNDTRIP_TRITON_URL": "triton:8001",
        "ROUNDTRIP_TRITON_REPOSITORY": "/models",
        "ROUNDTRIP_STORAGE_ROOT": "s3://bucket",
        "SPARK_REMOTE": "sc://localhost:15002/;token=token",
    }
    assert variables | expected == variables


def test_a_job_gets_nothing_of_airflow_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "_AIRFLOW_PROCESS_CONTEXT", "__AIRFLOW_SUPERVISOR_FD"):
        monkeypatch.setenv(name, "secret")
    assert not [name for name in job_environment(["aws_default"]) if "AIRFLOW" in name and not name.startswith("ROUNDTRIP_")]


def test_spark_s_address_stays_with_the_jobs_that_have_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://localhost:1/;token=inherited")
    assert "SPARK_REMOTE" not in job_environment(["aws_default"])
