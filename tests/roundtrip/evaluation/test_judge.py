from dataclasses import replace

import pytest

from roundtrip.contracts.use_cases import Gate
from roundtrip.evaluation.judge import judge
from roundtrip.evaluation.quality import Evaluation, Quality

GATE = Gate(minimum_rows=1000, minimum_skill=0.05, champion_margin=0.02)
GOOD = Quality(mae=10.0, skill=0.2, skill_low=0.15, skill_high=0.25, coverage=0.8)
EVALUATION = Evaluation(held_out_rows=5000, baseline_mae=12.5, candidate=GOOD, champion=None, champion_version=None, slices={})


def with_champion(mae: float) -> Evaluation:
    return replace(EVALUATION, champion=replace(GOOD, mae=mae), champion_version="3")


def test_a_good_first_candidate_passes_without_a_champion() -> None:
    judgement = judge(EVALUATION, GATE)
    assert judgement.passed
    assert len(judgement.rules) == 2


@pytest.mark.parametrize(("evaluation", "refused_for"), [
    (replace(EVALUATION, held_out_rows=999), "held-out rows"),
    (replace(EVALUATION, candidate=replace(GOOD, skill_low=0.049)), "skill against the baseline"),
    (with_champion(mae=9.8), "champion 3"),
])  # fmt: skip
def test_each_rule_refuses_and_says_its_value_and_limit(evaluation: Evaluation, refused_for: str) -> None:
    judgement = judge(evaluation, GATE)
    assert not judgement.passed
    refusing = [rule for rule in judgement.rules if not rule.passed]
    assert len(refusing) == 1
    assert refused_for in refusing[0].rule
    assert f"{refusing[0].value:.4g} (limit {refusing[0].limit:.4g})" in judgement.reason


@pytest.mark.parametrize("evaluation", [
    replace(EVALUATION, held_out_rows=1000, candidate=replace(GOOD, skill_low=0.05)),
    with_champion(mae=9.9),
    with_champion(mae=11.0),
])  # fmt: skip
def test_a_candidate_at_or_within_the_limits_passes(evaluation: Evaluation) -> None:
    assert judge(evaluation, GATE).passed


def test_all_rules_are_checked_even_when_the_first_refuses() -> None:
    bad = replace(with_champion(mae=1.0), held_out_rows=10, candidate=replace(GOOD, skill_low=-1.0))
    assert [rule.passed for rule in judge(bad, GATE).rules] == [False, False, False]
