"""What processes of the stack, jobs and a shell get to know: addresses and credentials as environment variables."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from roundtrip.cli.stack.credentials import write_private
from roundtrip.cli.stack.layout import HOST, Stack, program, repository_path
from roundtrip.cli.stack.processes import HOME_MARK

S3_REGION = "us-east-1"
AIRFLOW_USER = MLFLOW_USER = "admin"

_FOREIGN = ("AIRFLOW", "AWS_", "MLFLOW_", "PYSPARK_", "PYTHON", "ROUNDTRIP_", "S3_", "SPARK_", "SUPERVISOR_", "VIRTUAL_ENV")
"""Variables of the calling shell that would steer a service elsewhere. PYTHONDONTWRITEBYTECODE would make each process recompile."""


def inherited(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The calling shell's environment (proxies, locale, devices) without what would steer a service elsewhere."""
    source = os.environ if environment is None else environment
    kept = {name: value for name, value in source.items() if not name.startswith(_FOREIGN)}
    return kept | {"PATH": f"{program('.').as_posix()}:{kept.get('PATH', '/usr/bin:/bin')}"}


def for_service(stack: Stack, service: str) -> dict[str, str]:
    """What each service starts from: a clean environment with the mark by which `down` finds its processes."""
    return inherited() | {
        HOME_MARK: str(stack.home),
        "ROUNDTRIP_HOME": str(stack.home),
        "ROUNDTRIP_SERVICE": service,
        "PYTHONFAULTHANDLER": "1",  # a crash in native code says in the log where it was
        "TMPDIR": str(temporary_folder(stack)),
    }


def temporary_folder(stack: Stack) -> Path:
    """For the services' temporary files and those of the jobs that they start."""
    folder = stack.home / "tmp"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def s3_access(stack: Stack) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": stack.url("s3"),
        "AWS_ACCESS_KEY_ID": stack.credentials.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": stack.credentials.s3_secret_key,
        "AWS_REGION": S3_REGION,
        "AWS_DEFAULT_REGION": S3_REGION,
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": stack.url("s3"),
    }


def database_url(stack: Stack, name: str, *, driver: str = "postgresql") -> str:
    """Address of one of the databases with its role's password; every database has a role of its own name."""
    password = getattr(stack.credentials, f"{name}_database_password")
    return f"{driver}://{name}:{password}@{HOST}:{stack.ports['postgres']}/{name}"


def addresses(stack: Stack) -> dict[str, str]:
    """Every variable of `roundtrip.contracts.settings`."""
    secret = stack.credentials
    return s3_access(stack) | {
        "ROUNDTRIP_HOME": str(stack.home),
        "ROUNDTRIP_STORAGE_ROOT": stack.storage_root,
        # `localhost`, not 127.0.0.1: with a token Spark Connect sends plain text only to that name.
        "SPARK_REMOTE": f"sc://localhost:{stack.ports['spark']}/;token={secret.spark_token}",
        "MLFLOW_TRACKING_URI": stack.url("mlflow"),
        "MLFLOW_TRACKING_USERNAME": MLFLOW_USER,
        "MLFLOW_TRACKING_PASSWORD": secret.mlflow_password,
        "ROUNDTRIP_DATABASE_URL": database_url(stack, "roundtrip"),
        "ROUNDTRIP_TRITON_URL": f"{HOST}:{stack.ports['triton_grpc']}",
        "ROUNDTRIP_TRITON_HTTP_URL": stack.url("triton_http"),
        "ROUNDTRIP_TRITON_ADMIN_KEY": secret.triton_admin_key,
        "ROUNDTRIP_TRITON_REPOSITORY": str(stack.home / "triton_models"),
        "ROUNDTRIP_GATEWAY_URL": stack.url("gateway"),
        "ROUNDTRIP_GATEWAY_KEY": secret.gateway_key,
        "ROUNDTRIP_AIRFLOW_URL": stack.url("airflow"),
        "ROUNDTRIP_AIRFLOW_USER": AIRFLOW_USER,
        "ROUNDTRIP_AIRFLOW_PASSWORD": secret.airflow_password,
    }


def airflow(stack: Stack) -> dict[str, str]:
    """Airflow's addresses and secrets; all else is in the repository's airflow.cfg."""
    secret = stack.credentials
    return {
        "AIRFLOW_HOME": str(stack.home / "airflow"),
        "AIRFLOW_CONFIG": str(repository_path("airflow.cfg")),
        "AIRFLOW__CORE__DAGS_FOLDER": str(repository_path("dags")),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(repository_path("plugins")),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{stack.url('airflow')}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": secret.airflow_fernet_key,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url(stack, "airflow", driver="postgresql+psycopg2"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database_url(stack, "airflow", driver="postgresql+asyncpg"),
        "AIRFLOW__API__BASE_URL": stack.url("airflow"),
        "AIRFLOW__API__SECRET_KEY": secret.airflow_session_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secret.airflow_jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(stack.home / "airflow" / "logs"),
        **connections(stack),
    }


def connections(stack: Stack) -> dict[str, str]:
    """Airflow's Connections, by which operators find the services."""
    secret = stack.credentials
    described = {
        "spark_default": {"conn_type": "spark_connect", "host": "localhost", "port": stack.ports["spark"], "password": secret.spark_token},
        "mlflow_default": {
            "conn_type": "http",
            "schema": "http",
            "host": HOST,
            "port": stack.ports["mlflow"],
            "login": MLFLOW_USER,
            "password": secret.mlflow_password,
        },
        "triton_default": {
            "conn_type": "grpc",
            "host": HOST,
            "port": stack.ports["triton_grpc"],
            "password": secret.triton_admin_key,
            "extra": {"repository": str(stack.home / "triton_models")},
        },
        "aws_default": {
            "conn_type": "aws",
            "login": secret.s3_access_key,
            "password": secret.s3_secret_key,
            "extra": {"endpoint_url": stack.url("s3"), "region_name": S3_REGION},
        },
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in described.items()}


def write_env_file(stack: Stack) -> None:
    """Write `<home>/env` (0600): `source` it, and every tool in the shell finds the services."""
    exported = addresses(stack) | airflow(stack)
    lines = [
        "# Written by `roundtrip up`: addresses and credentials of the embedded stack. Keep it to yourself.",
        "unset AWS_PROFILE AWS_SESSION_TOKEN PYTHONDONTWRITEBYTECODE",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(exported.items())),
        f'export PATH={shlex.quote(str(program(".")))}:"$PATH"',
    ]
    write_private(stack.home / "env", "\n".join(lines) + "\n")
