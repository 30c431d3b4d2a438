"""What traffic shows of a candidate: counted by each gateway beside what it shows of the live version, summed up and judged.

The rules look at every poll, so each asks for three standard errors (`Z`): looked at a hundred times, two would cry wolf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

import numpy as np

from roundtrip.contracts.use_cases import Rollout
from roundtrip.serving.tensors import Predictions

Z = 3.0
CONFIRMING_Z, CONFIRMING_REQUESTS = 2.0, 100
"""Standard errors by which slowness must be seen a second time, in answers of its own, and the requests without it that drop the doubt."""
FIRST_SLOT_S = 1e-4
SLOT_FACTOR = 1.05
SLOTS = 200
"""Of the histogram of seconds: from 0.1 ms to 1.6 s, each a twentieth longer than the one before."""
FEWEST = 20
"""Requests below which nothing is said of either version."""
LARGEST_TAIL = 0.02
"""How much larger than the live version's the share of its answers may be that take longer than the live p99 and `largest_slowdown`."""
CONSTANT = 0.1
"""Spread, as a fraction of the live version's, below which a candidate counts as constant though it was asked about other rows, or few."""
SPREAD_ROWS = 100
"""Rows below which a spread is too uncertain to compare it with `smallest_spread`."""


@dataclass(kw_only=True)
class Counts:
    """Of one version, at one generation of the release document. All are sums, so those of several gateways add up."""

    requests: int = 0
    errors: int = 0
    """Requests with no answer in time, or one with a number that is none (NaN, infinite). Never seen by a caller."""
    rows: int = 0
    """Answered; the sums below are over them, of the first output, in its unit."""
    total: float = 0.0
    squares: float = 0.0
    difference: float = 0.0
    """In the shadow: candidate less live version, on identical rows."""
    difference_squares: float = 0.0
    slots: list[int] = field(default_factory=lambda: [0] * SLOTS)
    """Requests by the seconds that the version's engine took."""

    def failed(self) -> None:
        """One request without a usable answer."""
        self.requests += 1
        self.errors += 1

    def answered(self, predictions: Predictions, seconds: float, *, beside: Predictions | None = None) -> None:
        """One request with its answer float32 [n, outputs]; `beside`: what the live version said of the same rows."""
        first = predictions[:, 0].astype(np.float64)
        self.requests += 1
        self.rows += len(first)
        self.total += float(first.sum())
        self.squares += float(first @ first)
        self.slots[_slot(seconds)] += 1
        if beside is not None:
            apart = first - beside[:, 0]
            self.difference += float(apart.sum())
            self.difference_squares += float(apart @ apart)

    @classmethod
    def summed(cls, parts: Iterable[Counts]) -> Counts:
        """The counts of several gateways together."""
        whole = cls()
        for part in parts:
            for entry in fields(cls):
                if entry.name != "slots":
                    setattr(whole, entry.name, getattr(whole, entry.name) + getattr(part, entry.name))
            whole.slots = [first + second for first, second in zip(whole.slots, part.slots, strict=True)]
        return whole

    def since(self, earlier: Counts) -> Counts:
        """What was counted after `earlier`."""
        sums = {entry.name: getattr(self, entry.name) - getattr(earlier, entry.name) for entry in fields(self) if entry.name != "slots"}
        return Counts(**sums, slots=[now - before for now, before in zip(self.slots, earlier.slots, strict=True)])

    @property
    def mean(self) -> float:
        return self.total / self.rows if self.rows else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation of the first output."""
        return _spread(self.rows, self.total, self.squares)

    def slower_than(self, seconds: float) -> int:
        """Answered requests that took longer, to the width of a slot."""
        return sum(self.slots[_slot(seconds) + 1 :])

    def quantile(self, share: float, *, errors: float = 0.0) -> float:
        """Seconds within which that share of the requests was answered, moved by so many standard errors of its rank."""
        answered = sum(self.slots)
        rank = answered * share + errors * math.sqrt(answered * share * (1 - share))
        reached = np.searchsorted(np.cumsum(self.slots), min(max(rank, 1.0), answered))
        return FIRST_SLOT_S * SLOT_FACTOR ** float(reached)


@dataclass(frozen=True)
class Found:
    """What is wrong with a candidate: the figure, the limit, in words."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(frozen=True)
class ExpectedShift:
    """How a candidate's predictions differ from the live version's on the held-out rows, in their unit. There outcomes said that they are
    right to: a candidate that learned what changed in the world must predict otherwise.
    """

    mean: float = 0.0
    spread: float = 0.0
    """Standard deviation from row to row: by as much the mean of other rows, of a colder day, may differ."""


NO_SHIFT = ExpectedShift()


class Judge:
    """Judges the counts of one stage as they grow.

    Slow answers come together: a moment in which the machine holds one of the two engines up is one observation, however many requests
    it met. So slowness, once it is seen, must be seen again in the answers given from then on, or it is dropped.
    """

    def __init__(self, rollout: Rollout, *, expected_shift: ExpectedShift = NO_SHIFT) -> None:
        self._rollout = rollout
        self._expected_shift = expected_shift
        self._base = Counts(), Counts()
        self._doubted: tuple[Counts, Counts] | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether slowness was seen and is not confirmed: nothing can be said of the candidate yet."""
        return self._doubted is not None

    def look(self, candidate: Counts, live: Counts) -> list[Found]:
        """What the counts hold against the candidate, each beyond doubt (Z); nothing before FEWEST requests of it."""
        if candidate.requests < FEWEST:
            return []
        return [
            *_errors(candidate, live, self._rollout),
            *_predictions(candidate, live, self._rollout, self._expected_shift),
            *self._slowness(candidate, live),
        ]

    def _slowness(self, candidate: Counts, live: Counts) -> list[Found]:
        base = self._doubted or self._base
        seen = candidate.since(base[0])
        found = list(_latency(seen, live.since(base[1]), self._rollout, z=Z if self._doubted is None else CONFIRMING_Z))
        if self._doubted is None:
            self._doubted = (candidate, live) if found else None
            return []
        if not found and seen.requests >= CONFIRMING_REQUESTS:
            self._base, self._doubted = self._doubted, None
        return found


def _errors(candidate: Counts, live: Counts, rollout: Rollout) -> Iterator[Found]:
    """Triton away is not the candidate's fault: the live version then fails as often."""
    low, _ = wilson(candidate.errors, candidate.requests)
    if low > rollout.largest_error_share + live.errors / max(live.requests, 1):
        beside = f"of the live version {live.errors} of {live.requests}"
        text = f"{candidate.errors} of {candidate.requests} requests got no usable answer, {beside}"
        yield Found("errors", f"{text} (limit {rollout.largest_error_share:.1%})")


def _latency(candidate: Counts, live: Counts, rollout: Rollout, *, z: float) -> Iterator[Found]:
    if min(sum(candidate.slots), sum(live.slots)) < FEWEST:
        return
    allowed = 1 + rollout.largest_slowdown
    each = z / 2  # both medians are uncertain, and the allowance lies between them too
    mine, lives = candidate.quantile(0.5, errors=-each), live.quantile(0.5, errors=each)
    if mine > allowed * lives:
        yield Found(
            "latency", f"the median is at least {mine * 1e3:.1f} ms, the live version's at most {lives * 1e3:.1f} (limit × {allowed:g})"
        )
    tail = allowed * live.quantile(0.99)
    slow = candidate.slower_than(tail)
    _, lives_share = wilson(live.slower_than(tail), sum(live.slots), z=z)  # of few answers nobody knows the slowest hundredth
    if wilson(slow, sum(candidate.slots), z=z)[0] > LARGEST_TAIL + lives_share:
        yield Found("tail latency", f"{slow} of {sum(candidate.slots)} answers took over {tail * 1e3:.1f} ms, {allowed:g} × the live p99")


def _predictions(candidate: Counts, live: Counts, rollout: Rollout, expected: ExpectedShift) -> Iterator[Found]:
    if min(candidate.rows, live.rows) < FEWEST or not live.spread > 0:
        return
    paired = candidate.difference_squares > 0
    shift = candidate.difference / candidate.rows if paired else candidate.mean - live.mean
    if paired:
        error = _spread(candidate.rows, candidate.difference, candidate.difference_squares) / math.sqrt(candidate.rows)
    else:
        error = math.hypot(candidate.spread / math.sqrt(candidate.rows), live.spread / math.sqrt(live.rows))
    limit = rollout.largest_shift * live.spread + expected.spread
    if abs(shift - expected.mean) - Z * error > limit:
        text = f"predictions lie {shift:+.2f} from the live version's, on the held-out rows {expected.mean:+.2f}"
        yield Found("shift", f"{text} (limit: {limit:.2f} apart)")
    comparable = paired and candidate.rows >= SPREAD_ROWS
    smallest = (rollout.smallest_spread if comparable else CONSTANT) * live.spread
    if candidate.spread < smallest:
        yield Found(
            "spread", f"predictions spread by {candidate.spread:.2f}, the live version's by {live.spread:.2f} (limit {smallest:.2f})"
        )


def wilson(hits: int, tries: int, *, z: float = Z) -> tuple[float, float]:
    """Ends of the score interval for a share (Wilson, 1927)."""
    if not tries:
        return 0.0, 1.0
    share, weight = hits / tries, z * z / tries
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / tries + weight / (4 * tries)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def _slot(seconds: float) -> int:
    place = math.ceil(math.log(max(seconds, FIRST_SLOT_S) / FIRST_SLOT_S) / math.log(SLOT_FACTOR))
    return min(place, SLOTS - 1)


def _spread(count: int, total: float, squares: float) -> float:
    if count < 2:
        return 0.0
    return math.sqrt(max(squares - total * total / count, 0.0) / (count - 1))
