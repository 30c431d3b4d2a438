"""A good candidate's evaluation, before the first release, for tests to change what they are about."""

from roundtrip.evaluation.quality import Evaluation, Quality

GOOD = Quality(mae=10.0, skill=0.2, skill_low=0.15, skill_high=0.25, coverage=0.8)
EVALUATION = Evaluation(
    held_out_rows=5000,
    baseline_mae=12.5,
    candidate=GOOD,
    champion=None,
    champion_version=None,
    excess=None,
    nominal_coverage=0.8,
    slices=(),
)
