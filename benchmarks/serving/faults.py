"""Releases, kills and outages under a constant load: what callers saw of each.

`make bench-serving-faults`. A stack of the bench's own (postgres, s3, triton, gateway, under their supervisor; state in
.roundtrip/bench_faults) serves versions of flight_eta's contract and declared network with random weights. A process of its own
(steady_caller.py) asks 200 times a second, each time once, and 10 times a second by the project's client, which tries again; it writes down
each request. Meanwhile, one after the other and with calm between them: a version goes through shadow, canary and promotion, and is rolled
back; a version with a flipped bit in the store is refused; Triton, its Python stub of the live version and the gateway are killed (kill
-9); PostgreSQL and S3 are stopped for a minute. Every answer is compared with ONNX Runtime's of the version that it names, and with what
was released at the time. The result is committed as benchmarks/results/serving_faults_<hardware>_<date>.json, with a picture beside it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.keep_result import keep_result
from benchmarks.serving.faults_picture import picture
from benchmarks.serving.gateway_load import bench_contract, random_network, random_rows
from benchmarks.serving.steady_caller import Called, Calls
from roundtrip.cli.stack import supervisor
from roundtrip.cli.stack.environment import addresses
from roundtrip.cli.stack.layout import Stack, load_stack
from roundtrip.cli.stack.processes import descendants
from roundtrip.cli.stack.records import recorded
from roundtrip.cli.stack.services import service_named
from roundtrip.contracts import storage
from roundtrip.contracts.errors import DigestMismatch, ServiceUnavailable
from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.registry.version_folder import publish, version_uri
from roundtrip.serving.compile import build_version
from roundtrip.serving.going_back import go_back, version_to_leave
from roundtrip.serving.release import read_release
from roundtrip.serving.release_steps import expected_shift, probe, promote, stage, tidy, wait_for_gateway
from roundtrip.serving.rollout import Standing, stand_canary, stand_shadow
from roundtrip.serving.scoring import MODEL_FILE, Scorer
from roundtrip.serving.tensors import Predictions
from use_cases.flight_eta.declaration import USE_CASE

HOME, PORT_BASE = REPOSITORY / ".roundtrip" / "bench_faults", "20000"
SERVICES = ("postgres", "s3", "triton", "gateway")
RATE, PATIENT_RATE = 200.0, 10.0
"""Requests a second, asked once; beside them those of roundtrip.serving.client, which tries again."""
TIMEOUT_S = 10.0
"""Seconds that the caller waits for an answer."""
CALM_S = 6.0
"""Before and after each fault; part of what is counted."""
KILL_S = 60.0
"""Seconds that are counted from a kill on."""
AWAY_S = 60.0
RECOVERY_S = 60.0
"""Seconds within which Triton must answer again."""
FEWEST_OK, LONGEST_GAP_S = 0.99, 10.0
CLOSE, CLOSE_MINUTES = 1e-4, 1e-2
"""Relative and absolute difference between the answers of one version; those of two versions differ by far more, which is checked."""


@dataclass(frozen=True)
class Happened:
    """A fault, in seconds since 1970."""

    name: str
    begun: float
    over: float
    """When all was as before, or had been released."""
    ended: float
    """When its calm was over."""
    fewest_ok: float
    longest_gap_s: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What callers saw from the calm before a fault to the end of the calm after it. Shares, gap and latency are of those that ask once."""

    requests: int
    share_ok: float
    failed: dict[str, int]
    longest_gap_s: float
    """Between two good answers."""
    p95_ms: float
    caller_late_p95_ms: float
    """Of it, the caller's own lateness."""
    client_requests: int
    client_share_ok: float
    """Of the project's client."""
    client_longest_ms: float
    unreleased: int
    """Answers by a version that was not released at any moment from their request to them; of all callers."""
    wrong: int
    """Answers that are not those of ONNX Runtime for the version that they name; of all callers."""
    served_by: dict[str, int]
    versions: dict[str, int]
    took_s: float
    """The fault itself."""
    goal: str
    reached: bool


@dataclass
class Scene:
    """The stack, the versions, and which of them callers may get when."""

    stack: Stack
    name: str
    folders: Mapping[str, Path]
    rows: Sequence[Mapping[str, Value]]
    may_answer: dict[str, list[list[float]]] = field(default_factory=dict)
    """Version → spans, in seconds since 1970."""

    @property
    def columns(self) -> dict[str, list[Value]]:
        return {name: [row[name] for row in self.rows] for name in self.rows[0]}

    @property
    def url(self) -> str:
        return f"{settings().gateway_url}/v1/models/{self.name}:predict"

    def begins(self, version: str) -> None:
        self.may_answer.setdefault(version, []).append([time.time(), float("inf")])

    def ends(self, version: str) -> None:
        self.may_answer[version][-1][1] = time.time()

    def was_released(self, called: Called) -> bool:
        return any(begun <= called.ended and called.due <= ended for begun, ended in self.may_answer.get(called.version, ()))

    def served_by(self) -> str:
        """Who answers now; nobody when there is no good answer."""
        try:
            headers = {"X-API-Key": settings().gateway_key}
            answer = httpx.post(self.url, json={"instances": [self.rows[0]]}, headers=headers, timeout=TIMEOUT_S)
        except httpx.TransportError:
            return ""
        return str(answer.json()["served_by"]) if answer.is_success else ""


def main() -> None:
    with own_stack() as stack, tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        scene = staged_scene(stack, scratch)
        with calling(scene, scratch / "called.jsonl") as place:
            time.sleep(CALM_S)
            happened = [*changes_of_version(scene), *kills(scene), *outages(scene)]
        called = [msgspec.json.decode(line, type=Called) for line in place.read_bytes().splitlines()]
        expected = {version: Scorer(folder).predict(scene.columns) for version, folder in scene.folders.items()}
        print({version: [[round(moment, 1) for moment in span] for span in spans] for version, spans in scene.may_answer.items()})
    check_apart(expected)
    keep(happened, called, {each.name: seen(each, called, scene, expected) for each in happened})


def changes_of_version(scene: Scene) -> Iterator[Happened]:
    yield happen("release of a version", lambda: release(scene, "2"), fewest_ok=1.0)
    yield happen("its roll back", lambda: back(scene), fewest_ok=1.0)
    yield happen("a flipped bit in a version", lambda: refuse_corrupt(scene, "3"), fewest_ok=1.0)


def kills(scene: Scene) -> Iterator[Happened]:
    live = read_release(scene.name).live
    assert live is not None  # it answers
    stub = f"/{live.triton_model}/{live.version}/"
    yield happen("kill -9 of Triton", lambda: kill(scene, "triton", "/bin/tritonserver"), least_s=KILL_S)
    yield happen("kill -9 of its Python stub", lambda: kill(scene, "triton", stub), least_s=KILL_S)
    yield happen("kill -9 of the gateway's worker", lambda: kill(scene, "gateway", "--listening-fd"), least_s=KILL_S)


def outages(scene: Scene) -> Iterator[Happened]:
    yield happen("PostgreSQL away", lambda: take_away(scene, "postgres"), fewest_ok=1.0)
    yield happen("S3 away", lambda: take_away(scene, "s3"), fewest_ok=1.0)


def happen(name: str, act: Callable[[], None], *, least_s: float = 0.0, fewest_ok: float = FEWEST_OK) -> Happened:
    """Let it happen, and wait until the calm after it is over."""
    begun = time.time()
    print(f"{name} …", flush=True)
    act()
    over = time.time()
    print(f"{name}: over after {over - begun:.1f} s", flush=True)
    time.sleep(max(CALM_S, begun + least_s - over))
    return Happened(name, begun, over, time.time(), fewest_ok, LONGEST_GAP_S)


def release(scene: Scene, version: str) -> None:
    """The steps of the DAG `release`: loaded, probed, shown traffic, promoted."""
    digest = publish(scene.folders[version], scene.name, version)
    stage(scene.name, version, digest=digest, why="bench")
    probe(scene.name, version, digest=digest, columns=scene.columns)
    use_case = replace(USE_CASE, name=scene.name)
    shift = expected_shift(use_case, version, digest=digest, columns=scene.columns)
    standing = Standing(use_case=use_case, version=version, expected_shift=shift, why="bench")
    before = read_release(scene.name).live
    assert before is not None  # it answers
    stand_shadow(standing)
    scene.begins(version)
    generation = stand_canary(standing).release.generation
    released = promote(scene.name, version, expected_generation=generation, why="bench")
    wait_for_gateway(released)
    scene.ends(before.version)
    tidy(released)


def back(scene: Scene) -> None:
    """What `roundtrip rollback` does, but for MLflow's alias."""
    left = version_to_leave(scene.name).version
    previous = read_release(scene.name).previous
    assert previous is not None  # or there was no version to leave
    scene.begins(previous.version)
    released = go_back(scene.name, left, why="bench")
    wait_for_gateway(released)
    scene.ends(left)
    tidy(released)


def refuse_corrupt(scene: Scene, version: str) -> None:
    """Publish the version, flip a bit of its graph in the store, and see it refused."""
    digest, before = publish(scene.folders[version], scene.name, version), read_release(scene.name)
    uri = storage.join(version_uri(scene.name, version), MODEL_FILE)
    content = bytearray(storage.read_bytes(uri))
    content[len(content) // 2] ^= 1
    storage.write_bytes(uri, bytes(content))
    try:
        stage(scene.name, version, digest=digest, why="bench")
    except DigestMismatch as error:
        print(f"refused: {error}", flush=True)
    else:
        sys.exit(f"version {version} has a flipped bit in {uri}, and was staged all the same.")
    if read_release(scene.name) != before:
        sys.exit(f"version {version} was refused, and yet the release document changed.")


def kill(scene: Scene, service: str, marked: str) -> None:
    """kill -9 of the service's process with that in its command line; waits until Triton's answers come through the gateway again."""
    process = recorded(scene.stack, service)
    assert process is not None  # it runs
    found = [pid for pid in descendants(process.pid) if marked in Path(f"/proc/{pid}/cmdline").read_text()]
    if not found:
        sys.exit(f"no process of {service} has {marked} in its command line.")
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: scene.served_by() == "triton", f"Triton's answers, after the kill of {service}")


def take_away(scene: Scene, service: str) -> None:
    """Stop the service for AWAY_S."""
    with supervisor.connected(scene.stack) as api:
        api.stopProcess(service, True)
    time.sleep(AWAY_S)
    with supervisor.connected(scene.stack) as api:
        supervisor.started(api, service)
    wait_until(lambda: is_ready(scene.stack, service), f"{service} again")


def is_ready(stack: Stack, service: str) -> bool:
    try:
        service_named(service).ready(stack)
    except ServiceUnavailable:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + RECOVERY_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {RECOVERY_S:.0f} s: {what}. The logs are in {HOME / 'logs'}.")
        time.sleep(0.1)


def staged_scene(stack: Stack, scratch: Path) -> Scene:
    """Three versions of one contract, the first of them live."""
    contract = bench_contract()
    folders = {version: scratch / version for version in ("1", "2", "3")}
    for version, folder in folders.items():
        folder.mkdir()
        build_version(random_network(contract, seed=int(version)), contract, folder)
    scene = Scene(stack, contract.use_case, folders, random_rows(contract))
    digest = publish(folders["1"], scene.name, "1")
    generation = stage(scene.name, "1", digest=digest, why="bench").generation
    scene.begins("1")
    wait_for_gateway(promote(scene.name, "1", expected_generation=generation, why="bench"))
    wait_until(lambda: scene.served_by() == "triton", "Triton's answers")
    return scene


@contextmanager
def own_stack() -> Iterator[Stack]:
    """A stack that starts empty, in this process's environment; it is taken down in the end, and its logs stay until the next run."""
    os.environ |= {"ROUNDTRIP_HOME": str(HOME), "ROUNDTRIP_PORT_BASE": PORT_BASE}
    roundtrip("down")
    shutil.rmtree(HOME, ignore_errors=True)
    try:
        roundtrip("up", *SERVICES)
        stack = load_stack()
        os.environ.update(addresses(stack))
        storage.s3_client.cache_clear()
        yield stack
    finally:
        roundtrip("down")


def roundtrip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "roundtrip.cli", *arguments], cwd=REPOSITORY, check=True)


@contextmanager
def calling(scene: Scene, place: Path) -> Iterator[Path]:
    """A caller at work; where it writes down its requests."""
    calls = Calls(
        gateway_url=settings().gateway_url, gateway_key=settings().gateway_key, use_case=scene.name, rows=[dict(row) for row in scene.rows],
        rate=RATE, client_rate=PATIENT_RATE, timeout_s=TIMEOUT_S,
    )  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.serving.steady_caller", str(place)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(calls))
        process.stdin.close()
        try:
            yield place
        finally:
            process.terminate()
    if process.returncode:
        sys.exit(f"the caller ended with {process.returncode}: see above.")


def check_apart(expected: Mapping[str, Predictions]) -> None:
    """That an answer of one version can't pass for another's."""
    for one, other in pairwise(expected.values()):
        if same(one, other).any():
            sys.exit("two versions give the same answer to a row: the bench could not tell them apart. Take other seeds.")


def same(found: Predictions, wanted: Predictions) -> NDArray[np.bool_]:
    """Row by row."""
    return np.all(np.isclose(found, wanted, rtol=CLOSE, atol=CLOSE_MINUTES), axis=1)


def seen(fault: Happened, called: Sequence[Called], scene: Scene, expected: Mapping[str, Predictions]) -> Seen:
    """What the requests from the calm before the fault to that after it came to."""
    from_, until = fault.begun - CALM_S, fault.ended
    within = [each for each in called if from_ <= each.due < until]
    asked_once = [each for each in within if not each.tries_again]
    patient = [each for each in within if each.tries_again]
    if not asked_once or not patient:
        sys.exit(f"the caller was to send {RATE:g} requests a second, and sent none in {fault.name!r}: leave it more of the machine.")
    good = [each for each in asked_once if each.good]
    moments = [from_, *sorted(min(each.ended, until) for each in good), until]
    gap = max(after - before for before, after in pairwise(moments))
    answered = [each for each in within if each.good]
    unreleased, wrong = sum(not scene.was_released(each) for each in answered), wrong_answers(answered, expected)
    share = len(good) / len(asked_once)
    return Seen(
        requests=len(asked_once),
        share_ok=round(share, 5),
        failed=dict(Counter(f"{each.status} {each.error}".strip() for each in asked_once if not each.good)),
        longest_gap_s=round(gap, 3),
        p95_ms=round(float(np.percentile([each.milliseconds for each in good], 95)), 2),
        caller_late_p95_ms=round(float(np.percentile([each.late_ms for each in asked_once], 95)), 2),
        client_requests=len(patient),
        client_share_ok=round(sum(each.good for each in patient) / len(patient), 5),
        client_longest_ms=round(max(each.milliseconds for each in patient)),
        unreleased=unreleased,
        wrong=wrong,
        served_by=dict(Counter(each.served_by for each in good)),
        versions=dict(Counter(each.version for each in good)),
        took_s=round(fault.over - fault.begun, 1),
        goal=f"{fault.fewest_ok:.0%} ok, no gap over {fault.longest_gap_s:.0f} s, no answer unreleased or wrong",
        reached=share >= fault.fewest_ok and gap <= fault.longest_gap_s and unreleased == wrong == 0,
    )


def wrong_answers(answered: Sequence[Called], expected: Mapping[str, Predictions]) -> int:
    """How many differ from ONNX Runtime's for the version that they name, or name one that there is not."""
    known = [each for each in answered if each.version in expected]
    wanted = np.array([expected[each.version][each.row] for each in known])
    return len(answered) - int(same(np.array([each.outputs for each in known], dtype=np.float32), wanted).sum())


def keep(happened: Sequence[Happened], called: Sequence[Called], found: Mapping[str, Seen]) -> None:
    """Print what was seen of each fault, and write the result and its picture."""
    for name, each in found.items():
        print(
            f"{name}: {each.requests} requests, {each.share_ok:.2%} ok ({each.client_share_ok:.2%} of the client's), longest gap "
            f"{each.longest_gap_s:.2f} s, {each.unreleased} unreleased, {each.wrong} wrong, p95 {each.p95_ms:.1f} ms, {each.served_by}"
        )
        if not each.reached:
            print(f"  the goal, {each.goal}, is missed: {each.failed}")
    result = {
        "what": f"flight_eta's network, one row a request, {RATE:g} requests a second that are asked once, {PATIENT_RATE:g} by the client",
        "counted": f"from {CALM_S:g} s before a fault to {CALM_S:g} s after it, {KILL_S:g} s from a kill on",
        "requests": len(called),
        "faults": {name: asdict(each) for name, each in found.items()},
    }
    path = keep_result("serving_faults", result)
    drawn = (REPOSITORY / path).with_suffix(".png")
    drawn.write_bytes(picture(called, {each.name: (each.begun, each.over) for each in happened}))
    print(f"{sum(each.reached for each in found.values())} of {len(found)} goals reached; kept as {path}, drawn as {drawn.name}")


if __name__ == "__main__":
    main()
