"""Is a service ready? Each probe asks it to do real work; it returns when it did, and raises ServiceUnavailable with what it got."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import TYPE_CHECKING

from roundtrip.cli.stack.environment import MLFLOW_USER, addresses, s3_access
from roundtrip.cli.stack.layout import BUCKET, HOST, Stack
from roundtrip.contracts.errors import ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TIMEOUT_S = 10.0


def postgres_answers(stack: Stack) -> None:
    import psycopg

    try:
        with psycopg.connect(
            host=HOST,
            port=stack.ports["postgres"],
            user="postgres",
            password=stack.credentials.postgres_password,
            connect_timeout=int(TIMEOUT_S),
        ) as connection:
            connection.execute("select 1")
    except psycopg.OperationalError as error:
        raise ServiceUnavailable(f"PostgreSQL: {str(error).strip()}") from error


def s3_lists_the_bucket(stack: Stack) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        s3_client(stack).list_objects_v2(Bucket=BUCKET, MaxKeys=1)
    except (BotoCoreError, ClientError) as error:
        raise ServiceUnavailable(f"S3: {error}") from error


def s3_client(stack: Stack) -> S3Client:
    """A client of the stack's own store, whatever AWS_* says in this process; it does not try again."""
    import boto3
    from botocore.config import Config

    access = s3_access(stack)
    return boto3.client(
        "s3",
        endpoint_url=access["AWS_ENDPOINT_URL"],
        aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
        region_name=access["AWS_REGION"],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S),
    )


def spark_counts(stack: Stack) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    _wait_for_port_without_spark(stack)
    session = None
    try:
        session = SparkSession.builder.remote(addresses(stack)["SPARK_REMOTE"]).create()
        session.client.set_retry_policies([DefaultPolicy(max_retries=1, initial_backoff=200)])
        session.range(1).count()
    except PySparkException as error:
        raise ServiceUnavailable(f"Spark Connect: {error}") from error
    finally:
        if session is not None:
            session.stop()


def mlflow_searches(stack: Stack) -> None:
    credential = base64.b64encode(f"{MLFLOW_USER}:{stack.credentials.mlflow_password}".encode()).decode()
    _fetch(stack.ports["mlflow"], "/api/2.0/mlflow/experiments/search?max_results=1", {"Authorization": f"Basic {credential}"})


def triton_is_ready(stack: Stack) -> None:
    _fetch(stack.ports["triton_http"], "/v2/health/ready")


def gateway_is_live(stack: Stack) -> None:
    _fetch(stack.ports["gateway"], "/v2/health/live")


def airflow_api_answers(stack: Stack) -> None:
    health = _airflow_health(stack)
    if _part(health, "metadatabase").get("status") != "healthy":
        raise ServiceUnavailable(f"Airflow API: its metadata database is {_part(health, 'metadatabase').get('status')}")


def airflow_scheduler_beats(stack: Stack) -> None:
    _airflow_part_beats(stack, "scheduler", "latest_scheduler_heartbeat")


def airflow_dag_processor_beats(stack: Stack) -> None:
    _airflow_part_beats(stack, "dag_processor", "latest_dag_processor_heartbeat")


def airflow_triggerer_beats(stack: Stack) -> None:
    _airflow_part_beats(stack, "triggerer", "latest_triggerer_heartbeat")


def _fetch(port: int, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """What a GET answers; raises ServiceUnavailable unless that is 200. Without urllib, which loads all CA certificates for each call."""
    connection = HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        content = answer.read()
    except (HTTPException, OSError) as error:
        raise ServiceUnavailable(f"http://{HOST}:{port}{path}: {error}") from error
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise ServiceUnavailable(f"http://{HOST}:{port}{path}: {answer.status} {answer.reason}")
    return content


def _airflow_health(stack: Stack) -> dict[str, object]:
    return json.loads(_fetch(stack.ports["airflow"], "/api/v2/monitor/health"))  # type: ignore[no-any-return]


def _airflow_part_beats(stack: Stack, part: str, heartbeat: str) -> None:
    """Whether its last heartbeat is younger than 30 s; one from before a restart can be that young too, and passes."""
    status = _part(_airflow_health(stack), part)
    last = status.get(heartbeat)
    if status.get("status") != "healthy" or not isinstance(last, str):
        raise ServiceUnavailable(f"Airflow's {part} is {status.get('status')}")
    age = datetime.now(UTC) - datetime.fromisoformat(last)
    if age > timedelta(seconds=30):
        raise ServiceUnavailable(f"Airflow's {part} gave its last heartbeat {age.total_seconds():.0f} s ago")


def _part(health: dict[str, object], name: str) -> dict[str, object]:
    part = health.get(name)
    return part if isinstance(part, dict) else {}


def _wait_for_port_without_spark(stack: Stack) -> None:
    """A Connect client waits and logs retries for minutes on a closed port, so look first whether it is open."""
    import socket

    try:
        with socket.create_connection((HOST, stack.ports["spark"]), timeout=TIMEOUT_S):
            pass
    except OSError as error:
        raise ServiceUnavailable(f"Spark Connect: {error}") from error


os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
