"""What the demo does next depends on what is there and on nothing else: stopped anywhere, it goes on, and does nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from roundtrip.cli.demo.plan import Calendar, Progress, Step, next_step

CALENDAR = Calendar(training=("2013-01", "2013-02"), replayed=("2013-03", "2013-04"))


@dataclass
class World:
    """The world outside and Airflow, as far as the plan sees them. A step that waits sees Airflow get one thing done."""

    asks_for_retrain: frozenset[str] = frozenset()
    landed: set[tuple[str, str]] = field(default_factory=set)
    ready: set[tuple[str, str]] = field(default_factory=set)
    train_started: bool = False
    released: bool = False
    asked: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)
    retrained: dict[str, bool] = field(default_factory=dict)

    def progress(self) -> Progress:
        return Progress(
            landed=frozenset(self.landed), ready=frozenset(self.ready), train_started=self.train_started, released=self.released,
            asked=frozenset(self.asked), watched=frozenset(self.watched), retrained=dict(self.retrained),
        )  # fmt: skip

    def next_step(self) -> Step | None:
        return next_step(CALENDAR, self.progress(), operations="operations", outcomes="outcomes")

    def do(self, step: Step) -> None:
        month = step.months[0]
        if step.verb == "land":
            self.landed.add((step.subject, month))
        elif step.verb == "await_asset":
            self.ready.add((step.subject, month))
        elif step.verb == "train":
            self.train_started = True
        elif step.verb == "await_train":
            self.released = True
        elif step.verb == "send_requests":
            self.asked.add(month)
        elif step.verb == "await_drift":
            self.watched.add(month)
            if month in self.asks_for_retrain:
                self.retrained[month] = False
        else:
            self.retrained[month] = True


def run_to_the_end(world: World) -> list[Step]:
    steps: list[Step] = []
    while (step := world.next_step()) is not None:
        steps.append(step)
        world.do(step)
        assert len(steps) < 100
    return steps


def test_a_fresh_demo_lands_trains_and_replays_each_month_in_order() -> None:
    steps = run_to_the_end(World())
    told = [(step.verb, step.subject, step.months[0]) for step in steps]
    assert told == [
        ("land", "operations", "2013-01"),
        ("land", "operations", "2013-02"),
        ("land", "outcomes", "2013-01"),
        ("land", "outcomes", "2013-02"),
        ("await_asset", "features", "2013-01"),
        ("await_asset", "features", "2013-02"),
        ("await_asset", "outcomes", "2013-01"),
        ("await_asset", "outcomes", "2013-02"),
        ("train", "train_and_release", "2013-01"),
        ("await_train", "train_and_release", "2013-01"),
        *(
            (verb, subject, month)
            for month in CALENDAR.replayed
            for verb, subject in (
                ("land", "operations"), ("await_asset", "features"), ("send_requests", "gateway"), ("land", "outcomes"),
                ("await_drift", "watch_drift"),
            )
        ),
    ]  # fmt: skip


def test_a_month_that_asks_for_a_retrain_is_waited_for_before_the_next_month_lands() -> None:
    steps = run_to_the_end(World(asks_for_retrain=frozenset({"2013-03"})))
    place = next(place for place, step in enumerate(steps) if step.verb == "await_retrain")
    assert steps[place - 1] == Step("await_drift", "watch_drift", ("2013-03",))
    assert steps[place + 1] == Step("land", "operations", ("2013-04",))


@given(stopped_after=st.integers(0, 40), asks=st.frozensets(st.sampled_from(CALENDAR.replayed)))
def test_a_demo_stopped_anywhere_goes_on_and_does_nothing_twice(stopped_after: int, asks: frozenset[str]) -> None:
    whole = run_to_the_end(World(asks_for_retrain=asks))
    world = World(asks_for_retrain=asks)
    before: list[Step] = []
    while len(before) < stopped_after and (step := world.next_step()) is not None:
        before.append(step)
        world.do(step)
    resumed = World(**vars(world))
    assert before + run_to_the_end(resumed) == whole
    assert max(Counter((step.verb, step.subject, step.months) for step in whole).values()) == 1


def test_with_everything_done_there_is_no_next_step() -> None:
    world = World()
    run_to_the_end(world)
    assert world.next_step() is None


def test_a_step_says_which_months_it_is_about() -> None:
    assert str(Step("await_asset", "features", ("2013-01", "2013-02", "2013-03"))) == "2013-01..2013-03: wait for features"
    assert str(Step("land", "outcomes", ("2013-04",))) == "2013-04: land the files of outcomes"
