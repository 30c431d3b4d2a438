"""Let a candidate stand real traffic before it is live: copies first (shadow), then a rising share of the requests (canary).

Each stage can be run again after it was killed anywhere: it goes on at the stage that the release document names. While nobody watches,
gateways show the candidate nothing (release.watch).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from roundtrip.contracts import storage
from roundtrip.contracts.errors import CandidateMisbehaves, ReleaseConflict, TooFewRequests
from roundtrip.contracts.receipts import Figure, RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.judge import Judgement
from roundtrip.serving.release import Release, Stage, change, read_release, watch
from roundtrip.serving.release_steps import roll_back
from roundtrip.serving.traffic import FEWEST, Counts, ExpectedShift, Found, Judge
from roundtrip.serving.version_to_release import version_of_run

if TYPE_CHECKING:
    from roundtrip.evaluation.on_requests import OnRequests

LOOK_S = 1.0
"""Seconds between two looks at the traffic: what goes wrong with a candidate goes on for that long, and for the gateways' poll."""
REPORT_S = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Stood:
    """A candidate that nothing was found against, at the generation at which that was so."""

    release: Release
    candidate: Counts
    live: Counts
    on_requests: OnRequests | None = None
    """Both on the requests whose outcome has come; None where none has."""

    def figures(self) -> dict[str, Figure]:
        """For a receipt."""
        sides = {"candidate": self.candidate, "live": self.live}
        seen: dict[str, Figure] = {"generation": self.release.generation}
        for side, counts in sides.items():
            seen |= {f"{side}_requests": counts.requests, f"{side}_errors": counts.errors}
            if counts.rows:
                seen |= {f"{side}_p50_ms": round(counts.quantile(0.5) * 1e3, 2), f"{side}_p99_ms": round(counts.quantile(0.99) * 1e3, 2)}
                seen |= {f"{side}_mean": round(counts.mean, 3), f"{side}_spread": round(counts.spread, 3)}
        return seen | (self.on_requests.figures() if self.on_requests else {"outcome_rows": 0})


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A version that is to stand a stage."""

    use_case: UseCase
    version: str
    expected_shift: ExpectedShift
    why: str
    """For the history."""
    wanted: bool = False
    """Whether a person chose the version, or let it on against the gate: what outcomes say of it is then told, and doesn't stop it."""

    @classmethod
    def of_run(cls, use_case: UseCase, folder: RunFolder) -> Standing:
        """The version that the run has probed. Raises ReceiptMissing."""
        probed = folder.receipt("probe_release").figures
        shift = ExpectedShift(*(float(str(probed[name])) for name in ("expected_shift", "expected_shift_spread")))
        version, why = str(probed["version"]), version_of_run(folder).why
        return cls(use_case=use_case, version=version, expected_shift=shift, why=why, wanted=_is_wanted(folder))


def stand_shadow(standing: Standing) -> Stood:
    """Show the candidate copies of the requests, as many as the rollout says. Raises as `stand`."""
    requests = standing.use_case.rollout.shadow_requests
    return stand(standing, "shadow", share=0, requests=requests) if requests else _nothing_to_stand(standing.use_case)


def stand_canary(standing: Standing) -> Stood:
    """Let the candidate answer a share of the requests, one share of the rollout after the other. Raises as `stand`."""
    use_case = standing.use_case
    release = read_release(use_case.name)
    reached = release.share if release.stage == "canary" else 0
    stood = _nothing_to_stand(use_case)
    for share in use_case.rollout.canary_shares:
        if share >= reached:
            stood = stand(standing, "canary", share=share, requests=use_case.rollout.canary_requests)
    return stood


def stand(standing: Standing, stage: Stage, *, share: int, requests: int) -> Stood:
    """Bring the candidate to the stage, watch until it saw so many requests, ask what outcomes say of it, and give what was found. Where no
    version is live, or this one is already, there is nothing to stand.

    Raises CandidateMisbehaves as soon as something speaks against it beyond doubt: then it is out of the release document already.
    TooFewRequests when the rollout's patience ends: then it is paused. ReleaseConflict when somebody else changed the document.
    """
    use_case, version = standing.use_case, standing.version
    release = read_release(use_case.name)
    if release.live is None or release.live.version == version:
        return _nothing_to_stand(use_case)
    if release.candidate is None or release.candidate.version != version:
        raise ReleaseConflict(f"version {version} of {use_case.name} is not the candidate any more: see `roundtrip releases`.")
    if (release.stage, release.share) != (stage, share):
        changed, generation = release.at(stage, share=share), release.generation
        release = change(changed, expected_generation=generation, stage=_place(changed), about=release.candidate, why=standing.why)
    judge = Judge(use_case.rollout, expected_shift=standing.expected_shift)
    patience, reported = time.monotonic() + 60 * use_case.rollout.patience_minutes, 0.0
    while True:
        candidate, live = watch(use_case.name, release.generation)
        if found := judge.look(candidate, live):
            _take_out(release, found, remedy="Look into the model, or change the use case's Rollout if its limits are too narrow.")
        if candidate.requests >= requests and live.requests >= FEWEST and not judge.in_doubt:
            return Stood(release, candidate, live, _judged_by_outcomes(standing, release))
        if time.monotonic() > patience:
            _pause(release, candidate, live, requests=requests)
        if time.monotonic() > reported + REPORT_S:
            reported = time.monotonic()
            print(f"{_place(release)}: {candidate.requests}/{requests} requests, live version {live.requests}", flush=True)
        time.sleep(LOOK_S)


def _judged_by_outcomes(standing: Standing, release: Release) -> OnRequests | None:
    """Both versions on the requests whose outcome has come. Raises CandidateMisbehaves."""
    from roundtrip.evaluation.on_requests import compare_on_requests  # imports what the traffic's judge does without

    use_case = standing.use_case
    assert release.candidate is not None
    assert release.live is not None
    found = compare_on_requests(use_case, release.candidate, release.live)
    if found is None:
        return None
    told = found.told(use_case.gate, use_case.outputs[0].unit)
    print(f"{_place(release)}: {told}", flush=True)
    if found.is_worse(use_case.gate) and not standing.wanted:
        remedy = "Train on what has come since, or release it by hand (`roundtrip release`): outcomes don't stop a person."
        _take_out(release, [Found("outcomes", told)], remedy=remedy)
    return found


def _take_out(release: Release, found: Sequence[Found], *, remedy: str) -> NoReturn:
    """Roll the candidate back. Raises CandidateMisbehaves."""
    assert release.candidate is not None
    version, why = release.candidate.version, "; ".join(map(str, found))
    roll_back(release.use_case, version, why=why)
    raise CandidateMisbehaves(
        f"version {version} of {release.use_case} is rolled back from {_place(release)}: {why}. The live version serves on. {remedy}"
    )


def _pause(release: Release, candidate: Counts, live: Counts, *, requests: int) -> None:
    """Leave the candidate loaded, without traffic. Raises TooFewRequests."""
    assert release.candidate is not None
    seen = f"it saw {candidate.requests} requests (of {requests}), the live version {live.requests} (of {FEWEST})"
    why = f"too few requests at {_place(release)}: {seen}"
    change(release.at("paused"), expected_generation=release.generation, stage="paused", about=release.candidate, why=why)
    raise TooFewRequests(
        f"version {release.candidate.version} of {release.use_case} is paused: {why}. It stays loaded and gets no traffic. Clear this task "
        "when there is traffic again, or give the use case a Rollout that fits its traffic."
    )


def _is_wanted(folder: RunFolder) -> bool:
    """Whether a person answers for the version of this run: chosen by hand, where no gate is asked, or let on against it."""
    if not storage.exists(folder.receipt_uri("judge_candidate")):
        return True
    return Judgement.from_figures(folder.receipt("judge_candidate").figures).override is not None


def _nothing_to_stand(use_case: UseCase) -> Stood:
    return Stood(read_release(use_case.name), Counts(), Counts())


def _place(release: Release) -> str:
    return f"canary {release.share} %" if release.stage == "canary" else release.stage
