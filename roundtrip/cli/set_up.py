"""Set everything up in `.roundtrip/`: `python3 -m roundtrip.cli.set_up`. Standard library only; `make setup` runs it.

Each step leaves a stamp with a digest of what went in. So a second run does nothing, a changed lock file redoes
just its step, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from roundtrip.cli import doctor, install
from roundtrip.cli.interpreter import Interpreter, chosen_interpreter
from roundtrip.contracts.errors import SetUpFailed
from roundtrip.contracts.settings import REPOSITORY

INSTALLED = REPOSITORY / ".roundtrip"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to install."""

    name: str
    run: Callable[[Interpreter], None]
    inputs: tuple[str, ...]
    """Files of the repository that decide what is installed."""
    results: tuple[str, ...]
    """Paths below `.roundtrip` of which each must exist once it is done."""
    after: tuple[str, ...] = ()


STEPS = (
    Step(name="uv", run=install.uv, inputs=("requirements.txt",), results=("bootstrap/bin/uv",)),
    Step(
        name="environment",
        run=install.environment,
        inputs=("requirements.txt",),
        results=("venv/bin/python", "venv/bin/roundtrip"),
        after=("uv",),
    ),
    Step(
        name="triton",
        run=install.triton,
        inputs=("docker/local_stack/triton_server.txt", "docker/local_stack/triton_backend.txt"),
        results=("triton/server/pytriton/tritonserver/bin/tritonserver", "triton/venv/bin/python"),
        after=("uv",),
    ),
    Step(
        name="source_data",
        run=install.source_data,
        inputs=("docker/local_stack/source_data.txt", "docker/local_stack/source_data_build.txt"),
        results=("source_data/flights.csv", "source_data/weather.csv"),
        after=("uv",),
    ),
    Step(
        name="spark_jars",
        run=install.spark_jars,
        inputs=("docker/local_stack/spark_jars.sha256", "docker/local_stack/spark_jars.json"),
        results=("jars",),
        after=("environment",),
    ),
)


def main() -> int:
    """Examine the machine, then do the steps that aren't done; returns the exit code."""
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / "set_up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        interpreter = _interpreter()
        missing = [step for step in STEPS if interpreter is None or not is_done(step, interpreter)]
        if not missing:
            return 0
        if doctor.main() != 0 or interpreter is None:
            return 1
        return do_steps(missing, interpreter)


def is_done(step: Step, interpreter: Interpreter) -> bool:
    """Whether its stamp is that of its inputs, and what it makes is there."""
    stamp = _stamp(step)
    made = all((INSTALLED / result).exists() for result in step.results)
    return made and stamp.exists() and stamp.read_text() == digest(step, interpreter)


def digest(step: Step, interpreter: Interpreter) -> str:
    """SHA-256 of what decides on the step's result: its inputs, how it is done, the Python, and where the repository lies."""
    files = (*step.inputs, "roundtrip/cli/install.py")
    content = [hashlib.sha256((REPOSITORY / name).read_bytes()).hexdigest() for name in files]
    return hashlib.sha256(json.dumps([content, interpreter.path, interpreter.version, str(REPOSITORY)]).encode()).hexdigest()


def do_steps(missing: Iterable[Step], interpreter: Interpreter) -> int:
    """Do these steps, those that can be at once; returns 1 when one failed (those after it are left out), else 0."""
    waiting = {step.name: step for step in missing}
    running: dict[Future[float], str] = {}
    failed = False
    with ThreadPoolExecutor(max_workers=3) as threads:
        while (waiting and not failed) or running:
            for step in [step for step in waiting.values() if not failed and not {*waiting, *running.values()} & set(step.after)]:
                print(f"  …      {step.name}", flush=True)
                running[threads.submit(_do_one, waiting.pop(step.name), interpreter)] = step.name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                failed |= not _told(running.pop(future), future)
    return 1 if failed else 0


def _interpreter() -> Interpreter | None:
    """The Python of the last set-up as long as it runs, else the best on PATH from now on."""
    path = INSTALLED / "interpreter"
    interpreter = chosen_interpreter(path.read_text() if path.exists() else None)
    if interpreter is not None:
        path.write_text(interpreter.path)
    return interpreter


def _do_one(step: Step, interpreter: Interpreter) -> float:
    begin = time.monotonic()
    _stamp(step).unlink(missing_ok=True)
    step.run(interpreter)
    _stamp(step).parent.mkdir(exist_ok=True)
    _stamp(step).write_text(digest(step, interpreter))
    return time.monotonic() - begin


def _told(name: str, future: Future[float]) -> bool:
    """Say how the step went, and keep its seconds in setup.json."""
    try:
        seconds = future.result()
    except SetUpFailed as error:
        print(f"  FAILED {name}: {error}", flush=True)
        return False
    print(f"  done   {name:14s} {seconds:6.1f} s", flush=True)
    path = INSTALLED / "setup.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | {name: round(seconds, 1)}, indent=2))
    return True


def _stamp(step: Step) -> Path:
    return INSTALLED / "stamps" / step.name


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run it again: it goes on from here.")
