import json
from dataclasses import replace

import numpy as np
import pytest

from roundtrip.contracts.errors import BadOverride
from roundtrip.contracts.names import MOST_CHARACTERS
from roundtrip.contracts.use_cases import Gate
from roundtrip.evaluation.judge import Judgement, Override, Rule, judge
from roundtrip.evaluation.quality import Evaluation
from roundtrip.evaluation.skill import Excess, excess_with_interval
from roundtrip.evaluation.slices import SliceFigures, SliceFound
from tests.roundtrip.evaluation.evaluations import EVALUATION, GOOD

GATE = Gate(minimum_rows=1000, minimum_skill=0.05, champion_margin=0.02, slice_margin=0.05, coverage_tolerance=0.15)
OVERRIDE = Override(by="Ada", reason="the champion has a leak")


def with_champion(excess: float) -> Evaluation:
    return replace(
        EVALUATION,
        champion=replace(GOOD, mae=GOOD.mae / (1 + excess)),
        champion_version="3",
        excess=Excess(value=excess, low=excess - 0.03, high=excess + 0.03),
    )


def with_slice(low: float, value: float = 0.2) -> Evaluation:
    excess = Excess(value=value, low=low, high=value + 0.2)
    judged = SliceFigures(mae=12.0, baseline_mae=11.0, champion_mae=10.0, excess=excess)
    slices = (
        SliceFound(input="origin", value="EWR", rows=1234, days=14, figures=judged),
        SliceFound(input="origin", value="SWF", rows=3, days=1, figures=None),
    )
    return replace(with_champion(0.0), slices=slices)


def test_a_good_first_candidate_passes_without_a_champion() -> None:
    judgement = judge(EVALUATION, GATE)
    assert judgement.passed
    assert len(judgement.rules) == 3


@pytest.mark.parametrize(("evaluation", "refused_for"), [
    (replace(EVALUATION, held_out_rows=999), "held-out rows"),
    (replace(EVALUATION, candidate=replace(GOOD, skill_low=0.049)), "skill against the baseline"),
    (replace(EVALUATION, candidate=replace(GOOD, coverage=0.64)), "coverage, 0.64, from its nominal 0.8"),
    (replace(EVALUATION, candidate=replace(GOOD, coverage=0.96)), "coverage, 0.96, from its nominal 0.8"),
    (replace(EVALUATION, candidate=replace(GOOD, mae=float("nan"), skill_low=float("nan"))), "skill against the baseline"),
    (with_champion(0.021), "champion 3, as a fraction"),
    (with_slice(low=0.051), "champion 3 on slice origin = EWR (1,234 rows"),
])  # fmt: skip
def test_each_rule_refuses_and_says_its_value_and_limit(evaluation: Evaluation, refused_for: str) -> None:
    judgement = judge(evaluation, GATE)
    assert not judgement.passed
    refusing = [rule for rule in judgement.rules if not rule.passed]
    assert len(refusing) == 1
    assert refused_for in refusing[0].rule
    assert judgement.reason == str(refusing[0])


def test_a_rule_shows_its_value_and_limit_as_a_reader_writes_them() -> None:
    assert str(Rule("rows, at least", 12683, 1000, passed=True)) == "rows, at least: 12,683 (limit 1,000)"
    assert str(Rule("skill, at least", 0.0494231, 0.05, passed=False)) == "skill, at least: 0.04942 (limit 0.05)"


@pytest.mark.parametrize("evaluation", [
    replace(EVALUATION, held_out_rows=1000, candidate=replace(GOOD, skill_low=0.05)),
    replace(EVALUATION, candidate=replace(GOOD, coverage=0.72)),
    with_champion(0.02),
    with_champion(-0.1),
    with_slice(low=0.05),
    with_slice(low=-0.2, value=0.3),
])  # fmt: skip
def test_a_candidate_at_or_within_the_limits_passes(evaluation: Evaluation) -> None:
    assert judge(evaluation, GATE).passed


def test_all_rules_are_checked_even_when_the_first_refuses() -> None:
    bad = replace(with_slice(low=1.0), held_out_rows=10, candidate=replace(GOOD, skill_low=-1.0, coverage=0.1))
    bad = replace(bad, excess=Excess(value=9.0, low=8.0, high=10.0))
    assert [rule.passed for rule in judge(bad, GATE).rules] == [False] * 5


def test_noise_on_a_small_slice_does_not_refuse_and_a_real_loss_there_does() -> None:
    """200 rows on 14 days, drawn many times: without a loss next to none is refused, at twice the error all are."""
    draw, days = np.random.default_rng(7), np.arange(200) % 14
    lows = {
        factor: [excess_with_interval(factor * draw.exponential(10, 200), draw.exponential(10, 200), days).low for _ in range(200)]
        for factor in (1.0, 2.0)
    }
    refused = {factor: sum(not judge(with_slice(low), GATE).passed for low in found) for factor, found in lows.items()}
    assert refused[1.0] < 0.05 * 200
    assert refused[2.0] > 0.95 * 200


def test_an_override_lets_a_refused_candidate_on_and_keeps_which_rules_it_overrode() -> None:
    refused = judge(with_slice(low=0.3), GATE)
    assert not refused.may_go_on
    judgement = refused.overridden(OVERRIDE)
    assert judgement.may_go_on and not judgement.passed
    assert judgement.figures()["override"] == {"by": "Ada", "reason": "the champion has a leak", "rules": [refused.reason]}
    assert "origin = EWR" in refused.reason


def test_a_candidate_that_passes_needs_no_override_and_none_is_recorded() -> None:
    judgement = judge(EVALUATION, GATE).overridden(OVERRIDE)
    assert (judgement.override, judgement.figures()["override"]) == (None, None)


@pytest.mark.parametrize(("by", "reason", "message"), [
    ("Ada", "", "--override-by is 'Ada' and --override-reason is empty: give both"),
    ("", "leak", "--override-reason is 'leak' and --override-by is empty: give both"),
    ("Ada", " \n", "--override-reason is empty"),
    ("Ada", "x" * (MOST_CHARACTERS + 1), f"--override-reason has {MOST_CHARACTERS + 1} characters"),
])  # fmt: skip
def test_an_override_takes_a_name_and_a_reason(by: str, reason: str, message: str) -> None:
    with pytest.raises(BadOverride, match=message):
        Override.asked(by=by, reason=reason)


def test_no_override_is_asked_for_by_default() -> None:
    assert Override.asked(by="", reason="") is None
    assert Override.asked(by=" Ada ", reason="a\nleak") == Override(by="Ada", reason="a leak")


@pytest.mark.parametrize("override", [None, OVERRIDE])
def test_a_judgement_reads_back_from_its_receipt(override: Override | None) -> None:
    judgement = judge(with_slice(low=0.3), GATE).overridden(override)
    assert Judgement.from_figures(json.loads(json.dumps(judgement.figures(), allow_nan=False))) == judgement
