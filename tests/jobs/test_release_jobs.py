"""The release jobs one after the other as the DAG runs them: killed and run again, refused, rolled back."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow import MlflowClient

from jobs import (
    canary_release,
    compile_model,
    probe_release,
    promote_release,
    roll_back_release,
    score_batch,
    shadow_release,
    stage_release,
)
from roundtrip.cli.stack import triton
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.contracts.use_cases import Rollout
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.mlflow_registry import GATE_TAG, PASSED
from roundtrip.serving.release import read_release
from roundtrip.serving.scoring import CONTRACT_FILE
from roundtrip.serving.triton_client import TritonClient
from roundtrip.training.ensemble import Ensemble
from tests.roundtrip.serving.conftest import home, release_schema  # noqa: F401
from tests.roundtrip.serving.gateway_process import KEY, wait_until
from tests.roundtrip.serving.tiny_version import tiny_network
from use_cases import use_case_named

FLIGHTS = use_case_named("flight_eta")
VOCABULARY = {entry.name: ["AA", "UA", "WN"] for entry in FLIGHTS.categories}
CONTRACT = ModelContract.of(FLIGHTS, VOCABULARY)
WITHOUT_TRAFFIC = replace(FLIGHTS, rollout=Rollout(shadow_requests=0, canary_shares=()))
"""Shadow and canary are tested where there is traffic: tests/roundtrip/serving/test_rollout.py."""
RELEASE = (stage_release.main, probe_release.main, shadow_release.main, canary_release.main, promote_release.main)
Job = Callable[[Sequence[str]], None]


@pytest.fixture
def tables(home: Path) -> Snapshot:  # noqa: F811
    """Features and outcomes of one month, 60 flights, in the store of the test."""
    dice, start = random.Random(1), datetime(2013, 1, 1, tzinfo=UTC)
    rows: list[dict[str, object]] = [
        {entry.name: dice.choice(VOCABULARY[entry.name]) for entry in FLIGHTS.categories}
        | {entry.name: dice.uniform(entry.minimum or 0, entry.maximum or 1) for entry in FLIGHTS.numbers}
        | {"flight_id": f"F{place}", FLIGHTS.prediction_time: start + timedelta(hours=12 * place), "event_month": "2013-01"}
        for place in range(60)
    ]
    outcomes = [{"flight_id": f"F{place}", FLIGHTS.label: float(place), "event_month": "2013-01"} for place in range(60)]
    for name, content in ((FLIGHTS.features_table, rows), (FLIGHTS.outcomes_table, outcomes)):
        uri = f"{settings().storage_root}/lakehouse/{FLIGHTS.name}/{name}"
        Path(uri.removeprefix("file://")).mkdir(parents=True)
        write_deltalake(uri, pa.Table.from_pylist(content), partition_by=["event_month"])
    return Snapshot(
        use_case=FLIGHTS.name,
        partitions=("2013-01",),
        features_version=0,
        outcomes_version=0,
        rows=60,
        held_out_from=(start + timedelta(days=20)).isoformat(),
    )


@pytest.fixture
def registered(tables: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], RunFolder]:
    """Gives a run folder in which a model of that seed was trained, evaluated and registered (in an MLflow of the test's own)."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = MlflowClient(tracking_uri=settings().mlflow_url, registry_uri=settings().mlflow_url)
    client.create_registered_model(FLIGHTS.name)

    def register(seed: int) -> RunFolder:
        folder, model = RunFolder(f"file://{tmp_path}/runs/{seed}"), tmp_path / f"model-{seed}"
        Ensemble([tiny_network(CONTRACT, seed=seed)]).save(model)
        (model / CONTRACT_FILE).write_bytes(CONTRACT.to_json())
        storage.upload_folder(model, folder.file("model"))
        storage.write_bytes(folder.file("snapshot.json"), tables.to_json())
        storage.write_bytes(folder.file("MODEL_CARD.md"), b"# A card")
        version = client.create_model_version(FLIGHTS.name, source=folder.file("model"), tags={GATE_TAG: PASSED}).version
        skill = {"skill": 0.2, "skill_low": 0.1, "skill_high": 0.3}
        folder.write_receipt(Receipt("evaluate_model", FLIGHTS.name, figures={"candidate": {**skill}}))
        folder.write_receipt(Receipt("register_model", FLIGHTS.name, figures={"version": str(version)}))
        return folder

    return register


@pytest.fixture
def serving(release_schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    """A Triton and a gateway of the test's own: the jobs run under the name of a declared use case, which the stack may be serving."""
    for job in (shadow_release, canary_release):
        monkeypatch.setattr(job, "use_case_named", {FLIGHTS.name: WITHOUT_TRAFFIC}.__getitem__)
    names = ("triton_http", "triton_grpc", "triton_metrics", "gateway")
    own = Stack(home=tmp_path / "own", ports=dict(zip(names, _free_ports(len(names)), strict=True)))
    own.home.mkdir()
    server = triton.command(own)
    monkeypatch.setenv("ROUNDTRIP_TRITON_URL", f"127.0.0.1:{own.ports['triton_grpc']}")
    monkeypatch.setenv("ROUNDTRIP_TRITON_HTTP_URL", own.url("triton_http"))
    monkeypatch.setenv("ROUNDTRIP_TRITON_ADMIN_KEY", own.credentials.triton_admin_key)
    monkeypatch.setenv("ROUNDTRIP_TRITON_REPOSITORY", str(own.home / "triton_models"))
    monkeypatch.setenv("ROUNDTRIP_GATEWAY_URL", own.url("gateway"))
    with _running(server.argv, os.environ | server.environment), _running([sys.executable, "-m", "roundtrip.serving.gateway"], os.environ):
        wait_until(lambda: _answers(f"{own.url('triton_http')}/v2/health/live"), "Triton is live")
        wait_until(lambda: _answers(f"{own.url('gateway')}/v2/health/ready"), "the gateway is ready")
        yield
    triton.remove_leftovers(own)


def run(job: Job, folder: RunFolder, *more: str) -> None:
    job(["--use-case", FLIGHTS.name, "--run-dir", folder.uri, *more])


@pytest.mark.usefixtures("home")
def test_a_version_is_compiled_once_and_checked_again_when_the_job_is_run_again(registered: Callable[[int], RunFolder]) -> None:
    folder = registered(1)
    run(compile_model.main, folder)
    first = folder.receipt("compile_model").figures
    run(compile_model.main, folder)
    again = folder.receipt("compile_model").figures
    assert first | {"timings": []} == again | {"timings": []}
    assert (first["engine"], first["version"]) == ("onnxruntime", "1")
    stored = {Path(entry.uri).name for entry in storage.list_objects(f"{settings().storage_root}/models/{FLIGHTS.name}/1/")}
    made = {"model.onnx", "contract.json", "engine.json", "config.pbtxt"}
    assert stored == made | {"snapshot.json", "evaluation.json", "MODEL_CARD.md", "manifest.json"}


def test_a_compiled_model_that_is_not_the_trained_one_is_refused_for_good(registered: Callable[[int], RunFolder], tmp_path: Path) -> None:
    folder = registered(1)
    run(compile_model.main, folder)
    Ensemble([tiny_network(CONTRACT, seed=2)]).save(tmp_path / "another")
    storage.upload_folder(tmp_path / "another", folder.file("model"))
    with pytest.raises(SystemExit) as ended:
        run(compile_model.main, folder)
    assert ended.value.code == 20
    failed = Receipt.from_json(storage.read_bytes(folder.receipt_uri("compile_model")))
    assert failed.reason.startswith("ParityFailed: ")


@pytest.mark.stack
def test_a_release_moves_the_gateway_and_is_done_once_however_often_its_jobs_run(
    registered: Callable[[int], RunFolder], serving: None
) -> None:
    first, second = registered(1), registered(2)
    for folder in (first, second):
        run(compile_model.main, folder)
        for job in RELEASE:
            run(job, folder)
    promoted = second.receipt("promote_release").figures
    assert (promoted["version"], promoted["previous_version"]) == ("2", "1")
    assert second.receipt("probe_release").figures["probe_rows"] == 20
    before = read_release(FLIGHTS.name)
    for job in RELEASE:
        run(job, second)
    assert read_release(FLIGHTS.name) == before
    assert second.receipt("promote_release").figures == promoted
    assert served() == "2"
    assert _champion() == "2"
    run(roll_back_release.main, second)
    assert served() == "1"
    assert _champion() == "1"


@pytest.mark.stack
def test_a_probe_that_fails_promotes_nothing_and_its_roll_back_leaves_the_live_version(
    registered: Callable[[int], RunFolder], serving: None
) -> None:
    live, candidate = registered(1), registered(2)
    for folder in (live, candidate):
        run(compile_model.main, folder)
    for job in RELEASE:
        run(job, live)
    run(stage_release.main, candidate)
    model = read_release(FLIGHTS.name).candidate
    assert model is not None
    with TritonClient(settings().triton_url, settings().triton_admin_key) as client:
        client.unload(model.triton_model)
    with pytest.raises(SystemExit) as ended:
        run(probe_release.main, candidate)
    assert ended.value.code == 1
    with pytest.raises(SystemExit) as ended:
        run(promote_release.main, candidate)
    assert ended.value.code == 20
    run(roll_back_release.main, candidate)
    assert served() == "1"
    assert candidate.receipt("roll_back_release").figures["live_version"] == "1"
    assert read_release(FLIGHTS.name).candidate is None


@pytest.mark.stack
def test_a_partition_is_scored_with_the_live_version_and_not_at_all_without_one(
    registered: Callable[[int], RunFolder], serving: None
) -> None:
    folder = registered(1)
    with pytest.raises(SystemExit) as ended:
        run(score_batch.main, folder, "--partition", "2013-01")
    assert ended.value.code == 10
    run(compile_model.main, folder)
    for job in RELEASE:
        run(job, folder)
    run(score_batch.main, folder, "--partition", "2013-01")
    receipt = folder.receipt("score_batch")
    assert (receipt.figures["version"], receipt.figures["rows"], receipt.figures["checks_warned"]) == ("1", 60, [])
    assert b"<h1>flight_eta.predictions 2013-01</h1>" in storage.read_bytes(receipt.links["Checks"])


def served() -> str | None:
    """The version that the gateway answers with."""
    answer = httpx.get(f"{settings().gateway_url}/v2/models/{FLIGHTS.name}", headers={"X-API-Key": KEY})
    return str(answer.json()["versions"][0]) if answer.is_success else None


def _champion() -> str:
    return str(MlflowClient(registry_uri=settings().mlflow_url).get_model_version_by_alias(FLIGHTS.name, "champion").version)


@contextmanager
def _running(argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """A process in a session of its own, ended with all that it started."""
    process = subprocess.Popen(argv, cwd=REPOSITORY, env=environment, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
