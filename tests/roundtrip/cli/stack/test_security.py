"""What the running stack shows to other users of the machine, and what it answers to callers without a credential."""

import dataclasses
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import psycopg
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import HOST, Stack
from roundtrip.cli.stack.processes import descendants, marked
from roundtrip.cli.stack.records import recorded_processes

LISTENING = "0A"
GRPC_OFFSET = 10_000
"""Of SeaweedFS's gRPC ports from those of the same servers for HTTP."""


def status_of(method: str, url: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def services_of(stack: Stack) -> set[int]:
    return {pid for process in recorded_processes(stack) for pid in descendants(process.pid)}


def processes_of(stack: Stack) -> set[int]:
    """Those of the services and of the jobs that run just now."""
    return services_of(stack) | {process.pid for process in marked(stack.home)}


def secrets_in(content: bytes, stack: Stack) -> list[str]:
    return [name for name, value in dataclasses.asdict(stack.credentials).items() if value.encode() in content]


def test_no_secret_is_in_the_arguments_of_a_process(whole_stack: Stack) -> None:
    shown = {pid: secrets_in(Path(f"/proc/{pid}/cmdline").read_bytes(), whole_stack) for pid in processes_of(whole_stack)}
    assert len(shown) > 10
    assert {pid: names for pid, names in shown.items() if names} == {}


def test_no_secret_is_in_a_log(whole_stack: Stack) -> None:
    logs = [path for path in whole_stack.home.glob("**/*.log") if "venv" not in path.parts]
    assert len(logs) > 5
    assert {path.name: names for path in logs if (names := secrets_in(path.read_bytes(), whole_stack))} == {}


def test_files_with_a_secret_are_readable_by_their_owner_only(whole_stack: Stack) -> None:
    folders = (whole_stack.home, whole_stack.run, whole_stack.home / "secrets", whole_stack.home / "spark", whole_stack.home / "airflow")
    files = [path for folder in folders for path in folder.glob("*") if path.is_file()]
    holding = {path: path.stat().st_mode & 0o077 for path in files if secrets_in(path.read_bytes(), whole_stack)}
    assert whole_stack.home / "env" in holding
    assert {path: oct(mode) for path, mode in holding.items() if mode and path.parent.name != "secrets"} == {}
    assert (whole_stack.home / "secrets").stat().st_mode & 0o077 == 0


def test_every_service_is_open_to_this_machine_only(whole_stack: Stack) -> None:
    own = {str(link) for pid in services_of(whole_stack) for link in sockets_of(pid)}
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    listening = [line[1] for line in lines if line[3] == LISTENING and f"socket:[{line[9]}]" in own]
    assert len(listening) >= len(whole_stack.ports)
    loopback = ("0100007F:", "00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:")
    assert [address for address in listening if not address.startswith(loopback)] == []


def sockets_of(pid: int) -> list[Path]:
    try:
        return [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
    except OSError:
        return []


@pytest.mark.parametrize(
    ("port", "request_line", "refusal"),
    [
        ("s3", "GET /roundtrip?list-type=2", 403),
        ("s3_volume", "GET /1,01637037d6", 401),
        ("s3_filer", "GET /buckets/roundtrip/", 404),
        ("s3_master", "GET /col/delete?collection=nothing", 404),
        ("mlflow", "GET /api/2.0/mlflow/experiments/search?max_results=1", 401),
        ("airflow", "GET /api/v2/dags", 401),
        ("triton_http", "POST /v2/repository/index", 403),
        ("triton_http", "POST /v2/models/flight_eta/infer", 403),
        ("gateway", "POST /v1/models/flight_eta:predict", 401),
    ],
)
def test_a_caller_without_a_credential_is_refused(whole_stack: Stack, port: str, request_line: str, refusal: int) -> None:
    method, path = request_line.split()
    assert status_of(method, whole_stack.url(port) + path) == refusal


def test_postgres_refuses_another_password(whole_stack: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=HOST, port=whole_stack.ports["postgres"], user="roundtrip", password="guess", dbname="roundtrip")


def test_triton_loads_and_infers_nothing_without_the_admin_key(whole_stack: Stack) -> None:
    with grpc.insecure_channel(addresses(whole_stack)["ROUNDTRIP_TRITON_URL"]) as channel:
        triton = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="restricted"):
            triton.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(model_name="anything"), timeout=10)
        with pytest.raises(grpc.RpcError, match="restricted"):
            triton.ModelInfer(service_pb2.ModelInferRequest(model_name="anything"), timeout=10)


@pytest.mark.parametrize(
    ("port", "method"),
    [("s3_filer", "filer_pb.SeaweedFiler/GetFilerConfiguration"), ("s3_master", "master_pb.Seaweed/GetMasterConfiguration")],
)
def test_seaweedfs_answers_its_own_parts_only(whole_stack: Stack, port: str, method: str) -> None:
    address, pem = f"{HOST}:{whole_stack.ports[port] + GRPC_OFFSET}", (whole_stack.home / "secrets" / "s3_inner.pem").read_bytes()
    named = [("grpc.ssl_target_name_override", "roundtrip")]
    own, strangers = grpc.ssl_channel_credentials(pem, pem, pem), grpc.ssl_channel_credentials(pem)
    with grpc.secure_channel(address, own, named) as channel:
        assert channel.unary_unary(f"/{method}")(b"", timeout=10)
    for channel in (grpc.secure_channel(address, strangers, named), grpc.insecure_channel(address)):
        with channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(f"/{method}")(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_spark_refuses_another_token(whole_stack: Stack) -> None:
    """In a process of its own: the refused session would stay this one's active session, which pyspark and MLflow then ask."""
    session = f"SparkSession.builder.remote('sc://localhost:{whole_stack.ports['spark']}/;token=guess').create()"
    script = f"from pyspark.sql.connect.session import SparkSession; {session}.range(1).count()"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    assert "Invalid authentication token" in finished.stderr
