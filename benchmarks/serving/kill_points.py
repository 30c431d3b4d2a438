"""Releases that are killed again and again: does running them again always end with the version live, once, and no answer wrong?

`make bench-release-kills`. In the stack and under the constant load of faults.py a release (load, probe, shadow, canary, promote, tidy)
runs in a process of its own, which is killed (kill -9) at a random moment of the time that an undisturbed one takes. It is run again, and
killed again, until it gets through; then the next release takes the other version live. After each kill the release document must name
a version that serves, after each release the new one, once in the history, on Triton and at the gateway. The result is committed as
benchmarks/results/release_kills_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from multiprocessing.context import ForkServerContext
from pathlib import Path

import msgspec

from benchmarks.keep_result import keep_result
from benchmarks.serving.faults import Scene, calling, check_apart, own_stack, staged_scene, wrong_answers
from benchmarks.serving.steady_caller import Called
from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import Rollout, UseCase
from roundtrip.registry.version_folder import publish
from roundtrip.serving.release import history, read_release
from roundtrip.serving.release_steps import expected_shift, probe, promote, stage, tidy, wait_for_gateway
from roundtrip.serving.rollout import Standing, stand_canary, stand_shadow
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.triton_repository import versions_of
from use_cases.flight_eta.declaration import USE_CASE

KILLS = 100
QUICK = Rollout(shadow_requests=40, canary_shares=(20, 50), canary_requests=40)
LONGEST_S = 120.0
"""Seconds that one run of a release may take before the bench gives up on it."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.kill_points", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    request = parser.parse_args(argv)
    with own_stack() as stack, tempfile.TemporaryDirectory() as name:
        scene = staged_scene(stack, Path(name))
        with calling(scene, Path(name) / "called.jsonl") as place:
            killing = Killing(scene, random.Random(request.seed))
            while killing.kills < request.kills:
                killing.release_through(next(killing.versions), at_most=request.kills)
        called = [msgspec.json.decode(line, type=Called) for line in place.read_bytes().splitlines()]
        expected = {version: Scorer(folder).predict(scene.columns) for version, folder in scene.folders.items()}
    check_apart(expected)
    keep(killing, called, wrong_answers([each for each in called if each.good], expected))


class Killing:
    """Releases of two versions in turn, and where the kills met them."""

    def __init__(self, scene: Scene, choice: random.Random) -> None:
        self.scene = scene
        self.choice = choice
        self.versions = cycle(("2", "1"))
        self.met: Counter[str] = Counter()
        """History stage that the release had reached → kills."""
        self.releases = 0
        self.digests = {version: publish(scene.folders[version], scene.name, version) for version in ("1", "2")}
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["benchmarks.serving.kill_points"])
        self._run("2", kill_after_s=None)  # both are loaded once before the time is taken
        started = time.monotonic()
        self._run("1", kill_after_s=None)
        self.undisturbed_s = time.monotonic() - started
        print(f"undisturbed, a release takes {self.undisturbed_s:.1f} s", flush=True)

    @property
    def kills(self) -> int:
        return sum(self.met.values())

    def release_through(self, version: str, *, at_most: int) -> None:
        """Release the version, with a kill in each run until one gets through, or `at_most` kills were made in all."""
        begun = read_release(self.scene.name).generation
        while not self._run(version, kill_after_s=self.choice.uniform(0, self.undisturbed_s) if self.kills < at_most else None):
            self._note(version, begun)
        self._check_live(version, begun)
        self.releases += 1
        print(f"release {self.releases} of version {version} is through, {self.kills} kills so far: {dict(self.met)}", flush=True)

    def _run(self, version: str, *, kill_after_s: float | None) -> bool:
        """Run the release; whether it got through before it was killed."""
        named = replace(USE_CASE, name=self.scene.name, rollout=QUICK)
        process = self._context.Process(target=release, args=(dict(os.environ), named, version, self.digests[version], self.scene.columns))
        process.start()
        process.join(kill_after_s if kill_after_s is not None else LONGEST_S)
        if process.exitcode is None:
            if kill_after_s is None:
                sys.exit(f"a release of version {version} is not through after {LONGEST_S:.0f} s.")
            process.kill()
            process.join()
            return False
        if process.exitcode:
            sys.exit(f"a release of version {version} ended with {process.exitcode}, after {self.kills} kills: see above.")
        return True

    def _note(self, version: str, begun: int) -> None:
        """Where the kill met the release; the document must name a version that serves, and the gateway must answer."""
        reached = [entry.stage for entry in history(self.scene.name) if entry.generation > begun]
        self.met[reached[-1] if reached else "not staged"] += 1
        live = read_release(self.scene.name).live
        if live is None or (live.version == version) != ("live" in reached):
            sys.exit(f"after a kill the document says {live}, its history {reached}.")
        if not self.scene.served_by():
            sys.exit("after a kill the gateway gives no answer.")

    def _check_live(self, version: str, begun: int) -> None:
        """The version is live once, Triton holds what the document keeps and nothing else, and nothing is left behind."""
        release = read_release(self.scene.name)
        stages = [entry.stage for entry in history(self.scene.name) if entry.generation > begun]
        held = set(versions_of(Path(settings().triton_repository), self.scene.name))
        kept = {(entry.triton_model, entry.version) for entry in release.kept}
        once = stages.count("staged") == stages.count("live") == 1 and stages[-1] == "live"
        if release.live is None or release.live.version != version or not once or held != kept or release.candidate is not None:
            sys.exit(f"version {version} is through, and the document is {release}, its history {stages}, Triton's repository {held}.")


def release(environment: dict[str, str], use_case: UseCase, version: str, digest: str, columns: Mapping[str, list[Value]]) -> None:
    """The steps of the DAG `release`, as its tasks run them again after a kill."""
    os.environ.update(environment)
    stage(use_case.name, version, digest=digest, why="bench")
    probe(use_case.name, version, digest=digest, columns=columns)
    shift = expected_shift(use_case, version, digest=digest, columns=columns)
    standing = Standing(use_case=use_case, version=version, expected_shift=shift, why="bench")
    stand_shadow(standing)
    generation = stand_canary(standing).release.generation
    released = promote(use_case.name, version, expected_generation=generation, why="bench")
    wait_for_gateway(released)
    tidy(released)


def keep(killing: Killing, called: Sequence[Called], wrong: int) -> None:
    """Print what came of it, and write the result."""
    failed = Counter(f"{each.status} {each.error}".strip() for each in called if not each.good)
    result = {
        "what": "kill -9 of a release at random moments, run again until it is through; 200 requests a second meanwhile",
        "kills": killing.kills,
        "where they met it": dict(killing.met),
        "releases": killing.releases,
        "undisturbed_s": round(killing.undisturbed_s, 1),
        "requests": len(called),
        "failed": dict(failed),
        "wrong": wrong,
    }
    print(result)
    print(f"kept as {keep_result('release_kills', result)}")
    if failed or wrong:
        sys.exit("callers saw it: see above.")


if __name__ == "__main__":
    main()
