"""Take the pictures of README.md from the running stack: `python -m docs.take_pictures` after `make demo`.

Needs Debian's chromium (playwright's own download is not used): `apt-get install chromium`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from roundtrip.contracts.settings import settings

PICTURES = Path(__file__).parent / "pictures"
SETTLING_MS = 5000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the PATH: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        log_in_to_airflow(page)
        take(page, f"{settings().airflow_url}/dags/flight_eta.train_and_release", "airflow_train_and_release")
        take(page, f"{settings().airflow_url}/roundtrip/use_cases/flight_eta", "page")
        take(page, f"file://{settings().home}/demo/report.html", "report")
        browser.close()


def log_in_to_airflow(page: Page) -> None:
    page.goto(f"{settings().airflow_url}/auth/login/")
    page.fill("input[name=username]", settings().airflow_user)
    page.fill("input[name=password]", settings().airflow_password)
    page.click("input[type=submit]")
    page.wait_for_timeout(SETTLING_MS)


def take(page: Page, address: str, name: str) -> None:
    """Open the address, let it settle, and keep what it shows as docs/pictures/<name>.png."""
    page.goto(address)
    page.wait_for_timeout(SETTLING_MS)  # not until the network is idle: MLflow's and Airflow's pages ask again and again
    page.screenshot(path=PICTURES / f"{name}.png")
    print(f"docs/pictures/{name}.png  {address}")


if __name__ == "__main__":
    main()
