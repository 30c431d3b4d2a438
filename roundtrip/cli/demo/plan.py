"""What the demo does next, from what is there already: a pure function, so that a demo stopped anywhere goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["land", "await_asset", "train", "await_train", "send_requests", "await_drift", "await_retrain"]


@dataclass(frozen=True)
class Step:
    """One thing to do. `subject` is a feed, an asset's last part, or a DAG's last part; `months` are those it is about."""

    verb: Verb
    subject: str
    months: tuple[str, ...]

    def __str__(self) -> str:
        months = self.months[0] if len(self.months) == 1 else f"{self.months[0]}..{self.months[-1]}"
        said = {
            "land": f"land the files of {self.subject}",
            "await_asset": f"wait for {self.subject}",
            "train": "start the first training",
            "await_train": "wait for the first model to be released",
            "send_requests": "ask the gateway about that month's rows",
            "await_drift": "wait for the outcomes to be compared with the predictions",
            "await_retrain": "wait for the retrained model to replace the live one",
        }
        return f"{months}: {said[self.verb]}"


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Months to train on first, and months to replay after the first release."""

    training: tuple[str, ...]
    replayed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is there already, as the landing zone, Airflow and the demo's own record of requests say."""

    landed: frozenset[tuple[str, str]] = frozenset()
    """Feed and month of every marker that was laid down, taken or not."""
    ready: frozenset[tuple[str, str]] = frozenset()
    """Last part of the asset and month, of every event."""
    train_started: bool = False
    """Whether the demo's first training run was triggered."""
    released: bool = False
    """Whether any model was released."""
    asked: frozenset[str] = frozenset()
    """Months whose sample of requests was sent."""
    watched: frozenset[str] = frozenset()
    """Months whose drift check ended well."""
    retrained: Mapping[str, bool] = field(default_factory=dict)
    """Months that asked for a retrain → whether that run has ended well."""


def next_step(calendar: Calendar, progress: Progress, *, operations: str, outcomes: str) -> Step | None:
    """The next step, None when all is done. `operations` and `outcomes` name the feeds, whose assets are features and outcomes."""
    first = _first_release(calendar.training, progress, operations, outcomes)
    if first:
        return first
    for month in calendar.replayed:
        step = _month(month, progress, operations, outcomes)
        if step:
            return step
    return None


def _first_release(months: Sequence[str], progress: Progress, operations: str, outcomes: str) -> Step | None:
    for feed in (operations, outcomes):
        missing = tuple(month for month in months if (feed, month) not in progress.landed)
        if missing:
            return Step("land", feed, missing)
    for asset in ("features", "outcomes"):
        missing = tuple(month for month in months if (asset, month) not in progress.ready)
        if missing:
            return Step("await_asset", asset, missing)
    if progress.released:
        return None
    return Step("await_train" if progress.train_started else "train", "train_and_release", tuple(months))


def _month(month: str, progress: Progress, operations: str, outcomes: str) -> Step | None:
    conditions = (
        ((operations, month) in progress.landed, Step("land", operations, (month,))),
        (("features", month) in progress.ready, Step("await_asset", "features", (month,))),
        (month in progress.asked, Step("send_requests", "gateway", (month,))),
        ((outcomes, month) in progress.landed, Step("land", outcomes, (month,))),
        (month in progress.watched, Step("await_drift", "watch_drift", (month,))),
        (progress.retrained.get(month, True), Step("await_retrain", "train_and_release", (month,))),
    )
    return next((step for met, step in conditions if not met), None)
