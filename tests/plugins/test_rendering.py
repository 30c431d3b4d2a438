"""The pages as HTML: what they say of no data, a month, a year, ten use cases; and that nothing in them is asked of a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from plugins.pages.rendering import Page, Reader, index_page, problem_page, use_case_page
from plugins.pages.runs import DagRuns, Run
from roundtrip.monitoring.months import InputEffect, Performance, Skew
from roundtrip.monitoring.overview import UseCaseOverview, UseCaseSummary
from tests.plugins.a_year import FLIGHT_ETA, FROZEN, as_it_is, leave_month, released, the_year

VIEWER = Reader(name="a viewer", airflow="")
OPERATOR = replace(VIEWER, may_retrain=True, may_roll_back=True)
LINKS = {"MLflow: versions": "http://mlflow/#/models/flight_eta", "Gateway": "http://gateway/docs"}
RUN = Run("manual__2026-11-28T12:00:00+00:00", "failed", "2013-04", datetime(2026, 11, 28, tzinfo=UTC), 75.0)


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://airflow:8080")


class _Shape(HTMLParser):
    """Raises for a tag that is closed without being open; keeps ids, addresses and what a form has."""

    VOID = ("meta", "input", "link", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[tuple[str, str]] = []
        self.labels: list[str] = []
        self.fields: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.addresses += [(tag, found[name] or "") for name in ("href", "src", "action", "srcset") if name in found]
        self.labels += [found["for"] or ""] if tag == "label" and "for" in found else []
        self.fields += [found["id"] or ""] if tag == "input" and "id" in found else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


def shape(page: Page) -> _Shape:
    parsed = _Shape()
    parsed.feed(page.html)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {href[1:] for tag, href in parsed.addresses if href.startswith("#")} <= set(parsed.ids)
    return parsed


def shown(overview: UseCaseOverview, reader: Reader = VIEWER, dags: Sequence[DagRuns] = ()) -> str:
    page = use_case_page(overview, dags, {}, reader, LINKS)
    shape(page)
    return page.html


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))


def test_without_any_data_the_page_says_what_makes_some(storage_root: str) -> None:
    html = shown(as_it_is())
    assert "none yet" in html and "flight_eta.watch_drift" in html
    assert "<svg" not in html and html.count("not built") == 11 and "fresh<" not in html


def test_a_month_is_drawn_and_stands_in_the_table(storage_root: str) -> None:
    leave_month("2013-04")
    html = shown(as_it_is())
    assert html.count('class="chart"') == 1
    assert "11.19" in html and "0.181 (0.151 to 0.211)" in text(html)


def test_a_month_whose_outcomes_are_not_there_is_no_zero(storage_root: str) -> None:
    leave_month("2013-04", outcomes=0)
    html = shown(as_it_is())
    assert "No month has outcomes yet" in html and "no outcomes" in html and "0.00" not in html.replace("0.000", "")


def test_a_year_has_every_month_each_with_its_reasons(storage_root: str) -> None:
    html = shown(the_year())
    assert all(f'id="decision-{month}"' in html for month in FROZEN)
    assert "10.9 points of skill lost since release" in html
    assert html.count("/roundtrip/reports/flight_eta.watch_drift/asset_triggered__") == len(FROZEN)
    assert "version 3" in html and "canary: it answers 25 % of the requests, watched" in text(html)
    assert "2013-02: 3, 2013-09: 1,204" in text(html) and "late" in html


def test_a_month_of_which_only_the_decision_is_left_is_drawn_without_an_interval(storage_root: str) -> None:
    year = the_year()
    left = replace(year.months[-1], performance=Performance(mae=8.0, baseline_mae=10.0, skill=0.2), links={})
    html = shown(replace(year, months=(*year.months[:-1], left)))
    assert "<td>0.200</td>" in html and html.count('class="interval"') == len(FROZEN) - 1


def test_the_effects_have_their_intervals_and_skew_is_told(storage_root: str) -> None:
    year = the_year()
    last = year.months[-1]
    moved = {
        "wind": InputEffect(effect=0.3, effect_low=0.28, effect_high=0.33, drifted=True),
        "rain": InputEffect(note="every value is missing"),
    }
    for skew, sentence in (
        (Skew(rows=900, features={"wind": 0}), "no input differs in any of 900 rows"),
        (Skew(rows=900, features={"wind": 12, "rain": 0, "carrier": 3}), "wind differs in 12, carrier differs in 3 of 900 rows"),
    ):
        html = shown(replace(year, months=(*year.months[:-1], replace(last, inputs=moved, skew=skew))))
        assert sentence in text(html) and 'title="95 %: 0.28 to 0.33"' in html


def test_a_candidate_that_no_job_watches_is_said_to_get_no_traffic(storage_root: str) -> None:
    year = the_year()
    assert year.release is not None
    assert "no job watches it" in text(shown(replace(year, release=replace(year.release, watched=False))))


def test_who_may_do_nothing_gets_no_button(storage_root: str) -> None:
    year = the_year()
    assert "<form" not in shown(year, VIEWER)
    forms = [address for tag, address in shape(use_case_page(year, (), {}, OPERATOR, LINKS)).addresses if tag == "form"]
    assert forms == ["flight_eta/retrain", "flight_eta/roll_back"]
    only = use_case_page(year, (), {}, replace(VIEWER, may_retrain=True), LINKS)
    assert [address for tag, address in shape(only).addresses if tag == "form"] == ["flight_eta/retrain"]


def test_every_field_has_a_label(storage_root: str) -> None:
    page = shape(use_case_page(the_year(), (), {}, OPERATOR, LINKS))
    assert page.fields and set(page.fields) == set(page.labels)


def test_a_rollback_says_what_would_serve_and_is_not_offered_where_nothing_is_kept(storage_root: str) -> None:
    year = the_year()
    assert year.release is not None
    assert "Takes the candidate, version 4, out of the traffic" in text(shown(year, OPERATOR))
    without = replace(year, release=replace(year.release, candidate=None, stage="staged", share=0))
    assert "version 2 serves again within a second or two" in text(shown(without, OPERATOR))
    first = replace(without.release or year.release, live=released("1"), previous=None)
    for release in (first, first.staged(released("2"))):
        html = shown(replace(year, release=release), OPERATOR)
        assert "There is no version before to go back to" in html and "flight_eta/roll_back" not in html


def test_runs_and_what_is_not_known_are_told(storage_root: str) -> None:
    dags = [DagRuns("flight_eta.ingest", True, (RUN, RUN)), DagRuns("flight_eta.release", False, ())]
    html = shown(replace(as_it_is(), release=None, unknown=("Which version is live: not known just now. It is away.",)), OPERATOR, dags)
    assert "not known" in html and "It is away." in html
    assert "/dags/flight_eta.ingest/runs/manual__2026-11-28T12%3A00%3A00%2B00%3A00" in html
    assert "never ran" in html and "paused" in html


def test_the_index_holds_ten_use_cases_and_none(storage_root: str) -> None:
    use_cases = [replace(FLIGHT_ETA, name=f"case_{number}", title=f"Case {number}") for number in range(10)]
    leave_month("2013-04")
    newest = as_it_is().newest
    summaries = [
        UseCaseSummary(use_case=use_case, release=None, newest=newest if number % 2 else None, unknown=())
        for number, use_case in enumerate(use_cases)
    ]
    page = index_page(summaries, VIEWER)
    assert [address for tag, address in shape(page).addresses if address.startswith("use_cases/")] == [
        f"use_cases/case_{number}" for number in range(10)
    ]
    none = index_page([], VIEWER)
    shape(none)
    assert "None that you may see" in none.html


def test_what_data_says_is_text_and_no_markup(storage_root: str) -> None:
    year = the_year()
    evil = "<script>alert(1)</script>"
    months = tuple(replace(month, reasons=(evil,), verdict=evil) for month in year.months)
    changes = tuple(replace(change, why=evil) for change in year.changes)
    html = shown(replace(year, months=months, changes=changes, unknown=(evil,)))
    assert evil not in html and "&lt;script&gt;" in html
    assert evil not in problem_page(404, evil, VIEWER).html


def test_a_page_asks_for_nothing_and_runs_only_its_own_script(storage_root: str) -> None:
    page = use_case_page(the_year(), (), {}, OPERATOR, LINKS)
    assert {tag for tag, _ in shape(page).addresses} == {"a", "form"}
    assert "url(" not in page.html and "@import" not in page.html
    policy = page.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and nonce
    assert re.findall(r"<(?:script|style) nonce=\"([^\"]+)\"", page.html) == [nonce[1]] * 2
    assert " style=" not in page.html  # the policy would drop it
    assert use_case_page(the_year(), (), {}, OPERATOR, LINKS).headers != page.headers


def test_a_page_knows_where_airflow_is_mounted(storage_root: str) -> None:
    html = use_case_page(the_year(), (), {}, replace(OPERATOR, airflow="/airflow"), LINKS).html
    assert 'href="/airflow/dags/flight_eta' in html or 'href="/airflow/dags?tags=flight_eta' in html
    assert 'href="/airflow/roundtrip/"' in html
