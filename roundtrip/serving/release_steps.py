"""The steps of a release. Each can be run again after it was killed anywhere, and then finds what is left to do.

stage (loaded beside the live version, no traffic) → probe (its answers are right) → shadow and canary (rollout.py) → promote (traffic
moves) → tidy (what no longer serves is unloaded). `roll_back` undoes them from wherever they stopped.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import numpy as np

from roundtrip.contracts.errors import ParityFailed, ProbeFailed, ReleaseConflict, ServiceUnavailable
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.parity import Columns, Parity, compare
from roundtrip.serving.release import Release, ReleasedVersion, change, read_release
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.tensors import Predictions, Tensors, tensors_of
from roundtrip.serving.traffic import NO_SHIFT, ExpectedShift
from roundtrip.serving.triton_client import TritonClient
from roundtrip.serving.triton_repository import LARGEST_BATCH, model_name, put_version, remove_version, sole_writer, versions_of

PROBE_DEADLINE_S = 5.0
"""Seconds for one batch of the probe: the first call of a version is the slowest."""
GATEWAY_TIMEOUT_S = 60.0
"""Seconds that the gateway has to answer with the promoted version. It polls twice a second, and a fetch takes one or two."""


def stage(use_case_name: str, version: str, *, digest: str, why: str) -> Release:
    """Load the version on Triton beside the live one and write it into the release document as the candidate.

    Raises DigestMismatch, ProbeFailed (Triton can't load it), ReleaseConflict (somebody else changed the document meanwhile).
    """
    candidate = load_beside(use_case_name, version, digest=digest)
    release = read_release(use_case_name)
    if candidate in (release.live, release.candidate):
        return release
    return change(release.staged(candidate), expected_generation=release.generation, stage="staged", about=candidate, why=why)


def load_beside(use_case_name: str, version: str, *, digest: str) -> ReleasedVersion:
    """Have Triton serve the version beside what it serves. Loaded already: changes nothing.

    Raises DigestMismatch, ProbeFailed (Triton can't load it), ServiceUnavailable (Triton is away).
    """
    folder = fetch(use_case_name, version, digest=digest)
    loaded = ReleasedVersion(version=version, digest=digest, triton_model=model_name(use_case_name, folder))
    with sole_writer(_repository()), _triton() as triton:
        put_version(_repository(), folder, use_case_name, version)
        if version not in triton.ready_versions(loaded.triton_model):
            triton.load(loaded.triton_model)
        if version not in triton.ready_versions(loaded.triton_model):
            raise ProbeFailed(f"Triton loaded {loaded.triton_model} without version {version}: see its log for the reason.")
    return loaded


def is_loaded(released: ReleasedVersion) -> bool:
    """Whether Triton has the version ready. Waits for nobody who is loading another one. Raises ServiceUnavailable."""
    with _triton() as triton:
        return released.version in triton.ready_versions(released.triton_model)


def probe(use_case_name: str, version: str, *, digest: str, columns: Columns) -> Parity:
    """Compare Triton's answers with ONNX Runtime's on real rows. Raises ProbeFailed when it gives none, or others."""
    folder = fetch(use_case_name, version, digest=digest)
    scorer, model = Scorer(folder), model_name(use_case_name, folder)
    tensors = tensors_of(*scorer.contract.encode(columns))
    with _triton() as triton:
        found = [triton.infer(model, version, batch, deadline_s=PROBE_DEADLINE_S) for batch in _batches(tensors)]
    answers: Predictions = np.concatenate(found)
    try:
        return compare(scorer.answer(tensors), answers, columns)
    except ParityFailed as error:
        raise ProbeFailed(f"Triton answers otherwise than ONNX Runtime for version {version} of {use_case_name}: {error}") from error


def expected_shift(use_case: UseCase, version: str, *, digest: str, columns: Columns) -> ExpectedShift:
    """How the version's predictions of the first output differ from the live version's on these rows; not at all where none is live."""
    live = read_release(use_case.name).live
    if live is None:
        return NO_SHIFT
    folders = fetch(use_case.name, version, digest=digest), fetch(use_case.name, live.version, digest=live.digest)
    candidate, champion = (Scorer(folder).predict(columns)[:, 0].astype(np.float64) for folder in folders)
    return ExpectedShift(float((candidate - champion).mean()), float((candidate - champion).std()))


def promote(use_case_name: str, version: str, *, expected_generation: int, why: str) -> Release:
    """Make the candidate the live version. Done already: changes nothing.

    Raises ReleaseConflict when the document is no longer the one that was staged.
    """
    release = read_release(use_case_name)
    if release.live is not None and release.live.version == version:
        return release
    if release.candidate is None or release.candidate.version != version:
        staged = release.candidate.version if release.candidate else "none"
        raise ReleaseConflict(
            f"version {version} of {use_case_name} is not the staged candidate (that is {staged}): somebody else released meanwhile. "
            f"Look at the history, then run train_and_release again."
        )
    return change(release.promoted(), expected_generation=expected_generation, stage="live", about=release.candidate, why=why)


def roll_back(use_case_name: str, version: str, *, why: str) -> Release:
    """Take the version out of the release document: the candidate goes, or, where it was live, the previous version is live again."""
    release = read_release(use_case_name)
    about = next((entry for entry in (release.live, release.candidate) if entry is not None and entry.version == version), None)
    if about is None:
        return release
    return change(release.without(version), expected_generation=release.generation, stage="rolled back", about=about, why=why)


def wait_for_gateway(release: Release, *, timeout_s: float = GATEWAY_TIMEOUT_S) -> None:
    """Wait until the gateway stands at the release. Raises ServiceUnavailable when it does not in time."""
    address, headers = f"{settings().gateway_url}/v2/models/{release.use_case}", {"X-API-Key": settings().gateway_key}
    wanted = [release.live.version] if release.live else None
    deadline = time.monotonic() + timeout_s
    while (found := _served_versions(address, headers)) != wanted:
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"the gateway at {settings().gateway_url} {'gives no answer' if found == [] else f'serves {found} of {release.use_case}'}, "
                f"not {wanted}, {timeout_s:.0f} s after the release: `roundtrip logs gateway` says why it can't move."
            )
        time.sleep(0.2)


def tidy(release: Release) -> list[str]:
    """Unload from Triton what the release neither serves nor keeps to roll back to; gives the versions that went."""
    kept = {(entry.triton_model, entry.version) for entry in release.kept}
    with sole_writer(_repository()), _triton() as triton:
        superseded = [entry for entry in versions_of(_repository(), release.use_case) if entry not in kept]
        for model in sorted({model for model, _ in superseded}):
            gone = [version for name, version in superseded if name == model]
            remaining = [remove_version(_repository(), model, version) for version in gone][-1]
            if remaining:
                triton.load(model)
            else:
                triton.unload(model)
            for version in gone:
                triton.wait_until_gone(model, version)
    return [version for _, version in superseded]


def _served_versions(address: str, headers: dict[str, str]) -> list[str] | None:
    """Versions of the gateway's answer; None when it serves none (yet), or is away."""
    try:
        answer = httpx.get(address, headers=headers, timeout=5)
    except httpx.TransportError:
        return []
    if answer.status_code == httpx.codes.OK:
        return [str(version) for version in answer.json()["versions"]]
    return None if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.SERVICE_UNAVAILABLE) else []


def _batches(tensors: Tensors) -> list[Tensors]:
    rows = len(next(iter(tensors.values())))
    return [{name: array[start : start + LARGEST_BATCH] for name, array in tensors.items()} for start in range(0, rows, LARGEST_BATCH)]


def _triton() -> TritonClient:
    return TritonClient(settings().triton_url, settings().triton_admin_key)


def _repository() -> Path:
    return Path(settings().triton_repository)
