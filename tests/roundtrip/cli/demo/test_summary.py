"""The summary says what the receipts said, and the page shows all of it, escaped, in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from roundtrip.cli.demo.airflow_api import DagRun
from roundtrip.cli.demo.outcome import TERMINAL_HEADINGS, print_outcome, write_outcome
from roundtrip.cli.demo.report import MONTH_HEADINGS, month_cells, report_html
from roundtrip.cli.demo.summary import (
    Month,
    Requests,
    Summary,
    busy_seconds,
    month_of,
    release_of,
    run_seconds,
    summary_json,
    table_versions,
)
from roundtrip.contracts.receipts import Receipt
from roundtrip.contracts.settings import settings
from tests.roundtrip.cli.demo.recorded import START, drift_receipts, receipt, release_receipts, run_at, task_at

HELD = drift_receipts(version="1", mae=12.6, verdict="stable", action="hold", reasons=["Lost <1> point."])
ASKED = drift_receipts(version="1", mae=13.3, verdict="decayed", action="retrain", reasons=["5.0 points lost."])


def month(receipts: Sequence[Receipt], partition: str) -> Month:
    found = month_of(receipts, partition)
    assert found is not None
    return found


@pytest.fixture
def summary() -> Summary:
    retrain = run_at("train_and_release", (100, 160), month="2013-05")
    release = release_of(release_receipts(version="2", champion_mae=12.0), retrain)
    assert release is not None
    return Summary(
        use_case="flight_eta",
        title="Flight ETA",
        trained_on=["2013-01", "2013-02", "2013-03"],
        months=[month([*HELD], "2013-04"), month([*ASKED], "2013-05")],
        releases=[release],
        requests=Requests(sent=1200, failed=1, first_failure="503: <loading>", answers={"1": 1000, "2": 199}),
        table_versions={"features": 7},
        runs=[run_seconds(retrain, [task_at(retrain, "train_model", 30.25)], START)],
        seconds=160.0,
        links={"Airflow": "http://127.0.0.1:17080"},
    )


def test_a_month_holds_what_was_measured_and_decided() -> None:
    told = month([*ASKED], "2013-05")
    assert (told.model_version, told.rows, told.outcomes, told.verdict, told.action) == ("1", 28000, 27000, "decayed", "retrain")
    assert (told.mae, told.baseline_mae, told.loss) == (13.3, 14.0, 0.05)
    assert told.reasons == ["5.0 points lost."]


def test_a_month_without_outcomes_shows_dashes_and_one_without_a_check_is_left_out() -> None:
    unknown = drift_receipts(version="1", mae=None, verdict="unknown", action="hold", reasons=["0 outcomes are too few."])
    assert month_cells(month([*unknown], "2013-04"))[3:7] == ("–", "–", "–", "–")
    assert month_of([receipt("measure_drift", {}, answer="failed")], "2013-04") is None
    assert month_of([], "2013-04") is None


def test_a_release_holds_the_champion_on_the_same_rows_and_a_refused_candidate_is_none() -> None:
    run = run_at("train_and_release", (0, 90))
    released = release_of(release_receipts(version="1", champion_mae=None), run)
    assert released is not None
    assert (released.version, released.partitions, released.champion_mae, released.seconds) == ("1", "2013-01..2013-03", None, 90.0)
    assert released.yardstick_mae == 11.1
    refused = [*release_receipts(version="2", champion_mae=12.0)[:2], receipt("judge_candidate", {}, answer="no", reason="no better")]
    assert release_of(refused, run) is None


def test_the_newest_version_written_of_each_table_counts() -> None:
    written = [receipt("build_table", {}, writes=("features", version)) for version in (3, 12, 4)]
    assert table_versions([*written, receipt("score_batch", {}, writes=("predictions", 0))]) == {"features": 12, "predictions": 0}


def test_seconds_count_once_where_runs_overlap_and_not_at_all_in_a_pause() -> None:
    under_way: DagRun = run_at("ingest", (400, 0), state="running")
    inside = run_at("score_batch", (20, 30))
    overlapping, after_a_pause = run_at("score_batch", (35, 50)), run_at("watch_drift", (100, 107))
    assert busy_seconds([after_a_pause, overlapping, run_at("ingest", (10, 40)), inside, under_way]) == 47.0
    assert busy_seconds([]) == 0.0


def test_the_summary_file_holds_all_that_the_table_shows(summary: Summary, tmp_path: Path) -> None:
    write_outcome(summary, tmp_path)
    read = msgspec.json.decode((tmp_path / "summary.json").read_bytes(), type=Summary)
    assert [month_cells(month) for month in read.months] == [month_cells(month) for month in summary.months]
    assert json.loads(summary_json(summary))["runs"][0]["tasks"] == [{"task": "train_model", "state": "success", "seconds": 30.2}]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_fits_a_terminal_of_80_columns_and_the_page_says_how_to_log_in_and_stop(summary: Summary) -> None:
    stack = {"ROUNDTRIP_HOME": "/home/me/.roundtrip", "ROUNDTRIP_AIRFLOW_USER": "admin", "MLFLOW_TRACKING_USERNAME": "admin"}
    out = StringIO()
    print_outcome(Console(file=out, width=80), summary, settings(stack))
    page = out.getvalue()
    for shown in (*TERMINAL_HEADINGS, "2013-05", "0.050 (0.050–0.200)", "decayed", "retrain", "http://127.0.0.1:17080", "make down"):
        assert shown in page
    assert "…" not in page
    assert "/home/me/.roundtrip/env" in page


def test_a_report_in_a_run_folder_is_opened_through_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", "s3://roundtrip")
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://127.0.0.1:17080")
    measured, decided = HELD
    linked = dataclasses.replace(measured, links={"Evidently report": "s3://roundtrip/runs/flight_eta.watch_drift/one/drift_report.html"})
    told = month([linked, decided], "2013-04")
    assert told.links == {"Evidently report": "http://127.0.0.1:17080/roundtrip/reports/flight_eta.watch_drift/one/drift_report.html"}


class Page(HTMLParser):
    """Text, addresses that the page would load, and tags left open."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in {"src", "srcset"}]
        if tag not in {"meta", "img", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_shows_every_cell_escaped_and_loads_nothing(summary: Summary) -> None:
    page = Page()
    page.feed(report_html(summary))
    text = "".join(page.text)
    for shown in (*MONTH_HEADINGS, *month_cells(summary.months[1]), "Lost <1> point.", "503: <loading>", "1,200 sent", "199 by version 2"):
        assert shown in text
    assert not page.open
    assert len(page.loads) == 2
    assert all(address.startswith("data:image/png;base64,") for address in page.loads)


def test_the_page_of_a_demo_without_months_opens_too(summary: Summary) -> None:
    page = Page()
    page.feed(report_html(dataclasses.replace(summary, months=[], releases=[], runs=[])))
    assert not page.open
