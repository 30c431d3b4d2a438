"""Drift of the model's inputs: a partition against the rows that the model was trained on, one by one and together.

What counts as drifted is calibrated by the reference itself: an input must move LIMIT_FACTOR times as far as the reference's own months
(weeks, where it has fewer than two months) lie from the rest of it, and LEAST_EFFECT at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from roundtrip.contracts.use_cases import Input
from roundtrip.monitoring.effect_size import MINIMUM_ROWS, Drift, stability_index
from roundtrip.monitoring.joint import JointDrift, Moments, pair_effects
from roundtrip.monitoring.profile import Profile, ReferenceProfile

LEAST_EFFECT = 0.005
"""PSI below which nothing counts, however still the reference lay. A bell-shaped number that is scaled by 1.1 moves by 0.008 to 0.018, so
that a limit of 0.1 or 0.25, which the literature names, would never see it."""
LEAST_JOINT_EFFECT = 0.3
"""Cohen's q below which no pair counts: what is called medium. Between two seasons of flight_eta the pair that moves most reaches 0.35."""
LIMIT_FACTOR = 2.0
"""How many times as far as the reference's own parts lie apart."""
WEEKS_OF_A_PART = 4
"""Weeks of a part, where the reference has two such parts at least; else one."""
UNUSUALLY_MISSING = 0.1
"""Share of the rows that must lack a value beyond the worst part of the reference, for the input to be broken and not drifted."""


def input_drifts(inputs: tuple[Input, ...], reference: ReferenceProfile, current: Profile) -> dict[str, Drift]:
    """The drift of each of the inputs by name."""
    return {entry.name: input_drift(entry, reference, current) for entry in inputs}


def input_drift(entry: Input, reference: ReferenceProfile, current: Profile) -> Drift:
    """The drift of one input."""
    before, now = reference.profile.total(entry.name), current.total(entry.name)
    rows, reference_rows = int(now.sum()), int(before.sum())
    missing, reference_missing = (float(counts[-1] / max(counts.sum(), 1)) for counts in (now, before))
    if min(rows, reference_rows) < MINIMUM_ROWS:
        note = f"{rows:,} rows against {reference_rows:,}: nothing is stated below {MINIMUM_ROWS}"
        return Drift(
            effect=None, drifted=False, rows=rows, reference_rows=reference_rows, note=note, missing=missing,
            reference_missing=reference_missing,
        )  # fmt: skip
    effect, limit = stability_index(before, now), _limit(entry.name, reference.profile)
    parts = [reference.profile.total(entry.name, part) for part in _parts(reference.profile.weeks())]
    return Drift(
        effect=round(effect.value, 4),
        effect_low=round(effect.low, 4),
        effect_high=round(effect.high, 4),
        limit=round(limit, 4),
        drifted=effect.low >= limit,
        rows=rows,
        reference_rows=reference_rows,
        note=_note(entry, reference.profile, current, now),
        missing=missing,
        reference_missing=reference_missing,
        usual_missing=max(float(counts[-1] / counts.sum()) for counts in parts),
    )


def joint_drift(reference: ReferenceProfile, current: Profile) -> JointDrift:
    """How far the pairs of inputs moved: the pair that moved most beyond its limit."""
    plan, parts = reference.plan.joint, _parts(reference.profile.weeks())
    if min(reference.profile.rows, current.rows) < MINIMUM_ROWS or len(set(plan.names)) < 2:
        note = f"{current.rows:,} rows against {reference.profile.rows:,}, {len(set(plan.names))} inputs: nothing is stated"
        return JointDrift(rows=current.rows, note=note)
    before, now = _moments(reference.profile), _moments(current)
    effects, widths = pair_effects(plan, before, now)
    apart = [
        np.nan_to_num(pair_effects(plan, _moments(reference.profile, rest), _moments(reference.profile, part))[0])
        for part, rest in _each(parts)
    ]
    limits = np.maximum(LEAST_JOINT_EFFECT, LIMIT_FACTOR * np.max([np.zeros_like(effects), *apart], axis=0))
    beyond = np.nan_to_num(effects - widths - limits, nan=-np.inf)
    first, second = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
    if not np.isfinite(beyond[first, second]):
        return JointDrift(rows=current.rows, note="no pair of inputs has enough rows, or varies, on both sides")
    effect, width = float(effects[first, second]), float(widths[first, second])
    return JointDrift(
        effect=round(effect, 4),
        effect_low=round(max(0.0, effect - width), 4),
        effect_high=round(effect + width, 4),
        limit=round(float(limits[first, second]), 4),
        drifted=bool(beyond[first, second] >= 0),
        pair=(plan.labels[first], plan.labels[second]),
        correlation=round(float(now.correlations()[first, second]), 4),
        reference_correlation=round(float(before.correlations()[first, second]), 4),
        pairs=int(np.isfinite(effects).sum()),
        rows=current.rows,
    )


def inputs_drifted(inputs: tuple[Input, ...], drifts: dict[str, Drift]) -> list[str]:
    """Inputs that raise an alarm, strongest first: those drifted, without those that must drift (season, calendar, weather)."""
    by_nature = {entry.name for entry in inputs if entry.drifts_by_nature}
    alarms = [name for name, drift in drifts.items() if drift.drifted and name not in by_nature]
    return sorted(alarms, key=lambda name: -(drifts[name].effect or 0.0))


def inputs_broken(drifts: dict[str, Drift]) -> list[str]:
    """Inputs that lack values far more often than they ever did in training: a fault of the data, which no retrain mends."""
    return sorted(
        name for name, drift in drifts.items() if drift.effect is not None and drift.missing >= drift.usual_missing + UNUSUALLY_MISSING
    )


def data_faults(inputs: tuple[Input, ...], drifts: dict[str, Drift]) -> list[str]:
    """A sentence for each broken input, with the landed source that it is made from."""
    broken = set(inputs_broken(drifts))
    return [
        f"Input {entry.name} arrives without a value in {drifts[entry.name].missing:.0%} of the rows, "
        f"{drifts[entry.name].reference_missing:.0%} in training: look at {f'source {entry.source}' if entry.source else 'its source'}."
        for entry in inputs
        if entry.name in broken
    ]


def _limit(name: str, reference: Profile) -> float:
    parts = _parts(reference.weeks())
    apart = (stability_index(reference.total(name, rest), reference.total(name, part)).value for part, rest in _each(parts))
    return max(LEAST_EFFECT, LIMIT_FACTOR * max(apart, default=0.0))


def _parts(weeks: list[int]) -> list[list[int]]:
    """The reference's weeks, in parts."""
    if not weeks:
        return []
    length = WEEKS_OF_A_PART if weeks[-1] - weeks[0] + 1 >= 2 * WEEKS_OF_A_PART else 1
    parts: dict[int, list[int]] = {}
    for week in weeks:
        parts.setdefault((week - weeks[0]) // length, []).append(week)
    return [*parts.values()]


def _each(parts: list[list[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Each part with the weeks of all others; nothing where there is one alone."""
    if len(parts) > 1:
        for place, part in enumerate(parts):
            yield part, [week for other in parts[:place] + parts[place + 1 :] for week in other]


def _moments(profile: Profile, weeks: list[int] | None = None) -> Moments:
    chosen = [profile.moments[week] for week in (profile.weeks() if weeks is None else weeks)]
    return reduce(add, chosen)


def _note(entry: Input, reference: Profile, current: Profile, counts: NDArray[np.float64]) -> str:
    """What a reader should know of the current values."""
    known = counts[:-1].sum()
    if known == 0:
        return "every value is missing"
    if entry.kind == "number":
        (low, high), before = current.ranges[entry.name], reference.ranges.get(entry.name)
        return f"constant {low:g}" if low == high and before and before[0] < before[1] else ""
    new = current.values[entry.name]
    if not new:
        return ""
    named = ", ".join(sorted(new, key=lambda value: -new[value])[:3])
    return f"{len(new)} new: {named} ({sum(new.values()) / known:.1%} of the known values)"
