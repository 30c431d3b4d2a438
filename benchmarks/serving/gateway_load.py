"""What the gateway answers under load: Triton itself, the gateway as it is, and, with --before, the gateway of an earlier commit.

`make bench-gateway`, which brings up gateway and triton. A version of flight_eta's contract and declared network (random weights: they
cost the same) is released under a name, in a database schema and under a storage root of the bench's own, which it removes. Every round
measures all targets at each concurrency and at a steady rate, in an order that turns; the load comes from a process of its own
(load_client.py), whose CPU is stated, for it shares the cores; the load average tells what else did. The result is committed as
benchmarks/results/gateway_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import numpy as np
import psycopg
import torch
import tritonclient.http
from torch import nn
from tritonclient.utils import np_to_triton_dtype

from benchmarks.keep_result import keep_result
from benchmarks.peak_memory import peak_mib
from benchmarks.serving.load_client import Load, Measured
from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import Stack, load_stack
from roundtrip.contracts import storage
from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.registry.version_folder import publish
from roundtrip.serving.compile import build_version
from roundtrip.serving.release import ReleasedVersion
from roundtrip.serving.release_steps import promote, stage, wait_for_gateway
from roundtrip.serving.tensors import tensors_of
from roundtrip.serving.triton_client import ADMIN_HEADER, TritonClient, infer_request
from roundtrip.serving.triton_repository import remove_version, sole_writer
from roundtrip.training.network import Network, NetworkShape
from use_cases.flight_eta.declaration import USE_CASE

CONCURRENCIES = (1, 8, 32)
STEADY_RATE = 200.0
STEADY_CONNECTIONS = 32
ROWS = 500
"""Different rows, sent in turn."""
TRITON = ("Triton, gRPC", "Triton, HTTP")
GOALS = {"share of Triton at concurrency 32": 0.65, "p95 at 200 requests a second [ms]": 5.0}
HEAD_SPREAD = 10.0
PLACES = {"carrier": 16, "origin": 3, "destination": 105, "manufacturer": 35}
"""Category → number of its values, as in the year's flights."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.gateway_load", description=__doc__)
    parser.add_argument("--before", metavar="COMMIT", help="measure the gateway of this commit too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    request = parser.parse_args(argv)
    stack = load_stack()
    os.environ.update(addresses(stack))
    with ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
        kept.enter_context(own_state())
        contract, version = build(folder / "version")
        checkouts = {"gateway": REPOSITORY}
        if request.before:
            checkouts["gateway before"] = kept.enter_context(checked_out(request.before))
        gateways = {name: kept.enter_context(running_gateway(checkout, folder / name)) for name, checkout in checkouts.items()}
        released = kept.enter_context(released_version(contract, version, [url for url, _ in gateways.values()]))
        rows = random_rows(contract)
        targets = triton_targets(stack, contract, released, rows) | {
            name: gateway_target(url, contract, rows) for name, (url, _) in gateways.items()
        }
        processes = {name: process.pid for name, (_, process) in gateways.items()}
        rounds = [measure_round(targets, processes, request.seconds, backwards=number % 2 == 1) for number in range(request.rounds)]
        memory_mib = {name: round(peak_mib(process.pid)) for name, (_, process) in gateways.items()}
    keep(rounds, memory_mib, before=request.before)


def build(folder: Path) -> tuple[ModelContract, Path]:
    """A version of flight_eta's contract and declared recipe with random weights, under a name of its own."""
    contract = bench_contract()
    folder.mkdir()
    build_version(random_network(contract, seed=1), contract, folder)
    return contract, folder


def bench_contract() -> ModelContract:
    """flight_eta's, under a name of its own."""
    named = replace(USE_CASE, name=f"bench_{secrets.token_hex(4)}")
    return ModelContract.of(named, {name: [f"{name[:2]}{number}" for number in range(count)] for name, count in PLACES.items()})


def random_network(contract: ModelContract, *, seed: int) -> Network:
    """Random weights, the head's too: networks of different seeds give every row different answers."""
    torch.manual_seed(seed)
    network = Network(NetworkShape.of(contract, USE_CASE.recipe)).eval()
    network.minimum.copy_(torch.tensor([entry.minimum or 0.0 for entry in contract.numbers]))
    network.maximum.copy_(torch.tensor([entry.maximum or 0.0 for entry in contract.numbers]))
    network.typical.copy_((network.minimum + network.maximum) / 2)
    steps = torch.linspace(0, 1, network.edges.shape[1])
    network.edges.copy_(network.minimum[:, None] + (network.maximum - network.minimum)[:, None] * steps)
    nn.init.normal_(network.head.weight, std=HEAD_SPREAD)
    return network


def random_rows(contract: ModelContract) -> list[dict[str, Value]]:
    """Rows within the contract's ranges, one in ten optional values missing."""
    numbers = np.random.default_rng(1)

    def value(name: str) -> Value:
        entry = next(entry for entry in contract.inputs if entry.name == name)
        if entry.optional and numbers.random() < 0.1:
            return None
        if entry.kind == "category":
            return str(numbers.choice(contract.vocabulary[name]))
        return round(float(numbers.uniform(entry.minimum or 0.0, entry.maximum or 0.0)), 1)

    return [{entry.name: value(entry.name) for entry in contract.inputs} for _ in range(ROWS)]


def gateway_target(url: str, contract: ModelContract, rows: Sequence[dict[str, Value]]) -> Load:
    bodies = [json.dumps({"instances": [row]}).encode() for row in rows]
    return load_of(f"{url}/v1/models/{contract.use_case}:predict", bodies, {"X-API-Key": settings().gateway_key})


def triton_targets(stack: Stack, contract: ModelContract, released: ReleasedVersion, rows: Sequence[dict[str, Value]]) -> dict[str, Load]:
    """Triton asked for the same rows, encoded already: over gRPC, and over HTTP with binary tensors."""
    encoded = [tensors_of(*contract.encode({name: [value] for name, value in row.items()})) for row in rows]
    over_grpc = [infer_request(released.triton_model, released.version, tensors).SerializeToString() for tensors in encoded]
    over_http, json_sizes = [], set()
    for tensors in encoded:
        inputs = [tritonclient.http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)) for name, array in tensors.items()]
        for tensor in inputs:
            tensor.set_data_from_numpy(tensors[tensor.name()])
        body, json_size = tritonclient.http.InferenceServerClient.generate_request_body(inputs)
        over_http.append(body)
        json_sizes.add(json_size)
    (json_size,) = json_sizes
    headers = {"Inference-Header-Content-Length": str(json_size), "admin-key": settings().triton_admin_key}
    path = f"/v2/models/{released.triton_model}/versions/{released.version}/infer"
    return {
        TRITON[0]: load_of(f"grpc://{settings().triton_url}", over_grpc, {ADMIN_HEADER: settings().triton_admin_key}),
        TRITON[1]: load_of(f"{stack.url('triton_http')}{path}", over_http, headers),
    }


def load_of(url: str, bodies: Sequence[bytes], headers: dict[str, str]) -> Load:
    return Load(url=url, headers=headers, bodies=[base64.b64encode(body).decode() for body in bodies], concurrency=1, seconds=1)


class MeasuredTarget(Measured, kw_only=True):
    """What the client measured, and what the server took: that tells more where other work takes part of the cores."""

    server_cpu_ms_per_request: float | None
    """Of a gateway's process."""


def measure_round(
    targets: dict[str, Load], processes: dict[str, int], seconds: float, *, backwards: bool
) -> dict[str, dict[str, MeasuredTarget]]:
    """Every target at every concurrency and at the steady rate: what is compared is measured one right after the other."""
    settings_of_load: dict[str, dict[str, int | float]] = {f"concurrency {count}": {"concurrency": count} for count in CONCURRENCIES}
    settings_of_load[f"{STEADY_RATE:g} a second"] = {"concurrency": STEADY_CONNECTIONS, "rate": STEADY_RATE}
    measured: dict[str, dict[str, MeasuredTarget]] = {name: {} for name in targets}
    for shape, asked in settings_of_load.items():
        for name in list(targets)[:: -1 if backwards else 1]:
            load = msgspec.structs.replace(targets[name], seconds=seconds, **asked)
            measured[name][shape] = found = run_client(load, processes.get(name))
            print(
                f"{shape}, {name}: {found.requests_per_s:.0f} req/s, p50 {found.p50_ms:.2f}, p95 {found.p95_ms:.2f}, "
                f"p99 {found.p99_ms:.2f} ms, {found.failed} failed, client {found.client_cores:.2f} cores"
                + (f", server {found.server_cpu_ms_per_request:.3f} CPU ms a request" if found.server_cpu_ms_per_request else ""),
                flush=True,
            )
    return measured


def run_client(load: Load, server: int | None) -> MeasuredTarget:
    """Measure in a process of its own; `server`: the process whose CPU time is read before and after."""
    cpu_before = cpu_s(server) if server is not None else 0.0
    command = [sys.executable, "-m", "benchmarks.serving.load_client"]
    finished = subprocess.run(command, input=msgspec.json.encode(load), capture_output=True, cwd=REPOSITORY, check=False)
    if finished.returncode:
        sys.exit(f"the load generator failed: {finished.stderr.decode()[-1000:]}")
    found = msgspec.json.decode(finished.stdout, type=Measured)
    taken = round(1000 * (cpu_s(server) - cpu_before) / found.sent, 3) if server is not None else None
    return MeasuredTarget(**msgspec.structs.asdict(found), server_cpu_ms_per_request=taken)


def cpu_s(pid: int) -> float:
    """CPU seconds of the process until now."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def own_state() -> Iterator[None]:
    """A database schema and a storage root of the bench's own, in this process's environment; both are removed afterwards."""
    name, database = f"bench_{secrets.token_hex(6)}", settings().database_url
    os.environ["ROUNDTRIP_STORAGE_ROOT"] = root = f"{settings().storage_root}/benchmarks/{name}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        os.environ["ROUNDTRIP_DATABASE_URL"] = f"{database}?options=-csearch_path%3D{name}"
        try:
            yield
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")
            for found in list(storage.list_objects(f"{root}/")):
                storage.delete(found.uri)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A work tree of the commit."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        subprocess.run(["git", "worktree", "add", "--detach", "--quiet", str(place), commit], cwd=REPOSITORY, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=REPOSITORY, check=True)


@contextmanager
def running_gateway(checkout: Path, home: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A gateway of the checkout's code, with a home and a port of its own; its address and process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environment = os.environ | {"ROUNDTRIP_GATEWAY_URL": url, "ROUNDTRIP_HOME": str(home)}
    with subprocess.Popen([sys.executable, "-m", "roundtrip.serving.gateway"], cwd=checkout, env=environment) as process:
        try:
            deadline = time.monotonic() + 60
            while not _is_ready(url):
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"the gateway of {checkout} does not get ready: its log is above.")
                time.sleep(0.2)
            yield url, process
        finally:
            process.send_signal(signal.SIGTERM)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready").is_success
    except httpx.TransportError:
        return False


@contextmanager
def released_version(contract: ModelContract, folder: Path, urls: Sequence[str]) -> Iterator[ReleasedVersion]:
    """Released to every gateway; taken from Triton afterwards."""
    name = contract.use_case
    staged = stage(name, "1", digest=publish(folder, name, "1"), why="benchmark")
    assert staged.candidate is not None  # it was just staged
    release = promote(name, "1", expected_generation=staged.generation, why="benchmark")
    try:
        for url in urls:
            os.environ["ROUNDTRIP_GATEWAY_URL"] = url
            wait_for_gateway(release)
        yield staged.candidate
    finally:
        repository = Path(settings().triton_repository)
        with sole_writer(repository), TritonClient(settings().triton_url, settings().triton_admin_key) as triton:
            remove_version(repository, staged.candidate.triton_model, "1")
            triton.unload(staged.candidate.triton_model)


def keep(rounds: Sequence[dict[str, dict[str, MeasuredTarget]]], memory_mib: dict[str, int], *, before: str | None) -> None:
    """Print the medians beside the goals and write the result file."""
    medians = {name: {shape: median_of([one[name][shape] for one in rounds]) for shape in shapes} for name, shapes in rounds[0].items()}
    crowded = f"concurrency {CONCURRENCIES[-1]}"
    answered = medians["gateway"][crowded].requests_per_s
    reached = {
        **{f"share of {name} at {crowded}": round(answered / medians[name][crowded].requests_per_s, 3) for name in TRITON},
        f"p95 at {STEADY_RATE:g} requests a second [ms]": medians["gateway"][f"{STEADY_RATE:g} a second"].p95_ms,
    }
    result = {
        "what": "one row a request, medians of the rounds; Triton is sent rows that are encoded already",
        "load_average": os.getloadavg(), "before": before, "goals": GOALS, "reached": reached, "peak_mib": memory_mib,
        "medians": msgspec.to_builtins(medians), "rounds": msgspec.to_builtins(list(rounds)),
    }  # fmt: skip
    print(f"{reached} (goals {GOALS}); kept as {keep_result('gateway', result)}")


def median_of(found: Sequence[MeasuredTarget]) -> MeasuredTarget:
    """Figure by figure; what is counted is added up."""
    counts = {name: sum(getattr(one, name) for one in found) for name in ("sent", "requests", "failed")}
    taken = [one.server_cpu_ms_per_request for one in found if one.server_cpu_ms_per_request is not None]
    figures = {
        name: round(statistics.median(getattr(one, name) for one in found), 4) for name in Measured.__struct_fields__ if name not in counts
    }
    return MeasuredTarget(**counts, **figures, server_cpu_ms_per_request=statistics.median(taken) if taken else None)


if __name__ == "__main__":
    main()
