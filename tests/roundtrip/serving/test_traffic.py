"""What the counts of traffic say against a candidate, and what they must not."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from numpy.random import default_rng

from roundtrip.contracts.errors import BadDeclaration
from roundtrip.contracts.use_cases import Rollout
from roundtrip.serving.gateway.candidate_traffic import is_chosen
from roundtrip.serving.traffic import FEWEST, NO_SHIFT, SLOTS, Counts, ExpectedShift, Judge, wilson

ROLLOUT = Rollout()
RANDOM = default_rng(1)


def rules(candidate: Counts, live: Counts, *, expected_shift: ExpectedShift = NO_SHIFT) -> set[str]:
    """What is found when all is looked at at once."""
    return {found.rule for found in Judge(ROLLOUT, expected_shift=expected_shift).look(candidate, live)}


def rules_as_they_grow(candidates: list[Counts], lives: list[Counts]) -> set[str]:
    """What is found by looks at parts that come one after the other."""
    judge, found = Judge(ROLLOUT), set()
    for seen in range(1, len(candidates) + 1):
        found |= {each.rule for each in judge.look(Counts.summed(candidates[:seen]), Counts.summed(lives[:seen]))}
    return found


def counted(
    requests: int, *, errors: float = 0.0, slower: float = 1.0, tail: float = 0.0, shift: float = 0.0, spread: float = 40.0,
    beside: bool = False,
) -> Counts:  # fmt: skip
    """Requests of two rows each, with delays as flights have them: most of them small, some large."""
    counts = Counts()
    for _ in range(requests):
        if RANDOM.random() < errors:
            counts.failed()
            continue
        live = (RANDOM.exponential(40.0, size=(2, 3)) - 20).astype(np.float32)
        said = (live.mean() + (live - live.mean()) * spread / 40 + shift + RANDOM.normal(0, 2, size=(2, 3))).astype(np.float32)
        if spread == 0:
            said = np.full((2, 3), 7.0, dtype=np.float32)
        seconds = RANDOM.lognormal(np.log(0.003), 0.4) * slower * (10 if RANDOM.random() < tail else 1)
        counts.answered(said, seconds, beside=live if beside else None)
    return counts


@pytest.mark.parametrize("beside", [False, True], ids=["canary", "shadow"])
def test_a_good_candidate_is_not_held_up_by_chance(beside: bool) -> None:
    """Fifty candidates, looked at ten times each: a rule that cried wolf at one look in a hundred would be seen."""
    for _ in range(50):
        assert rules_as_they_grow([counted(20, beside=beside) for _ in range(10)], [counted(30) for _ in range(10)]) == set()


@pytest.mark.parametrize(
    ("bad", "any_of"),
    [
        ({"errors": 0.05}, {"errors"}),
        ({"slower": 1.5}, {"latency", "tail latency"}),
        ({"tail": 0.15}, {"tail latency"}),
        ({"shift": 30.0}, {"shift"}),
        ({"spread": 0.0}, {"spread"}),
    ],
    ids=["5 % errors", "slower by half and more", "some ten times as slow", "shifted", "constant"],
)
@pytest.mark.parametrize("beside", [False, True], ids=["canary", "shadow"])
def test_a_bad_candidate_is_found_within_five_hundred_requests(bad: dict[str, float], any_of: set[str], beside: bool) -> None:
    for _ in range(5):
        candidates = [counted(25, beside=beside, **bad) for _ in range(20)]
        assert rules_as_they_grow(candidates, [counted(75) for _ in range(20)]) & any_of


def slow_for_a_moment(requests: int) -> Counts:
    """A part in which the machine held up the candidate's engine."""
    return counted(requests, slower=20.0)


def test_a_moment_in_which_the_machine_holds_the_candidate_up_is_one_observation_however_many_requests_it_meets() -> None:
    good, lives = [counted(40) for _ in range(12)], [counted(40) for _ in range(13)]
    assert rules_as_they_grow([slow_for_a_moment(40), *good], lives) == set()
    assert rules_as_they_grow([*good[:6], slow_for_a_moment(40), *good[6:]], lives) == set()


def test_while_slowness_is_neither_confirmed_nor_dropped_nothing_can_be_said() -> None:
    judge, candidate, live = Judge(ROLLOUT), Counts(), Counts()
    said = []
    for part in (slow_for_a_moment(40), counted(30), counted(80), slow_for_a_moment(60), slow_for_a_moment(60)):
        candidate, live = Counts.summed([candidate, part]), Counts.summed([live, counted(100)])
        found = {found.rule for found in judge.look(candidate, live)}
        said.append((bool(found & {"latency", "tail latency"}), judge.in_doubt))
    assert said == [(False, True), (False, True), (False, False), (False, True), (True, True)]


def test_a_candidate_that_learned_what_changed_may_predict_otherwise() -> None:
    candidate, live = counted(200, shift=30.0, beside=True), counted(200)
    assert rules(candidate, live, expected_shift=ExpectedShift(28.0)) == set()
    assert rules(candidate, live, expected_shift=ExpectedShift(-30.0)) == {"shift"}


def test_other_rows_may_shift_by_as_much_as_the_held_out_ones_vary_and_no_more() -> None:
    candidate, live = counted(200, shift=30.0, beside=True), counted(200)
    assert rules(candidate, live, expected_shift=ExpectedShift(44.0, spread=1.0)) == {"shift"}
    assert rules(candidate, live, expected_shift=ExpectedShift(44.0, spread=8.0)) == set()
    assert rules(candidate, live, expected_shift=ExpectedShift(60.0, spread=8.0)) == {"shift"}


def test_a_candidate_that_predicts_too_evenly_is_found_on_identical_rows() -> None:
    assert "spread" in rules(counted(200, spread=5.0, beside=True), counted(200))


def test_three_slow_answers_of_twenty_seven_are_no_slow_tail() -> None:
    """As a busy machine gave them: the live version's slowest hundredth of some eighty answers is a guess."""
    candidate, live = counted(24), counted(80)
    for _ in range(3):
        candidate.answered(np.zeros((1, 3), dtype=np.float32), 0.2)
    assert rules_as_they_grow([candidate, counted(24)], [live, counted(80)]) == set()


def test_triton_away_is_not_the_candidates_fault() -> None:
    assert rules(counted(100, errors=0.5), counted(100, errors=0.5)) == set()


def test_nothing_is_said_of_a_handful_of_requests() -> None:
    assert rules(counted(FEWEST - 1, errors=1.0), counted(200)) == set()


def test_counts_of_several_gateways_add_up_and_survive_their_json() -> None:
    first, second = counted(30, errors=0.2), counted(40)
    whole = Counts.summed(Counts(**json.loads(json.dumps(asdict(part)))) for part in (first, second))
    assert (whole.requests, whole.errors, whole.rows) == (70, first.errors, first.rows + second.rows)
    assert whole.mean == pytest.approx((first.total + second.total) / whole.rows)
    assert sum(whole.slots) == 70 - first.errors


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 0.0031, 0.5, 60.0])
def test_a_quantile_is_at_most_a_twentieth_above_what_was_measured(seconds: float) -> None:
    counts = Counts()
    counts.answered(np.zeros((1, 3), dtype=np.float32), seconds)
    assert counts.quantile(0.5) / max(min(seconds, 1.6), 1e-4) == pytest.approx(1.025, abs=0.03)
    assert len(counts.slots) == SLOTS


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe (1998), table I: 1 of 29, and 0 of 20."""
    assert wilson(1, 29, z=1.96) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(0, 20, z=1.96) == pytest.approx((0.0, 0.1611), abs=1e-4)


@pytest.mark.parametrize("share", [1, 5, 25, 50])
def test_the_canary_answers_its_share_of_ten_thousand_requests_within_three_sigma(share: int) -> None:
    chosen = sum(is_chosen(f"2013-04-01_UA_{number}_EWR", "7", share=share) for number in range(10_000))
    assert abs(chosen - 100 * share) <= 3 * (10_000 * share / 100 * (1 - share / 100)) ** 0.5


def test_who_was_chosen_stays_chosen_as_the_share_rises() -> None:
    names = [f"flight {number}" for number in range(2_000)]
    before: set[str] = set()
    for share in (5, 25, 50):
        chosen = {name for name in names if is_chosen(name, "7", share=share)}
        assert before < chosen
        before = chosen


@pytest.mark.parametrize(
    "plan", [{"canary_shares": (25, 5)}, {"canary_shares": (0, 50)}, {"canary_shares": (50, 100)}, {"canary_requests": 5}]
)
def test_a_plan_that_can_not_be_carried_out_is_refused(plan: dict[str, object]) -> None:
    with pytest.raises(BadDeclaration, match=next(iter(plan))):
        Rollout(**plan)  # type: ignore[arg-type]
