from collections.abc import Iterator

import httpx
import pytest

from plugins.roundtrip_plugin import file_of_run
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName
from roundtrip.contracts.settings import settings

RUN = "flight_eta.watch_drift", "a_test_of_the_plugin"


@pytest.fixture
def report(stack: Stack) -> Iterator[str]:
    """Path below /roundtrip/reports of a report in a run folder."""
    uri = storage.join(settings().storage_root, "runs", *RUN, "report.html")
    storage.write_bytes(uri, b"<h1>Drift</h1>")
    yield f"{'/'.join(RUN)}/report.html"
    storage.delete(uri)


@pytest.fixture
def anyone(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings().airflow_url) as client:
        yield client


@pytest.fixture
def signed_in(anyone: httpx.Client) -> httpx.Client:
    answer = anyone.post("/auth/token", json={"username": settings().airflow_user, "password": settings().airflow_password})
    anyone.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
    return anyone


def test_airflow_has_loaded_the_plugin(signed_in: httpx.Client) -> None:
    """It drops one that it can't load with no more than a warning in its log."""
    plugins = signed_in.get("/api/v2/plugins").raise_for_status().json()["plugins"]
    assert [plugin["name"] for plugin in plugins] == ["roundtrip"]


def test_a_report_is_shown_without_the_readers_session_or_a_network(signed_in: httpx.Client, report: str) -> None:
    answer = signed_in.get(f"/roundtrip/reports/{report}")
    assert (answer.status_code, answer.text) == (200, "<h1>Drift</h1>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy and "allow-same-origin" not in policy


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no.such.token"}])
def test_nothing_is_shown_to_who_is_not_signed_in(anyone: httpx.Client, report: str, headers: dict[str, str]) -> None:
    answer = anyone.get(f"/roundtrip/reports/{report}", headers=headers)
    assert answer.status_code in (401, 403)
    assert "Drift" not in answer.text


def test_the_plugin_has_no_unguarded_page(anyone: httpx.Client) -> None:
    for path in ("/roundtrip/docs", "/roundtrip/redoc", "/roundtrip/openapi.json", "/roundtrip/"):
        assert anyone.get(path).status_code == 404


def test_a_path_can_not_leave_the_run_folders(signed_in: httpx.Client, report: str) -> None:
    outside = storage.join(settings().storage_root, "secret.json")
    storage.write_bytes(outside, b"{}")
    for path in ("x/y/%2e%2e/%2e%2e/%2e%2e/secret.json", "x/y/..%2f..%2f..%2fsecret.json", "%2e%2e/%2e%2e/secret.json"):
        assert signed_in.get(f"/roundtrip/reports/{path}").status_code == 404
    storage.delete(outside)


def test_a_file_that_is_not_there_is_not_found(signed_in: httpx.Client) -> None:
    assert signed_in.get("/roundtrip/reports/flight_eta.ingest/no_such_run/report.html").status_code == 404


@pytest.mark.parametrize(
    ("dag_id", "run", "path"),
    [
        ("..", "x", "a.html"), ("x", "..", "a.html"), ("x", "y", "../a.html"), ("x", "y", "a//b.html"), ("x", "y", ".hidden.json"),
        ("x", "y", "weights.safetensors"), ("x", "y", "a.html/"), ("x", "y", ""), ("x/y", "z", "a.html"), ("x", "y", "a\n.html"),
    ],
)  # fmt: skip
def test_what_is_no_html_or_json_file_of_a_run_folder_is_refused(storage_root: str, dag_id: str, run: str, path: str) -> None:
    with pytest.raises(BadName, match="by the link on its task"):
        file_of_run(dag_id, run, path)


def test_a_file_in_a_folder_of_the_run_folder_is_found(storage_root: str) -> None:
    assert file_of_run("d.x", "run-1", "receipts/a.2013-04.json") == f"{storage_root}/runs/d.x/run-1/receipts/a.2013-04.json"
