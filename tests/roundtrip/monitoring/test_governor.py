"""The governor's rules, one row each: what it asks for, and everything it says held it back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from roundtrip.contracts.errors import BadDeclaration
from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.evaluation.skill import Skill
from roundtrip.monitoring.governor import History, Measurement, decide
from roundtrip.monitoring.performance import Performance
from roundtrip.monitoring.refit import Refit
from roundtrip.monitoring.verdict import cause_of, verdict_of

POLICY = RetrainPolicy(refit_gain=0.02, minimum_outcomes=2000, cooldown_partitions=2, budget_per_year=3)
DECAYED = Measurement(
    partition="2013-06", model_version="1", verdict="decayed", cause="concept drift", outcomes=27_000, mae=12.7, baseline_mae=14.2,
    loss=0.10, loss_low=0.07, refit_mae=12.2, refit_gain=0.034, refit_gain_low=0.021,
)  # fmt: skip
SMALL = {"verdict": "stable", "loss": 0.01, "refit_gain": 0.007, "refit_gain_low": -0.002}
QUIET = History(live_version="1", trained_through="2013-03", retrains_asked=(), run_in_flight=None)


def test_a_decayed_model_with_nothing_in_the_way_is_retrained_and_the_reason_gives_the_figures() -> None:
    decision = decide(DECAYED, POLICY, QUIET)
    assert decision.action == "retrain"
    (reason,) = decision.reasons
    for part in ("2013-06", "save 3.4 %", "limit 2.0 %", "at least 2.1 %", "27,000 outcomes", "concept drift"):
        assert part in reason


@pytest.mark.parametrize(
    ("measurement", "history", "held_back"),
    [
        (SMALL, {}, ["save 0.7 % of the live model's error, less than the limit of 2.0 %", "starts at -0.2 %"]),
        ({"verdict": "watch", "refit_gain": 0.05, "refit_gain_low": -0.001, "loss": 0.0}, {}, ["may be chance"]),
        (
            {"verdict": "watch", "refit_gain": 0.01, "refit_gain_low": 0.002}, {},
            ["less than the limit", "10.0 points of skill were lost since the release: months that are harder"],
        ),
        ({"verdict": "unknown", "outcomes": 1999}, {}, ["1,999 outcomes are too few"]),
        (
            {"verdict": "watch", "outcomes": 0, "loss": None, "refit_gain": None, "inputs_drifted": ("carrier",)}, {},
            ["0 outcomes are too few", "Inputs drifted (carrier), but input drift alone never retrains"],
        ),
        ({"refit_gain": None, "refit_gain_low": None}, {}, ["What a refit gains is unknown"]),
        (
            SMALL | {"inputs_drifted": ("carrier",)}, {},
            ["less than the limit", "may be chance", "Inputs drifted (carrier), but input drift alone never retrains"],
        ),
        ({"data_faults": ("Input carrier arrives empty.",)}, {}, ["Bad data: fix it, don't retrain. Input carrier arrives empty."]),
        ({}, {"live_version": "2"}, ["Version 1 was measured, but 2 is live by now"]),
        ({}, {"run_in_flight": "manual__1"}, ["train run manual__1 is in flight"]),
        ({}, {"trained_through": "2013-05"}, ["Cooldown: 1 of 2 partitions passed since 2013-05"]),
        ({}, {"retrains_asked": ("2012-07", "2013-01", "2013-04")}, ["Budget spent: 3 of 3 retrains"]),
        (
            {"data_faults": ("Empty.",)}, {"run_in_flight": "r", "trained_through": "2013-06"},
            ["Bad data", "in flight", "Cooldown: 0 of 2"],
        ),
    ],
)  # fmt: skip
def test_each_rule_holds_a_retrain_back_and_all_of_them_are_said(
    measurement: dict[str, object], history: dict[str, object], held_back: list[str]
) -> None:
    decision = decide(replace(DECAYED, **measurement), POLICY, replace(QUIET, **history))  # type: ignore[arg-type]
    assert decision.action == "hold"
    assert len(decision.reasons) == len(held_back), decision.reasons
    for reason, part in zip(decision.reasons, held_back, strict=True):
        assert part in reason


@pytest.mark.parametrize(
    "history",
    [
        {"trained_through": "2013-04"},
        {"retrains_asked": ("2012-06", "2013-01", "2013-04")},
        {"retrains_asked": ("2013-07", "2013-08", "2013-09")},
        {"live_version": None, "trained_through": None},
    ],
    ids=["cooldown just passed", "one retrain lies a year back", "later partitions don't count", "no release on record"],
)
def test_a_rule_that_is_just_met_holds_nothing_back(history: dict[str, object]) -> None:
    assert decide(DECAYED, POLICY, replace(QUIET, **history)).action == "retrain"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decayed", "said"),
    [
        (("2013-04", "2013-05"), ""),
        (("2013-05",), "decay was seen in 2 of the 3 partitions"),
        (("2013-03", "2013-04"), "decay was seen in 1 of the 3 partitions"),
        ((), "decay was seen in 1 of the 3 partitions"),
    ],
)
def test_persistence_takes_decay_in_so_many_partitions_in_a_row(decayed: tuple[str, ...], said: str) -> None:
    decision = decide(DECAYED, replace(POLICY, persistence_partitions=3), replace(QUIET, decayed=decayed))
    assert decision.action == ("hold" if said else "retrain")
    assert said in decision.reasons[0]


def test_a_policy_that_means_nothing_is_refused_when_it_is_declared() -> None:
    with pytest.raises(BadDeclaration, match=r"persistence_partitions 0 \(1 at least\)"):
        RetrainPolicy(persistence_partitions=0)


def measured(loss: Skill, rows: int = 5000) -> Performance:
    release = Skill(value=0.2, low=0.2, high=0.2)
    return Performance(rows=rows, mae=10, baseline_mae=12, coverage=0.8, skill=release, at_release=release, loss=loss)


def refit(gain: float, low: float, familiar_low: float | None = None) -> Refit:
    familiar = None if familiar_low is None else Skill(value=gain, low=familiar_low, high=0.2)
    return Refit(
        rows=2000, learned_rows=50_000, live_mae=10, mae=10 * (1 - gain), gain=Skill(value=gain, low=low, high=0.2),
        judged_from="2013-06-16", familiar_rows=1500, familiar_gain=familiar, seconds=5,
    )  # fmt: skip


NO_LOSS, LOSS = Skill(value=0.0, low=-0.01, high=0.01), Skill(value=0.1, low=0.05, high=0.15)


@pytest.mark.parametrize(
    ("performance", "refitted", "moved", "verdict"),
    [
        (None, None, False, "unknown"),
        (None, None, True, "watch"),
        (measured(LOSS, rows=1999), None, False, "unknown"),
        (measured(NO_LOSS), refit(0.05, 0.03), False, "decayed"),
        (measured(NO_LOSS), refit(0.05, -0.01), False, "watch"),
        (measured(LOSS), refit(0.01, 0.005), False, "watch"),
        (measured(NO_LOSS), refit(0.01, 0.005), False, "stable"),
        (measured(NO_LOSS), refit(0.0, -0.01), True, "watch"),
        (measured(Skill(value=0.1, low=-0.05, high=0.25)), refit(0.0, -0.01), False, "stable"),
    ],
)
def test_the_verdict_in_one_word(performance: Performance | None, refitted: Refit | None, moved: bool, verdict: str) -> None:
    assert verdict_of(performance, refitted, moved=moved, policy=POLICY) == verdict


@pytest.mark.parametrize(
    ("verdict", "refitted", "moved", "faulty", "cause"),
    [
        ("decayed", refit(0.05, 0.03, familiar_low=0.02), True, True, "bad data"),
        ("decayed", refit(0.05, 0.03, familiar_low=0.02), True, False, "concept drift"),
        ("decayed", refit(0.05, 0.03, familiar_low=-0.01), True, False, "data drift"),
        ("decayed", refit(0.05, 0.03), True, False, "data drift"),
        ("watch", None, True, False, "data drift"),
        ("watch", refit(0.05, -0.01), False, False, "none"),
        ("stable", refit(0.0, -0.01), False, False, "none"),
    ],
)
def test_the_causes_are_told_apart(verdict: str, refitted: Refit | None, moved: bool, faulty: bool, cause: str) -> None:
    assert cause_of(verdict, refitted, moved=moved, faulty=faulty) == cause  # type: ignore[arg-type]
