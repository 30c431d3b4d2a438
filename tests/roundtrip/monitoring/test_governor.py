"""The governor's rules, one row each: what it asks for, and everything it says held it back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.evaluation.skill import Skill
from roundtrip.monitoring.governor import History, Measurement, decide
from roundtrip.monitoring.performance import Performance
from roundtrip.monitoring.verdict import verdict_of

POLICY = RetrainPolicy(skill_loss=0.03, minimum_outcomes=2000, cooldown_partitions=2, budget_per_year=3)
DECAYED = Measurement(
    partition="2013-06", model_version="1", verdict="decayed", outcomes=27_000, loss=0.10, loss_low=0.07, inputs_drifted=(), data_faults=(),
)  # fmt: skip
QUIET = History(live_version="1", trained_through="2013-03", retrains_asked=(), run_in_flight=None)


def test_a_decayed_model_with_nothing_in_the_way_is_retrained_and_the_reason_gives_the_figures() -> None:
    decision = decide(DECAYED, POLICY, QUIET)
    assert decision.action == "retrain"
    (reason,) = decision.reasons
    for part in ("2013-06", "10.0 points", "limit 3.0 points", "7.0 points", "27,000 outcomes"):
        assert part in reason


@pytest.mark.parametrize(
    ("measurement", "history", "held_back"),
    [
        ({"verdict": "stable", "loss": 0.01, "loss_low": -0.01}, {}, ["less than the limit of 3.0 points", "may be chance"]),
        ({"verdict": "watch", "loss": 0.01, "loss_low": 0.005}, {}, ["less than the limit"]),
        ({"verdict": "watch", "loss": 0.05, "loss_low": -0.001}, {}, ["may be chance"]),
        ({"verdict": "unknown", "loss": 0.10, "loss_low": 0.07, "outcomes": 1999}, {}, ["1,999 outcomes are too few"]),
        ({"verdict": "unknown", "loss": None, "loss_low": None, "outcomes": 0}, {}, ["0 outcomes are too few"]),
        (
            {"verdict": "watch", "loss": 0.0, "loss_low": -0.02, "inputs_drifted": ("carrier",)}, {},
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
    assert len(decision.reasons) == len(held_back)
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


def measured(loss: Skill, rows: int = 5000) -> Performance:
    release = Skill(value=0.2, low=0.2, high=0.2)
    return Performance(rows=rows, mae=10, baseline_mae=12, coverage=0.8, skill=release, at_release=release, loss=loss)


@pytest.mark.parametrize(
    ("performance", "moved", "verdict"),
    [
        (None, True, "unknown"),
        (measured(Skill(value=0.1, low=0.05, high=0.15), rows=1999), True, "unknown"),
        (measured(Skill(value=0.1, low=0.05, high=0.15)), False, "decayed"),
        (measured(Skill(value=0.1, low=-0.05, high=0.25)), False, "watch"),
        (measured(Skill(value=0.02, low=0.01, high=0.03)), False, "watch"),
        (measured(Skill(value=0.0, low=-0.01, high=0.01)), True, "watch"),
        (measured(Skill(value=0.0, low=-0.01, high=0.01)), False, "stable"),
    ],
)
def test_the_verdict_in_one_word(performance: Performance | None, moved: bool, verdict: str) -> None:
    assert verdict_of(performance, moved=moved, policy=POLICY) == verdict
