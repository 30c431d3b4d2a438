from pathlib import Path

import pytest

from operators.links import LINKS
from roundtrip.contracts.report_addresses import browser_address, page_address


def test_no_two_links_share_a_place_in_xcom() -> None:
    assert len({link.xcom_key for link in LINKS}) == len(LINKS)


def test_only_files_of_run_folders_are_shown_by_the_api_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", "s3://bucket")
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://airflow:8080")
    assert browser_address("s3://bucket/runs/d/r/report.html") == "http://airflow:8080/roundtrip/reports/d/r/report.html"
    assert browser_address("http://mlflow/#/experiments/1") == "http://mlflow/#/experiments/1"
    assert browser_address("s3://bucket/lakehouse/x") == "s3://bucket/lakehouse/x"


def test_the_page_of_a_use_case_is_on_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://airflow:8080/")
    assert page_address("flight_eta") == "http://airflow:8080/roundtrip/use_cases/flight_eta"
