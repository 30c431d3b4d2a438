"""Addresses and credentials, read from the environment once.

`roundtrip up` writes them to `.roundtrip/env` (0600); under Airflow the operators fill them from the Connections.
Fields named by another tool keep that tool's variable (AWS_*, MLFLOW_*, SPARK_REMOTE), so the tool finds them too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from roundtrip.contracts.errors import SettingMissing

REPOSITORY = Path(__file__).resolve().parents[2]


def _from(variable: str, *, secret: bool = False) -> str:
    return field(metadata={"variable": variable}, repr=not secret)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One frozen object a process; get it by `settings()`. Secrets stay out of its repr."""

    home: str = _from("ROUNDTRIP_HOME")
    """Folder of all local state (`.roundtrip`): environment, services' data, job logs, spools. All there is to delete."""
    storage_root: str = _from("ROUNDTRIP_STORAGE_ROOT")
    """URI under which tables, landing zone, run folders and model versions live: s3://bucket, or file:///folder in unit tests."""
    s3_endpoint: str = _from("AWS_ENDPOINT_URL")
    """Address of the S3 API, http://127.0.0.1:port. Empty for AWS itself."""
    s3_access_key: str = _from("AWS_ACCESS_KEY_ID")
    """S3 access key id."""
    s3_secret_key: str = _from("AWS_SECRET_ACCESS_KEY", secret=True)
    """S3 secret key."""
    s3_region: str = _from("AWS_REGION")
    """S3 region; SeaweedFS takes any, us-east-1 is what its clients expect."""
    spark_remote: str = _from("SPARK_REMOTE", secret=True)
    """Spark Connect address with its token: sc://localhost:port/;token=… . pyspark reads this variable itself."""
    mlflow_url: str = _from("MLFLOW_TRACKING_URI")
    """MLflow server, http://127.0.0.1:port."""
    mlflow_user: str = _from("MLFLOW_TRACKING_USERNAME")
    """MLflow user (basic auth)."""
    mlflow_password: str = _from("MLFLOW_TRACKING_PASSWORD", secret=True)
    """MLflow password (basic auth)."""
    database_url: str = _from("ROUNDTRIP_DATABASE_URL", secret=True)
    """PostgreSQL database of the release state, postgresql://user:password@host:port/name."""
    triton_url: str = _from("ROUNDTRIP_TRITON_URL")
    """Triton's gRPC address, 127.0.0.1:port (no scheme), by which jobs load models and ask them."""
    triton_http_url: str = _from("ROUNDTRIP_TRITON_HTTP_URL")
    """Triton's HTTP address, http://127.0.0.1:port, by which the gateway asks for predictions."""
    triton_admin_key: str = _from("ROUNDTRIP_TRITON_ADMIN_KEY", secret=True)
    """Key of Triton (gRPC header triton-grpc-protocol-admin-key, HTTP header admin-key)."""
    triton_repository: str = _from("ROUNDTRIP_TRITON_REPOSITORY")
    """Folder of Triton's model repository."""
    gateway_url: str = _from("ROUNDTRIP_GATEWAY_URL")
    """The gateway, http://127.0.0.1:port."""
    gateway_key: str = _from("ROUNDTRIP_GATEWAY_KEY", secret=True)
    """API key that the gateway accepts (header X-API-Key)."""
    airflow_url: str = _from("ROUNDTRIP_AIRFLOW_URL")
    """Airflow's API server, http://127.0.0.1:port."""
    airflow_user: str = _from("ROUNDTRIP_AIRFLOW_USER")
    """Airflow user made at set-up."""
    airflow_password: str = _from("ROUNDTRIP_AIRFLOW_PASSWORD", secret=True)
    """That user's password."""

    def __getattribute__(self, name: str) -> str:
        value = object.__getattribute__(self, name)
        if value is None:
            variable = type(self).__dataclass_fields__[name].metadata["variable"]
            raise SettingMissing(f"{variable} is not set: run `roundtrip up`, then `source .roundtrip/env` in this shell.")
        return value  # type: ignore[no-any-return]

    @property
    def home_path(self) -> Path:
        return Path(self.home)


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. One that is not set raises SettingMissing when it is read, not before.

    A unit test needs no service's address: only what a job really uses must be set.
    """
    values = dict(os.environ if environment is None else environment)
    values.setdefault("ROUNDTRIP_HOME", str(REPOSITORY / ".roundtrip"))
    return Settings(**{f.name: values.get(f.metadata["variable"]) for f in fields(Settings)})  # type: ignore[arg-type]
