"""Where the chart's lines and marks lie: the geometry, not the look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from plugins.pages.chart import Chart, Line, chart_of
from roundtrip.monitoring.overview import UseCaseOverview
from tests.plugins.a_year import BEGIN, FROZEN, a_change, as_it_is, leave_month, the_year


def drawn(overview: UseCaseOverview) -> Chart:
    chart = chart_of(overview)
    assert chart is not None
    return chart


def line(chart: Chart, kind: str) -> Line:
    return next(line for line in chart.panels[0].lines if line.kind == kind)


def test_nothing_is_drawn_before_the_first_month_with_outcomes(storage_root: str) -> None:
    assert chart_of(as_it_is()) is None
    leave_month("2013-04", outcomes=0)
    assert chart_of(as_it_is()) is None


def test_the_lines_are_as_high_as_the_errors_are(storage_root: str) -> None:
    chart = drawn(the_year())
    dots = line(chart, "model").dots
    assert len(dots) == len(FROZEN)
    by_height = sorted(zip(dots, FROZEN.values(), strict=True), key=lambda pair: -pair[0].y)
    assert [value for _, value in by_height] == sorted(FROZEN.values())
    assert [dot.x for dot in dots] == sorted(dot.x for dot in dots) == [label.x for label in chart.months]


def test_everything_lies_within_the_drawing(storage_root: str) -> None:
    chart = drawn(the_year())
    for panel in chart.panels:
        heights = [dot.y for each in panel.lines for dot in each.dots] + [end for i in panel.intervals for end in (i.low, i.high)]
        assert panel.top <= min(heights) and max(heights) <= panel.bottom
        assert 3 <= len(panel.ticks) <= 8
    assert all(0 < mark.x < chart.width for mark in (*chart.releases, *chart.retrains))


def test_one_month_alone_has_a_scale_and_a_dot(storage_root: str) -> None:
    leave_month("2013-04")
    chart = drawn(as_it_is())
    assert [label.text for label in chart.months] == ["2013-04"]
    assert len({tick.y for tick in chart.panels[0].ticks}) > 1


def test_a_month_without_outcomes_parts_the_line(storage_root: str) -> None:
    for month in ("2013-04", "2013-05", "2013-07"):
        leave_month(month)
    leave_month("2013-06", outcomes=0)
    paths = line(drawn(as_it_is()), "model").paths
    assert [len(path.split()) for path in paths] == [2, 1]


def test_a_verdict_is_told_by_the_shape_and_in_words(storage_root: str) -> None:
    june = line(drawn(the_year()), "model").dots[2]
    assert june.shape == "decayed"
    assert june.told == "2013-06: version 1, MAE 12.94 min, decayed"


def test_a_retrain_is_marked_at_its_month_and_the_release_after_it_before_the_next(storage_root: str) -> None:
    chart = drawn(the_year())
    months = {label.text: label.x for label in chart.months}
    assert [mark.x for mark in chart.retrains] == [months["2013-06"], months["2013-09"]]
    first, second, third = chart.releases
    assert [first.text, second.text, third.text] == ["v1", "v2", "v3"]
    assert first.x < months["2013-04"]
    assert months["2013-06"] < second.x < months["2013-07"]
    assert months["2013-09"] < third.x < months["2013-10"]


def test_a_rollback_is_marked_with_the_version_that_serves_again(storage_root: str) -> None:
    year = the_year()
    back = a_change(99, "rolled back", "3", BEGIN + timedelta(days=9), "errors doubled")
    marks = drawn(replace(year, changes=(*year.changes, back))).releases
    assert marks[-1].text == "back to 2" and "errors doubled" in marks[-1].told
