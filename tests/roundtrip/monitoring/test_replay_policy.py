"""A dry run of another policy over what was measured: its own retrains count for its cooldown, budget and persistence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from roundtrip.contracts.use_cases import RetrainPolicy
from roundtrip.monitoring.decisions import DecisionRecord
from roundtrip.monitoring.governor import Decision, Measurement
from roundtrip.monitoring.replay_policy import replay

GAINS = {"2013-04": 0.007, "2013-05": 0.038, "2013-06": 0.018, "2013-07": 0.02, "2013-08": 0.025, "2013-09": 0.03}
POLICY = RetrainPolicy(refit_gain=0.015, cooldown_partitions=1, budget_per_year=4)


def recorded(partition: str, gain: float) -> DecisionRecord:
    measurement = Measurement(
        partition=partition, model_version="1", verdict="decayed", cause="concept drift", outcomes=27_000, loss=0.0, loss_low=0.0,
        refit_mae=12.0, refit_gain=gain, refit_gain_low=gain - 0.012 if gain < 0.01 else 0.002,
    )  # fmt: skip
    decided = Decision(action="retrain" if partition == "2013-05" else "hold", reasons=("as it was",))
    return DecisionRecord.of("flight_eta", measurement, decided, at=datetime(2026, 11, 25, tzinfo=UTC), run_dir="file:///runs/1")


RECORDS = [recorded(partition, gain) for partition, gain in GAINS.items()]


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        (POLICY, ["2013-05", "2013-06", "2013-07", "2013-08"]),
        (replace(POLICY, refit_gain=0.03), ["2013-05", "2013-09"]),
        (replace(POLICY, cooldown_partitions=2), ["2013-05", "2013-07", "2013-09"]),
        (replace(POLICY, budget_per_year=1), ["2013-05"]),
        (replace(POLICY, persistence_partitions=2), ["2013-06", "2013-08"]),
        (replace(POLICY, minimum_outcomes=30_000), []),
    ],
)
def test_each_rule_is_applied_to_what_this_policy_would_have_asked_for(policy: RetrainPolicy, asked: list[str]) -> None:
    replayed = replay(list(reversed(RECORDS)), policy)
    assert [each.record.partition for each in replayed if each.decision.action == "retrain"] == asked
    assert [each.record.partition for each in replayed if each.differs] == sorted({*asked} ^ {"2013-05"})


def test_bad_data_is_held_by_every_policy() -> None:
    broken = replace(RECORDS[1], data_faults=("Input carrier arrives without a value.",))
    (replayed,) = replay([broken], replace(POLICY, refit_gain=0.0))
    assert replayed.decision.action == "hold"
    assert "fix it, don't retrain" in replayed.decision.reasons[0]
