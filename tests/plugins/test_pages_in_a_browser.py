"""The pages in Chromium: by keyboard, in both themes, on a narrow screen, without a request to anybody else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from docs.take_pictures import FLAGS, log_in_to_airflow
from plugins.pages.palette import DARK, LIGHT
from plugins.pages.rendering import Reader, use_case_page
from roundtrip.contracts.settings import settings
from tests.plugins.a_year import the_year

CHROMIUM = shutil.which("chromium")
NARROW = 360
BACKGROUND = "getComputedStyle(document.body).backgroundColor"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(color_scheme="light") as context:
        page = context.new_page()
        page.set_default_timeout(60_000)  # the machine may be busy
        yield page


@pytest.fixture
def year(storage_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of the page of a whole year, as a file."""
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://airflow:8080")
    reader = Reader(name="admin", airflow="", may_retrain=True, may_roll_back=True)
    links = {"MLflow: versions": "http://mlflow/#/models/flight_eta", "Gateway": "http://gateway/docs"}
    file = tmp_path / "year.html"
    file.write_text(use_case_page(the_year(), (), {}, reader, links).html)
    return file.as_uri()


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})"


def test_the_theme_is_the_systems_until_one_is_chosen_in_airflow(page: Page, year: str) -> None:
    page.goto(year)
    assert page.evaluate(BACKGROUND) == rgb(LIGHT.ground)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(BACKGROUND) == rgb(DARK.ground)
    for chosen, palette in (("light", LIGHT), ("dark", DARK), ("system", DARK)):
        page.evaluate("theme => localStorage.setItem('theme', theme)", chosen)
        page.reload()
        assert page.evaluate(BACKGROUND) == rgb(palette.ground)


def test_on_a_narrow_screen_tables_scroll_and_the_page_does_not(page: Page, year: str) -> None:
    page.set_viewport_size({"width": NARROW, "height": 800})
    page.goto(year)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert page.evaluate("document.querySelector('.chart').getBoundingClientRect().width") > NARROW, "its text stays readable"


def test_every_mark_of_the_chart_has_a_tooltip(page: Page, year: str) -> None:
    page.goto(year)
    assert page.locator(".chart path.dot").count() > 0
    assert page.locator(".chart path.dot:not(:has(> title))").count() == 0


def test_a_rollback_is_sent_only_with_a_reason_and_the_box_ticked(page: Page, year: str) -> None:
    page.goto(year)
    page.get_by_text("Roll back…").click()
    page.get_by_role("button", name="Roll back").click()
    assert page.url == year, "the browser asks for the reason first"
    page.get_by_label("Why (kept in the release's history)").fill("errors doubled")
    page.get_by_role("button", name="Roll back").click()
    assert page.url == year, "and then for the box"


def test_who_is_signed_in_finds_the_pages_in_airflows_navigation_and_starts_a_retrain_by_keyboard(
    page: Page, signed_in: httpx.Client, paused: None
) -> None:
    told: list[str] = []
    hosts: set[str] = set()
    log_in_to_airflow(page)
    page.get_by_role("button", name="Browse").click()
    with page.expect_popup() as opened:
        page.get_by_role("menuitem", name="Roundtrip").click()
    page = opened.value
    page.on("console", lambda message: told.append(message.text))
    page.on("request", lambda request: hosts.add(httpx.URL(request.url).netloc.decode()))
    page.reload()
    page.get_by_role("link", name="Flight ETA").press("Enter")
    expect(page.get_by_role("heading", level=1, name="Flight ETA")).to_be_visible()
    assert told == [] and hosts == {httpx.URL(settings().airflow_url).netloc.decode()}
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Retrain…":
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dags/flight_eta.train_and_release/runs/**")
    runs = signed_in.get("/api/v2/dags/flight_eta.train_and_release/dagRuns", params={"state": "queued"}).json()["dag_runs"]
    assert [run["note"] for run in runs] == ["by keyboard"]
