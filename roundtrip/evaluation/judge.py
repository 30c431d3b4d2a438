"""The gate: what a candidate must show before it may be registered. Every rule is checked, and each says what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import Gate
from roundtrip.evaluation.quality import Evaluation


@dataclass(frozen=True)
class Rule:
    """One rule of the gate, checked."""

    rule: str
    value: float
    limit: float
    passed: bool

    def __str__(self) -> str:
        return f"{self.rule}: {self.value:.4g} (limit {self.limit:.4g})"


@dataclass(frozen=True)
class Judgement:
    """All rules of the gate, checked."""

    rules: tuple[Rule, ...]

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    @property
    def reason(self) -> str:
        """The rules that refuse the candidate."""
        return "; ".join(str(rule) for rule in self.rules if not rule.passed)

    def figures(self) -> dict[str, Figure]:
        """For the receipt of `judge_candidate`."""
        return {"passed": self.passed, "rules": [asdict(rule) for rule in self.rules]}


def judge(found: Evaluation, gate: Gate) -> Judgement:
    """Check every rule of the gate; the one about the champion only when there is a champion."""
    skill = found.candidate.skill_low
    rules = [
        Rule("held-out rows, at least", found.held_out_rows, gate.minimum_rows, found.held_out_rows >= gate.minimum_rows),
        Rule("skill against the baseline (low end of its 95 % interval), at least", skill, gate.minimum_skill, skill >= gate.minimum_skill),
    ]
    if found.champion is not None:
        excess = found.candidate.mae / found.champion.mae - 1
        rule = f"MAE above that of champion {found.champion_version}, as a fraction, at most"
        rules.append(Rule(rule, excess, gate.champion_margin, excess <= gate.champion_margin))
    return Judgement(tuple(rules))
