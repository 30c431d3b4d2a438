"""The year as a drawing: where each line, mark and label lies. The template (chart.svg) says how they look.

Everything that the drawing says stands in the table below it too; here it has a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from roundtrip.monitoring.months import Month
from roundtrip.monitoring.overview import LiveChange, UseCaseOverview

WIDTH, LEFT, RIGHT = 960, 56, 16
TICKS = 4
"""Grid lines of a panel, about."""
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Dot:
    """A measured value. `shape`: the verdict, told apart by form and not by colour alone."""

    x: float
    y: float
    shape: str
    told: str


@dataclass(frozen=True)
class Line:
    """A series: `kind` names its style; a month without a value parts it into several paths, each `x,y x,y …`."""

    kind: str
    paths: tuple[str, ...]
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    x: float
    low: float
    high: float


@dataclass(frozen=True)
class Tick:
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Lines over one scale, from `top` to `bottom`."""

    title: str
    top: float
    bottom: float
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    intervals: tuple[Interval, ...] = ()


@dataclass(frozen=True)
class Mark:
    """Something that happened: a retrain that was asked for (at a month), or a change of what serves (between two)."""

    x: float
    text: str
    told: str


@dataclass(frozen=True)
class Label:
    x: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The whole drawing."""

    width: int
    height: int
    panels: tuple[Panel, ...]
    months: tuple[Label, ...]
    drifted: tuple[Label, ...]
    """Inputs that drifted, a number each month."""
    retrains: tuple[Mark, ...]
    releases: tuple[Mark, ...]


def chart_of(overview: UseCaseOverview) -> Chart | None:
    """The year of a use case; None before the first month with outcomes."""
    months = overview.months
    if not any(month.performance for month in months):
        return None
    place = _Places(len(months))
    unit = overview.use_case.outputs[0].unit
    return Chart(
        width=WIDTH,
        height=430,
        panels=(_errors(months, place, unit), _skills(months, place)),
        months=tuple(Label(place.of(index), month.partition) for index, month in enumerate(months)),
        drifted=tuple(Label(place.of(index), str(len(month.inputs_drifted))) for index, month in enumerate(months) if month.inputs),
        retrains=tuple(
            Mark(place.of(index), "retrain", f"{month.partition}: a retrain was asked for. {' '.join(month.reasons)}")
            for index, month in enumerate(months)
            if month.action == "retrain"
        ),
        releases=tuple(_releases(overview.live_changes, months, place)),
    )


@dataclass(frozen=True)
class _Places:
    """Where months lie from left to right."""

    count: int

    def of(self, index: float) -> float:
        """The middle of a month's column; half a column further for an index and a half."""
        return round(LEFT + (index + 0.5) * (WIDTH - LEFT - RIGHT) / self.count, 1)


def _errors(months: Sequence[Month], place: _Places, unit: str) -> Panel:
    series = {
        "baseline": [month.performance.baseline_mae if month.performance else None for month in months],
        "refit": [month.refit_mae for month in months],
        "model": [month.performance.mae if month.performance else None for month in months],
    }
    scale = _Scale.over([value for values in series.values() for value in values if value is not None], top=46, bottom=220)
    told: dict[str, Callable[[Month, float], str]] = {
        "baseline": lambda month, value: f"{month.partition}: baseline, MAE {value:.2f} {unit}",
        "refit": lambda month, value: f"{month.partition}: a refit would have reached {value:.2f} {unit}",
        "model": lambda month, value: f"{month.partition}: version {month.model_version}, MAE {value:.2f} {unit}, {month.verdict}",
    }
    return Panel(
        title=f"Mean absolute error ({unit})",
        top=scale.top,
        bottom=scale.bottom,
        ticks=scale.ticks,
        lines=tuple(_line(kind, months, values, scale, place, told[kind]) for kind, values in series.items()),
    )


def _skills(months: Sequence[Month], place: _Places) -> Panel:
    found = [month.performance for month in months]
    ends = [end for each in found if each for end in (each.skill, each.skill_low, each.skill_high, each.skill_at_release)]
    scale = _Scale.over([end for end in ends if end is not None], top=276, bottom=366)

    def told(month: Month, value: float) -> str:
        each = month.performance
        interval = f" (95 %: {each.skill_low:.3f} to {each.skill_high:.3f})" if each and each.skill_low is not None else ""
        return f"{month.partition}: skill {value:.3f}{interval}, version {month.model_version}, {month.verdict}"

    at_release = [each.skill_at_release if each else None for each in found]
    skills = [each.skill if each else None for each in found]
    return Panel(
        title="Skill against the baseline, with its 95 % interval; dashed: when the version was released",
        top=scale.top,
        bottom=scale.bottom,
        ticks=scale.ticks,
        lines=(
            _line("release_skill", months, at_release, scale, place, lambda month, value: f"{month.partition}: at release {value:.3f}"),
            _line("model", months, skills, scale, place, told),
        ),
        intervals=tuple(
            Interval(place.of(index), scale.y(each.skill_low), scale.y(each.skill_high))
            for index, each in enumerate(found)
            if each and each.skill_low is not None and each.skill_high is not None
        ),
    )


def _line(
    kind: str,
    months: Sequence[Month],
    values: Sequence[float | None],
    scale: _Scale,
    place: _Places,
    told: Callable[[Month, float], str],
) -> Line:
    at = [(index, value) for index, value in enumerate(values) if value is not None]
    runs = [[pair for _, pair in group] for _, group in groupby(enumerate(at), key=lambda entry: entry[1][0] - entry[0])]
    paths = tuple(" ".join(f"{place.of(index)},{scale.y(value)}" for index, value in run) for run in runs)
    dots = tuple(Dot(place.of(index), scale.y(value), months[index].verdict, told(months[index], value)) for index, value in at)
    return Line(kind, paths, dots)


def _releases(changes: Sequence[LiveChange], months: Sequence[Month], place: _Places) -> Iterator[Mark]:
    """At the edge between the months that were decided before and after; changes at one edge are one mark."""
    decided = [month.decided_at for month in months]
    at = [(sum(moment <= change.entry.at for moment in decided), change) for change in changes]
    for edge, group in groupby(at, key=lambda entry: entry[0]):
        last = [change for _, change in group][-1]
        what = f"back to {last.live or 'none'}" if last.rolled_back else f"v{last.live}"
        told = f"{last.entry.at:%Y-%m-%d %H:%M} UTC: version {last.live or 'none'} is live. {last.entry.why}"
        yield Mark(place.of(edge - 0.5), what, told)


@dataclass(frozen=True)
class _Scale:
    """Values to heights: `low` at `bottom`, `high` at `top`."""

    low: float
    high: float
    step: float
    top: float
    bottom: float

    @classmethod
    def over(cls, values: Sequence[float], *, top: float, bottom: float) -> _Scale:
        """Round ends around all values; some room around a single one."""
        least, most = min(values), max(values)
        step = _nice_step((most - least) or abs(most) or 1.0)
        low, high = math.floor(least / step) * step, math.ceil(most / step) * step
        return cls(low, high if high > low else low + step, step, top, bottom)

    def y(self, value: float) -> float:
        return round(self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top), 1)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        count = round((self.high - self.low) / self.step)
        return tuple(Tick(self.y(value), f"{value:g}") for value in (round(self.low + index * self.step, 6) for index in range(count + 1)))


def _nice_step(span: float) -> float:
    rough = span / TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(step * magnitude for step in _STEPS if step * magnitude >= rough)
