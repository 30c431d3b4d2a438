"""A candidate among real traffic: a real gateway, the real Triton, versions that are good and versions that are not."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from roundtrip.contracts.errors import CandidateMisbehaves, ReleaseConflict, TooFewRequests
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import Rollout
from roundtrip.registry.version_folder import publish
from roundtrip.serving.compile import build_version
from roundtrip.serving.gateway.triton_http import ADMIN_HEADER
from roundtrip.serving.going_back import version_to_leave
from roundtrip.serving.release import Release, change, history, read_release, watch
from roundtrip.serving.release_steps import promote, roll_back, wait_for_gateway
from roundtrip.serving.release_steps import stage as load_beside
from roundtrip.serving.rollout import Standing, stand_canary, stand_shadow
from roundtrip.serving.traffic import NO_SHIFT, ExpectedShift
from tests.roundtrip.evaluation.known_outcomes import asked_rows, build_off_by, write_features, write_log, write_outcomes
from tests.roundtrip.lakehouse.trips import TRIPS
from tests.roundtrip.serving.gateway_process import KEY, Setting, wait_until
from tests.roundtrip.serving.tiny_version import tiny_contract, tiny_network

pytestmark = pytest.mark.stack

QUICK = Rollout(shadow_requests=60, canary_shares=(20, 50), canary_requests=60, patience_minutes=1)
CALLERS = 4


class Spoilt(nn.Module):
    """The tiny network, and what spoils it."""

    def __init__(self, network: nn.Module, how: str) -> None:
        super().__init__()
        self.network = network
        self.how = how
        self.matrix = nn.Buffer(torch.randn(3000, 3000) / 3000)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        good = self.network(numbers, categories)
        if self.how == "constant":
            return good * 0 + 7
        if self.how == "shifted":
            return good + 500
        if self.how == "slow":
            wide = good[:, :1] @ self.matrix[:1]
            for _ in range(6):
                wide = wide @ self.matrix
            return good + 1e-9 * wide[:, :3]
        wrong = torch.remainder(numbers[:, :1], 10.0) < 1.0 if self.how == "sometimes NaN" else torch.ones_like(good[:, :1]) > 0
        return torch.where(wrong, torch.nan, good)


@pytest.fixture(scope="module")
def spoilt_versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A version folder for each way of being bad; the good one differs a little from the live one."""
    root, contract = tmp_path_factory.mktemp("spoilt"), tiny_contract()
    folders = {}
    for how in ("good", "constant", "shifted", "slow", "sometimes NaN", "always NaN"):
        folders[how] = root / how.replace(" ", "_")
        folders[how].mkdir()
        network = tiny_network(contract, seed=1)
        build_version(network if how == "good" else Spoilt(network, how), contract, folders[how])
    return folders


def standing(setting: Setting, version: str = "2", *, rollout: Rollout = QUICK) -> Standing:
    return Standing(use_case=replace(TRIPS, name=setting.name, rollout=rollout), version=version, expected_shift=NO_SHIFT, why="test")


def stage(setting: Setting, folder: Path, version: str = "2") -> None:
    load_beside(setting.name, version, digest=publish(folder, setting.name, version), why="test")


@contextmanager
def callers(setting: Setting) -> Iterator[Counter[tuple[int, str]]]:
    """Several callers with rows of their own, each under a key; counts (status, version)."""
    seen: Counter[tuple[int, str]] = Counter()
    stop = threading.Event()

    def ask(caller: int) -> None:
        random = np.random.default_rng(caller)
        with httpx.Client(base_url=setting.url, headers={"X-API-Key": KEY}, timeout=10) as client:
            while not stop.wait(0.002):
                row = {
                    "carrier": "AA",
                    "delay_minutes": float(random.uniform(-50, 200)),
                    "wind_mph": 7.5,
                    "key": f"{random.integers(10**6)}",
                }
                answer = client.post(f"/v1/models/{setting.name}:predict", json={"instances": [row]})
                said = answer.json()
                seen[answer.status_code, str(said.get("model_version"))] += 1
                assert all(np.isfinite(value) for value in said["predictions"][0].values() if not isinstance(value, str))

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_good_candidate_goes_from_shadow_through_the_canary_to_live_and_no_request_fails(
    setting: Setting, spoilt_versions: dict[str, Path]
) -> None:  # fmt: skip
    setting.release("1")
    with callers(setting) as seen:
        stage(setting, spoilt_versions["good"])
        shadow = stand_shadow(standing(setting))
        assert set(seen) == {(200, "1")}
        canary = stand_canary(standing(setting))
        assert seen[200, "2"] >= 2 * QUICK.canary_requests
        wait_for_gateway(promote(setting.name, "2", expected_generation=canary.release.generation, why="test"))
        wait_until(lambda: setting.predict().json()["model_version"] == "2", "the candidate is live")
    assert {status for status, _ in seen} == {200}
    assert shadow.candidate.requests >= QUICK.shadow_requests
    assert shadow.candidate.difference_squares == pytest.approx(0.0, abs=1e-3)
    assert [entry.stage for entry in history(setting.name)][2:] == ["staged", "shadow", "canary 20 %", "canary 50 %", "live"]


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        ("constant", "spread"), ("shifted", "shift"), ("slow", "latency"), ("sometimes NaN", "errors"), ("always NaN", "errors"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stands", [stand_shadow, stand_canary], ids=["shadow", "canary"])
def test_a_bad_candidate_is_rolled_back_by_itself_and_no_caller_sees_it_fail(
    setting: Setting, spoilt_versions: dict[str, Path], how: str, rule: str, stands: type
) -> None:  # fmt: skip
    setting.release("1")
    with callers(setting) as seen:
        stage(setting, spoilt_versions[how])
        started = time.monotonic()
        with pytest.raises(CandidateMisbehaves, match=rule):
            stands(standing(setting, rollout=replace(QUICK, shadow_requests=500, canary_requests=500)))
        assert time.monotonic() - started < 60
        assert read_release(setting.name).candidate is None
        wait_until(lambda: gets_nothing(seen), "the candidate gets nothing any more")
    assert {status for status, _ in seen} == {200}
    assert seen[200, "2"] <= 500
    assert history(setting.name)[-1].stage == "rolled back"
    assert rule in history(setting.name)[-1].why


@pytest.mark.parametrize("wanted", [False, True], ids=["retrained", "wanted by a person"])
def test_a_candidate_that_outcomes_speak_against_gets_no_request_unless_a_person_wants_it(
    setting: Setting, tmp_path: Path, capfd: pytest.CaptureFixture[str], wanted: bool
) -> None:
    near, off = build_off_by(tmp_path / "near", 0), build_off_by(tmp_path / "off", 20)
    stage(setting, near, "1")
    wait_for_gateway(promote(setting.name, "1", expected_generation=read_release(setting.name).generation, why="test"))
    rows = asked_rows(near)
    for write in (write_features, write_outcomes, write_log):
        write(rows, use_case_name=setting.name)
    stage(setting, off)
    stands = replace(standing(setting), expected_shift=ExpectedShift(mean=20), wanted=wanted)
    with callers(setting) as seen:
        if wanted:
            assert stand_shadow(stands).figures()["outcome_rows"] == 280
            assert read_release(setting.name).stage == "shadow"
        else:
            with pytest.raises(CandidateMisbehaves, match=r"rolled back from shadow: outcomes: MAE .* on 280 rows of 14 days"):
                stand_shadow(stands)
            assert (history(setting.name)[-1].stage, history(setting.name)[-1].version) == ("rolled back", "2")
    assert set(seen) == {(200, "1")}
    assert "shadow: MAE " in capfd.readouterr().out


def test_without_traffic_a_candidate_is_paused_and_goes_on_when_there_is_some(setting: Setting, spoilt_versions: dict[str, Path]) -> None:
    setting.release("1")
    stage(setting, spoilt_versions["good"])
    with pytest.raises(TooFewRequests, match=r"it saw 0 requests \(of 60\)"):
        stand_shadow(standing(setting, rollout=replace(QUICK, patience_minutes=0.05)))
    assert (read_release(setting.name).stage, read_release(setting.name).live.version) == ("paused", "1")  # type: ignore[union-attr]
    with callers(setting):
        stand_shadow(standing(setting))
    assert read_release(setting.name).stage == "shadow"


def test_while_nobody_watches_the_candidate_gets_nothing(setting: Setting, spoilt_versions: dict[str, Path]) -> None:
    """What a job leaves behind that was killed in the canary; and PostgreSQL away, where no job could see what is counted."""
    setting.release("1")
    stage(setting, spoilt_versions["good"])
    canary = begin_canary(setting, share=50)
    with callers(setting) as seen:
        watch(setting.name, canary.generation)
        wait_until(lambda: seen[200, "2"] > 0, "the candidate answers")
        wait_until(lambda: gets_nothing(seen), "the candidate gets nothing: nobody watched any more")
        watch(setting.name, canary.generation)
        wait_until(lambda: not gets_nothing(seen), "the candidate answers again")
        setting.database.cut()
        wait_until(lambda: gets_nothing(seen), "the candidate gets nothing: PostgreSQL is away")
        setting.database.mend()
    assert {status for status, _ in seen} == {200}


def test_in_the_canary_both_versions_are_asked_as_often_whoever_answers(setting: Setting, spoilt_versions: dict[str, Path]) -> None:
    """One that were asked less often would be slower for that alone."""
    setting.release("1")
    stage(setting, spoilt_versions["good"])
    canary = begin_canary(setting, share=10)
    assert canary.candidate is not None
    model, answered = canary.candidate.triton_model, Counter[str]()
    watch(setting.name, canary.generation)
    wait_until(lambda: ask_once(setting) == "2", "the candidate answers")
    before = [rows_asked_about(model, version) for version in ("1", "2")]
    for _ in range(100):
        watch(setting.name, canary.generation)
        answered[ask_once(setting)] += 1
    wait_until(lambda: rows_asked_about(model, "1") >= before[0] + 100, "the live version saw all")
    wait_until(lambda: rows_asked_about(model, "2") >= before[1] + 100, "the candidate saw all")
    assert 0 < answered["2"] < 40
    assert answered["1"] == 100 - answered["2"]


def ask_once(setting: Setting) -> str:
    """The version that answers a row of a new key."""
    instance = {"carrier": "AA", "delay_minutes": 5.0, "wind_mph": 7.5, "key": secrets.token_hex(8)}
    return str(setting.client.post(f"/v1/models/{setting.name}:predict", json={"instances": [instance]}).json()["model_version"])


def rows_asked_about(model: str, version: str) -> int:
    """Rows that Triton has answered with the version."""
    current = settings()
    address = f"{current.triton_http_url}/v2/models/{model}/versions/{version}/stats"
    stats = httpx.get(address, headers={ADMIN_HEADER: current.triton_admin_key}).json()
    return int(stats["model_stats"][0]["inference_count"])


def begin_canary(setting: Setting, *, share: int) -> Release:
    """The staged candidate in the canary, which nobody watches."""
    staged = read_release(setting.name)
    assert staged.candidate is not None
    changed = staged.at("canary", share=share)
    return change(changed, expected_generation=staged.generation, stage="canary", about=staged.candidate, why="test")


def gets_nothing(seen: Counter[tuple[int, str]]) -> bool:
    """Whether the candidate answers none of the requests of half a second, of which it should have half."""
    before = seen[200, "2"]
    time.sleep(0.5)
    return seen[200, "2"] == before


def test_somebody_who_rolls_back_by_hand_ends_the_watch(setting: Setting, spoilt_versions: dict[str, Path]) -> None:
    setting.release("1")
    stage(setting, spoilt_versions["good"])
    with callers(setting) as seen:
        by_hand = threading.Timer(3, lambda: roll_back(setting.name, version_to_leave(setting.name).version, why="by hand"))
        by_hand.start()
        with pytest.raises(ReleaseConflict, match="somebody else changed it"):
            stand_canary(standing(setting, rollout=replace(QUICK, canary_requests=10**6)))
        by_hand.join()
    assert {status for status, _ in seen} == {200}
    assert (history(setting.name)[-1].version, read_release(setting.name).live.version) == ("2", "1")  # type: ignore[union-attr]


def test_a_first_version_has_nothing_to_stand_beside(setting: Setting, spoilt_versions: dict[str, Path]) -> None:
    stage(setting, spoilt_versions["good"], "1")
    for stands in (stand_shadow, stand_canary):
        assert stands(standing(setting, "1")).candidate.requests == 0
    promote(setting.name, "1", expected_generation=read_release(setting.name).generation, why="test")
