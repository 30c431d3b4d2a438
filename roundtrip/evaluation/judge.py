"""The gate: what a candidate must show before it may be registered. Every rule is checked, and each says what it found.

A candidate that the gate refuses goes on only when a person says so, with name and reason: that is recorded wherever the version goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import msgspec

from roundtrip.contracts.errors import BadOverride
from roundtrip.contracts.names import MOST_CHARACTERS
from roundtrip.contracts.receipts import Figure
from roundtrip.contracts.use_cases import Gate
from roundtrip.evaluation.quality import Evaluation


def as_text(number: float) -> str:
    """A value or limit of a rule: 12,683 or 0.07419."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


@dataclass(frozen=True)
class Rule:
    """One rule of the gate, checked."""

    rule: str
    value: float
    limit: float
    passed: bool
    slice: str = ""
    """The name of the slice that it is about; empty for all held-out rows."""

    def __str__(self) -> str:
        return f"{self.rule}: {as_text(self.value)} (limit {as_text(self.limit)})"


@dataclass(frozen=True, kw_only=True)
class Override:
    """Who lets a refused candidate on, and why."""

    by: str
    reason: str

    @classmethod
    def asked(cls, *, by: str, reason: str) -> Override | None:
        """The override that a request asks for, None when both are empty; raises BadOverride when one of them is, or is too long."""
        by, reason = " ".join(by.split()), " ".join(reason.split())
        if bool(by) != bool(reason):
            lacks, has, given = ("reason", "by", by) if by else ("by", "reason", reason)
            raise BadOverride(f"--override-{has} is {given!r} and --override-{lacks} is empty: give both, or neither.")
        for name, text in (("by", by), ("reason", reason)):
            if len(text) > MOST_CHARACTERS:
                raise BadOverride(f"--override-{name} has {len(text)} characters (limit {MOST_CHARACTERS}): shorten it.")
        return cls(by=by, reason=reason) if by else None


@dataclass(frozen=True)
class Judgement:
    """All rules of the gate, checked, and the override that lets the candidate on nevertheless."""

    rules: tuple[Rule, ...]
    override: Override | None = None

    @property
    def passed(self) -> bool:
        return not self.refusing

    @property
    def may_go_on(self) -> bool:
        return self.passed or self.override is not None

    @property
    def refusing(self) -> tuple[Rule, ...]:
        """The rules that refuse the candidate."""
        return tuple(rule for rule in self.rules if not rule.passed)

    @property
    def reason(self) -> str:
        """What the refusing rules found, against which limit."""
        return "; ".join(str(rule) for rule in self.refusing)

    def __str__(self) -> str:
        if self.override is None:
            return f"the gate passes the candidate, by {len(self.rules)} rules."
        return f"the gate refuses the candidate. {self.reason}. {self.override.by} lets it on: {self.override.reason}"

    def overridden(self, override: Override | None) -> Judgement:
        """The same with the override, where it is needed: nothing is overridden for a candidate that passes."""
        return self if self.passed else replace(self, override=override)

    def figures(self) -> dict[str, Figure]:
        """For the receipt of `judge_candidate`."""
        figures: dict[str, Figure] = {"passed": self.passed, "rules": [asdict(rule) for rule in self.rules], "override": None}
        if self.override is not None:
            figures["override"] = {**asdict(self.override), "rules": [str(rule) for rule in self.refusing]}
        return figures

    @classmethod
    def from_figures(cls, figures: Mapping[str, Figure]) -> Judgement:
        """The judgement that a receipt holds."""
        return msgspec.convert(figures, cls)


def judge(found: Evaluation, gate: Gate) -> Judgement:
    """Check every rule of the gate; those about the champion only when there is a champion.

    Skill is judged by the low end of its interval, so what passes is better than the baseline beyond chance (the gate's minimum is
    not negative). Against the champion the whole span is judged by the measured excess itself: it has the rows to mean it. A slice is
    judged by the low end of its excess's paired interval, against a wider margin: it refuses only what is worse beyond the noise of a
    small slice. Slices that are too small are not judged.
    """
    skill = found.candidate.skill_low
    coverage, nominal = found.candidate.coverage, found.nominal_coverage
    rules = [
        Rule("held-out rows, at least", found.held_out_rows, gate.minimum_rows, found.held_out_rows >= gate.minimum_rows),
        Rule("skill against the baseline (low end of its 95 % interval), at least", skill, gate.minimum_skill, skill >= gate.minimum_skill),
        _at_most(
            f"distance of the interval's coverage, {coverage:.4g}, from its nominal {nominal:.4g}, at most",
            abs(coverage - nominal),
            gate.coverage_tolerance,
        ),
    ]
    if found.excess is not None:
        rule = f"MAE above that of champion {found.champion_version}, as a fraction, at most"
        rules.append(_at_most(rule, found.excess.value, gate.champion_margin))
    return Judgement((*rules, *_rules_of_slices(found, gate)))


def _rules_of_slices(found: Evaluation, gate: Gate) -> Iterator[Rule]:
    for entry in found.slices:
        if entry.figures is not None and entry.figures.excess is not None:
            rule = (
                f"MAE above that of champion {found.champion_version} on slice {entry.name} ({entry.rows:,} rows; "
                "low end of its 95 % interval), as a fraction, at most"
            )
            yield _at_most(rule, entry.figures.excess.low, gate.slice_margin, entry.name)


def _at_most(rule: str, value: float, limit: float, name_of_slice: str = "") -> Rule:
    return Rule(rule, value, limit, value <= limit, name_of_slice)
