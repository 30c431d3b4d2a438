"""Which version a run is to release: the one that it compiled, or one that a person chose and that may serve."""

from __future__ import annotations

from dataclasses import dataclass

from roundtrip.contracts import storage
from roundtrip.contracts.errors import DigestMismatch, ReceiptMissing, UnknownModelVersion, VersionNotJudged
from roundtrip.contracts.receipts import RunFolder
from roundtrip.registry.version_folder import verify_published
from roundtrip.serving.release import history

JOBS = ("choose_version", "compile_model")
"""Jobs whose receipt names a run's version and its digest."""


@dataclass(frozen=True, kw_only=True)
class VersionToRelease:
    """A version, as a receipt of the run names it."""

    version: str
    digest: str
    why: str
    """For the history: what a person gave as the reason, and the run."""
    live_before: bool
    """Whether it served already when it was chosen: then a failing run must not take it out."""


def version_of_run(folder: RunFolder) -> VersionToRelease:
    """The version that the run in this folder is to release. Raises ReceiptMissing when no job of JOBS got done there."""
    job = next((job for job in JOBS if storage.exists(folder.receipt_uri(job))), None)
    if job is None:
        raise ReceiptMissing(
            f"{folder.uri} names no version to release: run `python -m jobs.compile_model`, or `python -m jobs.choose_version --version N "
            "--why TEXT`, with this --run-dir first."
        )
    figures = folder.receipt(job).figures
    return VersionToRelease(
        version=str(figures["version"]),
        digest=str(figures["manifest_sha256"]),
        why=str(figures.get("why", f"run {folder.uri}")),
        live_before=bool(figures.get("live_before", False)),
    )


def reason(why: str, *, by: str, folder: RunFolder) -> str:
    """What the history says of a change that a person asked for."""
    return f"{why} ({f'{by}, ' if by else ''}run {folder.uri})"


def check_releasable(use_case_name: str, version: str) -> str:
    """The digest of a version that may serve: registered, let on by the gate, published, and byte for byte what was published.

    Raises UnknownModelVersion, VersionNotJudged, DigestMismatch, ServiceUnavailable.
    """
    # MLflow's import takes 1.3 s, and the five steps that only want to know their run's version need none
    from roundtrip.registry.mlflow_registry import OVERRIDDEN, PASSED, gate_by_version

    gates = gate_by_version(use_case_name)
    if version not in gates:
        known = ", ".join(sorted(gates, key=int)) or "none"
        raise UnknownModelVersion(f"no version {version!r} of {use_case_name} is registered (registered: {known}): release one of these.")
    if gates[version] not in (PASSED, OVERRIDDEN):
        raise VersionNotJudged(
            f"version {version} of {use_case_name} was let on by no gate: its tag `gate` is {gates[version]!r} ({PASSED} or {OVERRIDDEN}). "
            "No model serves unjudged: run train_and_release; its form can override the gate, with a name and a reason."
        )
    digest = verify_published(use_case_name, version)
    released = {entry.digest for entry in history(use_case_name) if entry.version == version}
    if released - {digest}:
        raise DigestMismatch(
            f"version {version} of {use_case_name} was released with digest {', '.join(sorted(released))}, the store's is {digest} now: "
            "it was changed. Don't serve it; train anew."
        )
    return digest
