"""Back to the version before, at once: what the job `roll_back_release` and `roundtrip rollback` do. It needs no Airflow and no MLflow."""

from __future__ import annotations

import logging

from roundtrip.contracts.errors import NothingToRollBackTo, ProbeFailed, ServiceUnavailable
from roundtrip.serving.release import Release, ReleasedVersion, read_release
from roundtrip.serving.release_steps import is_loaded, load_beside, roll_back, tidy

log = logging.getLogger(__name__)


def version_to_leave(use_case_name: str) -> ReleasedVersion:
    """A candidate that answers requests, or sees them, goes first; then the live version, when there is one before it to go back to.

    Raises NothingToRollBackTo.
    """
    release = read_release(use_case_name)
    if release.candidate_among_traffic is not None:
        return release.candidate_among_traffic
    if release.live is None:
        raise NothingToRollBackTo(f"no version of {use_case_name} is live (generation {release.generation}): release one first.")
    if release.previous is None:
        raise NothingToRollBackTo(
            f"version {release.live.version} of {use_case_name} is live (generation {release.generation}), and no version before it is "
            f"kept: choose another with `roundtrip release {use_case_name} VERSION --why TEXT`; `roundtrip releases {use_case_name}` "
            "shows those that served."
        )
    return release.live


def go_back(use_case_name: str, version: str, *, why: str) -> Release:
    """Take the version out of the release document, and see to it that Triton still has the one that is live then.

    Done already: changes nothing. A Triton that is away, or can't load it, holds nothing up: the gateway answers from ONNX Runtime.
    Raises ReleaseConflict.
    """
    release = roll_back(use_case_name, version, why=why)
    if release.live is not None:
        try:
            if not is_loaded(release.live):
                load_beside(use_case_name, release.live.version, digest=release.live.digest)
        except (ServiceUnavailable, ProbeFailed) as error:
            log.warning("version %s of %s is not on Triton: %s", release.live.version, use_case_name, error)
    return release


def settle(release: Release) -> list[str]:
    """Once the gateway stands at the release: the alias `champion` follows, and Triton unloads what was taken out; gives those versions.

    Raises ServiceUnavailable, ProbeFailed.
    """
    from roundtrip.registry.mlflow_registry import CHAMPION, set_alias  # MLflow's import takes seconds: traffic has moved by now

    if release.live is not None:
        set_alias(release.use_case, CHAMPION, release.live.version)
    return tidy(release)
