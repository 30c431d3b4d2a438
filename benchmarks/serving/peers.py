"""The gateway beside MLServer, BentoML, Ray Serve, `mlflow models serve` and FastAPI with pydantic, and beside Triton itself.

`make bench-serving`, which brings up gateway and triton and makes the peers' environments. All serve one graph, that of a version of
flight_eta's contract and declared network, on ONNX Runtime with one thread, and are asked for the same rows, one a request, in JSON: those
that take typed rows get them as the gateway does, MLServer and mlflow, which take tensors, get them encoded already. Each must give the
gateway's answer before it is measured. In every round each is started, measured at each concurrency and at a steady rate, and stopped, in
an order that turns; the gateway and Triton, which are up all the time, have their turns among them. The load comes from a process of its
own (load_client.py), whose CPU is stated, for it shares the cores. The result is committed as
benchmarks/results/serving_<hardware>_<date>.json.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import numpy as np

from benchmarks.keep_result import keep_result
from benchmarks.serving.gateway_load import (
    CONCURRENCIES,
    STEADY_CONNECTIONS,
    STEADY_RATE,
    MeasuredTarget,
    build,
    gateway_target,
    load_of,
    median_of,
    own_state,
    random_rows,
    released_version,
    run_client,
    running_gateway,
    triton_targets,
)
from benchmarks.serving.load_client import Load
from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import load_stack
from roundtrip.cli.stack.processes import descendants, memory_mib, process_of, stop_all
from roundtrip.cli.stack.records import recorded
from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.serving.tensors import OUTPUT, input_specs, tensors_of

ROUNDS = 3
SECONDS = 3.0
"""Of each measurement. All of it takes some ten minutes: three rounds of seven targets, each in four measurements and a start."""
START_DEADLINE_S = 180.0
STOP_DEADLINE_S = 15.0
CLOSE = 1e-5
"""Relative difference between two answers that are the same: a float32 in JSON has seven digits."""
GATEWAY, TRITON = "Roundtrip's gateway", "Triton, gRPC"

Row = dict[str, Value]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One that is measured beside the gateway; `peer_<file>.py` becomes it."""

    file: str
    distribution: str
    path: str
    body: Callable[[ModelContract, Row], object]
    """A row as it wants it."""
    answer: Callable[[object], object]
    """What is in its JSON: one number for each output, in the contract's order."""
    runs_as: str
    environment: str = "bench_peers"

    @property
    def python(self) -> Path:
        return REPOSITORY / ".roundtrip" / self.environment / "bin" / "python"

    def version(self) -> str:
        """Of its distribution, as installed."""
        command = [str(self.python), "-c", "import sys, importlib.metadata as found; print(found.version(sys.argv[1]))", self.distribution]
        return f"{self.distribution} {subprocess.check_output(command, text=True).strip()}"


def typed_row(contract: ModelContract, row: Row) -> object:
    return {"instances": [row]}


def v2_tensors(contract: ModelContract, row: Row) -> object:
    types = {spec.name: spec.wire_type for spec in input_specs(contract)}
    return {
        "inputs": [
            {"name": name, "shape": [1, len(values)], "datatype": types[name], "data": values}
            for name, values in _encoded(contract, row).items()
        ]
    }


def named_tensors(contract: ModelContract, row: Row) -> object:
    return {"inputs": {name: [values] for name, values in _encoded(contract, row).items()}}


def _encoded(contract: ModelContract, row: Row) -> dict[str, list[float | None]]:
    """Each tensor's only row; a missing number is null, for JSON has no NaN."""
    tensors = tensors_of(*contract.encode({name: [value] for name, value in row.items()}))
    return {name: [None if value != value else value for value in array[0].tolist()] for name, array in tensors.items()}


def first_prediction(answer: object) -> object:
    (prediction,) = answer["predictions"]  # type: ignore[index]
    return list(prediction.values())


PEERS = {
    "MLServer": Peer(
        file="mlserver", distribution="mlserver", environment="bench_mlserver", path="/v2/models/flight_eta/infer", body=v2_tensors,
        answer=lambda answer: answer["outputs"][0]["data"],  # type: ignore[index]
        runs_as="a custom runtime; the server and its one worker process, the default",
    ),
    "BentoML": Peer(
        file="bentoml", distribution="bentoml", path="/predict", body=typed_row,
        answer=lambda answer: list(answer[0].values()),  # type: ignore[index]
        runs_as="a service with typed rows, one worker",
    ),
    "Ray Serve": Peer(
        file="ray", distribution="ray", path="/predict", body=typed_row, answer=first_prediction,
        runs_as="a FastAPI ingress with typed rows, one replica; beside it the proxy, the controller and a cluster of one node",
    ),
    "mlflow models serve": Peer(
        file="mlflow", distribution="mlflow", path="/invocations", body=named_tensors,
        answer=lambda answer: answer["predictions"][OUTPUT][0],  # type: ignore[index]
        runs_as="the ONNX flavour with a signature, one worker",
    ),
    "FastAPI": Peer(
        file="fastapi", distribution="fastapi", path="/predict", body=typed_row, answer=first_prediction,
        runs_as="pydantic rows, ONNX Runtime in the process, one uvicorn worker",
    ),
}  # fmt: skip
LEFT_OUT: dict[str, str] = {}
"""Peers that can't be installed from the registry, with the reason."""


@dataclass(frozen=True)
class Target:
    """Something that answers, and the processes whose memory it takes."""

    load: Load
    processes: Sequence[int]

    def memory_mib(self) -> float:
        return round(sum(map(memory_mib, self.processes)))


Figures = dict[str, MeasuredTarget]


def main() -> None:
    stack, begun = load_stack(), time.monotonic()
    os.environ.update(addresses(stack))
    with ExitStack() as kept:
        scratch = Path(kept.enter_context(tempfile.TemporaryDirectory()))
        kept.enter_context(own_state())
        contract, version = build(scratch / "version")
        url, process = kept.enter_context(running_gateway(REPOSITORY, scratch / "gateway"))
        released = kept.enter_context(released_version(contract, version, [url]))
        rows = random_rows(contract)
        triton = recorded(stack, "triton")
        assert triton is not None  # it is up
        standing = {
            GATEWAY: Target(gateway_target(url, contract, rows), [process.pid, triton.pid]),
            TRITON: Target(triton_targets(stack, contract, released, rows)[TRITON], [triton.pid]),
        }
        expected = first_prediction(asked(standing[GATEWAY].load))
        bench = Bench(contract=contract, version=version, rows=rows, expected=expected, standing=standing, scratch=scratch)
        rounds, memory_mib = [], dict.fromkeys((*PEERS, *standing), 0.0)
        for number in range(ROUNDS):
            measured: dict[str, Figures] = {}
            for name in turned([*PEERS, *standing], number):
                with bench.target(name) as target:
                    measured[name] = measure(name, target.load)
                    memory_mib[name] = max(memory_mib[name], target.memory_mib())
            rounds.append(measured)
    keep(rounds, memory_mib, seconds=round(time.monotonic() - begun))


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all are measured with."""

    contract: ModelContract
    version: Path
    rows: Sequence[Row]
    expected: object
    """The gateway's answer to the first row."""
    standing: Mapping[str, Target]
    """Those that are up all the time."""
    scratch: Path

    @contextmanager
    def target(self, name: str) -> Iterator[Target]:
        """The target of that name, ready, and found to answer as the gateway does."""
        if name in self.standing:
            yield self.standing[name]
            return
        peer = PEERS[name]
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder, running(peer, self.version, Path(folder)) as (url, process):
            load = load_of(f"{url}{peer.path}", [json.dumps(peer.body(self.contract, row)).encode() for row in self.rows], {})
            found = peer.answer(first_answer(name, load, process))
            if not np.allclose(np.asarray(found, dtype=np.float64), np.asarray(self.expected, dtype=np.float64), rtol=CLOSE):
                sys.exit(f"{name} answers {found}, the gateway {self.expected}: they don't serve the same.")
            yield Target(load, [process.pid])


@contextmanager
def running(peer: Peer, version: Path, scratch: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The peer's address and process; all its processes are gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(peer.python), "-m", f"benchmarks.serving.peer_{peer.file}", str(version), str(scratch), str(port)]
    log = (scratch / "log").open("wb")
    with log, subprocess.Popen(command, cwd=REPOSITORY, env=own_environment(peer), stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        except SystemExit:
            sys.stderr.write((scratch / "log").read_text(errors="replace")[-4000:])
            raise
        finally:
            family = [found for pid in descendants(process.pid) if (found := process_of(pid))]
            process.terminate()
            try:
                process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            stop_all(family)


def own_environment(peer: Peer) -> dict[str, str]:
    """This shell's, without the stack's addresses and credentials: a peer needs none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROUNDTRIP_", "AWS_", "MLFLOW_", "PYTHON"))}
    return kept | {"PATH": f"{peer.python.parent}:{kept['PATH']}", "PYTHONPATH": str(REPOSITORY)}


def first_answer(name: str, load: Load, process: subprocess.Popen[bytes]) -> object:
    """The answer to the first row, once there is one."""
    deadline, reason = time.monotonic() + START_DEADLINE_S, ""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return asked(load)
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            reason = f"{error!r} {error.response.text[:500]}" if isinstance(error, httpx.HTTPStatusError) else repr(error)
        time.sleep(0.2)
    sys.exit(f"{name} gave no answer within {START_DEADLINE_S:.0f} s: {reason}. Its log:")


def asked(load: Load) -> object:
    """The JSON of the answer to the load's first body."""
    answer = httpx.post(
        load.url, content=base64.b64decode(load.bodies[0]), headers={"Content-Type": "application/json", **load.headers}, timeout=10
    )
    return answer.raise_for_status().json()


def measure(name: str, load: Load) -> Figures:
    """At every concurrency and at the steady rate."""
    shapes: dict[str, dict[str, int | float]] = {f"concurrency {count}": {"concurrency": count} for count in CONCURRENCIES}
    shapes[f"{STEADY_RATE:g} a second"] = {"concurrency": STEADY_CONNECTIONS, "rate": STEADY_RATE}
    measured: Figures = {}
    for shape, asked_for in shapes.items():
        measured[shape] = found = run_client(msgspec.structs.replace(load, seconds=SECONDS, **asked_for), server=None)
        print(
            f"{name}, {shape}: {found.requests_per_s:.0f} req/s, p50 {found.p50_ms:.2f}, p95 {found.p95_ms:.2f}, "
            f"p99 {found.p99_ms:.2f} ms, {found.failed} failed, client {found.client_cores:.2f} cores",
            flush=True,
        )
    return measured


def turned(names: list[str], number: int) -> list[str]:
    """Another one first in each round."""
    first = number * len(names) // ROUNDS
    return names[first:] + names[:first]


def keep(rounds: Sequence[Mapping[str, Figures]], memory_mib: Mapping[str, float], *, seconds: int) -> None:
    """Print what share of the gateway's throughput each has, and write the result file."""
    medians = {name: {shape: median_of([one[name][shape] for one in rounds]) for shape in shapes} for name, shapes in rounds[0].items()}
    crowds = [f"concurrency {count}" for count in CONCURRENCIES]
    ahead = {
        shape: {name: round(medians[GATEWAY][shape].requests_per_s / medians[name][shape].requests_per_s, 2) for name in (*PEERS, TRITON)}
        for shape in crowds
    }
    result = {
        "what": "one row a request, JSON (Triton: protobuf of rows that are encoded already); medians of the rounds",
        "peers": {name: {"version": peer.version(), "runs_as": peer.runs_as} for name, peer in PEERS.items()},
        "left_out": LEFT_OUT,
        "seconds": {"each measurement": SECONDS, "rounds": ROUNDS, "all": seconds},
        "memory_mib": dict(memory_mib),
        "memory_of": "all processes of each after its last measurement (proportional set size), the highest of the rounds; the gateway's "
        "with Triton's",
        "gateway's throughput / theirs": ahead,
        "medians": msgspec.to_builtins(medians),
        "rounds": msgspec.to_builtins(list(rounds)),
    }
    for name, shapes in medians.items():
        busy = "; ".join(f"{shape}: {found.requests_per_s:.0f} req/s, p95 {found.p95_ms:.1f} ms" for shape, found in shapes.items())
        print(f"{name}: {busy}; {memory_mib[name]:.0f} MiB")
    print(f"kept as {keep_result('serving', result)}")


if __name__ == "__main__":
    main()
