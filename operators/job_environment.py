"""What a job finds in its environment: the addresses and credentials of Airflow's Connections, and nothing of Airflow's own.

What no Connection holds (ROUNDTRIP_STORAGE_ROOT, the release database, the gateway) comes from the worker's environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from airflow.sdk import Connection


def _spark(connection: Connection) -> dict[str, str]:
    return {"SPARK_REMOTE": f"sc://{connection.host}:{connection.port}/;token={connection.password}"}


def _mlflow(connection: Connection) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": f"{connection.schema or 'http'}://{connection.host}:{connection.port}",
        "MLFLOW_TRACKING_USERNAME": str(connection.login),
        "MLFLOW_TRACKING_PASSWORD": str(connection.password),
    }


def _triton(connection: Connection) -> dict[str, str]:
    return {
        "ROUNDTRIP_TRITON_URL": f"{connection.host}:{connection.port}",
        "ROUNDTRIP_TRITON_ADMIN_KEY": str(connection.password),
        "ROUNDTRIP_TRITON_REPOSITORY": str(connection.extra_dejson["repository"]),
    }


def _aws(connection: Connection) -> dict[str, str]:
    endpoint, region = connection.extra_dejson.get("endpoint_url", ""), connection.extra_dejson["region_name"]
    return {
        "AWS_ACCESS_KEY_ID": str(connection.login),
        "AWS_SECRET_ACCESS_KEY": str(connection.password),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    } | ({"AWS_ENDPOINT_URL": endpoint, "MLFLOW_S3_ENDPOINT_URL": endpoint} if endpoint else {})


_AIRFLOWS = ("AIRFLOW", "SPARK_REMOTE")

_VARIABLES: Mapping[str, Callable[[Connection], dict[str, str]]] = {
    "aws_default": _aws,
    "mlflow_default": _mlflow,
    "spark_default": _spark,
    "triton_default": _triton,
}


def job_environment(connections: Iterable[str]) -> dict[str, str]:
    """This process's environment with what these Connections hold, and without Airflow's own.

    Airflow's database and signing keys are no job's business. Nor is SPARK_REMOTE, without its Connection: it lets its
    holder run code on the server. Raises AirflowNotFoundException for a Connection that is not defined.
    """
    variables = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(_AIRFLOWS)}
    for name in connections:
        variables |= _VARIABLES[name](Connection.get(name))
    return variables
