"""The plugin in the real API server: who sees what, who may start what, and that it is quick to load and to answer."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from plugins.pages.files import checks_page_of, file_of_run
from roundtrip.cli.stack.credentials import write_private
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName
from roundtrip.contracts.settings import REPOSITORY, settings
from roundtrip.serving.gateway.api_keys import LOOK_S, ApiKey, KeyScope, key_file, new_key, read_keys

RUN = "flight_eta.watch_drift", "a_test_of_the_plugin"
PAGE = "/roundtrip/use_cases/flight_eta"
HEAVY = ("pyarrow", "pandas", "torch", "mlflow", "pyspark", "onnxruntime", "great_expectations", "evidently", "matplotlib")


@pytest.fixture
def report(whole_stack: Stack) -> Iterator[str]:
    """Path below /roundtrip/reports of a report in a run folder."""
    uri = storage.join(settings().storage_root, "runs", *RUN, "report.html")
    storage.write_bytes(uri, b"<h1>Drift</h1>")
    yield f"{'/'.join(RUN)}/report.html"
    storage.delete(uri)


def test_airflow_has_loaded_the_plugin_with_its_link(signed_in: httpx.Client) -> None:
    """It drops one that it can't load with no more than a warning in its log."""
    (plugin,) = signed_in.get("/api/v2/plugins").raise_for_status().json()["plugins"]
    assert plugin["name"] == "roundtrip"
    (view,) = plugin["external_views"]
    assert (view["href"], view["destination"], view["url_route"]) == ("roundtrip/", "nav", None)
    assert signed_in.get(f"/{view['href']}").status_code == 200
    assert signed_in.get("/api/v2/plugins/importErrors").raise_for_status().json()["import_errors"] == []


def test_a_task_does_not_import_the_pages_and_the_api_server_nothing_heavy() -> None:
    told = "import json, sys; import plugins.roundtrip_plugin as p; early = [m for m in sys.modules if m.startswith('plugins.pages')]; "
    told += "p._application(); print(json.dumps([early, [*sys.modules]]))"
    finished = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    early, modules = json.loads(finished.stdout.splitlines()[-1])
    assert early == []
    assert [name for name in HEAVY if name in modules] == []


def test_airflow_loads_the_plugins_file_and_leaves_the_pages_modules_alone(tmp_path: Path) -> None:
    """It imports every Python file below plugins/ in each of its processes, but for what plugins/.airflowignore names."""
    told = "import json, sys; from airflow import plugins_manager; apps, _ = plugins_manager.get_fastapi_plugins(); "
    told += (
        "print(json.dumps([[app['name'] for app in apps], sorted({'roundtrip_plugin', 'routes', 'rendering', 'chart'} & {*sys.modules})]))"
    )
    plugins = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins")}
    finished = subprocess.run([sys.executable, "-c", told], env=os.environ | plugins, capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout.splitlines()[-1]) == [["Roundtrip"], ["roundtrip_plugin"]]


def test_the_pages_are_shown_to_who_is_signed_in(signed_in: httpx.Client) -> None:
    index = signed_in.get("/roundtrip/")
    assert index.status_code == 200 and 'href="use_cases/flight_eta"' in index.text
    page = signed_in.get(PAGE)
    assert page.status_code == 200 and "<h1>Flight ETA</h1>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "flight_eta.train_and_release" in page.text, "the DAGs' last runs are there"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no.such.token"}])
def test_nothing_is_shown_to_who_is_not_signed_in(anyone: httpx.Client, report: str, headers: dict[str, str]) -> None:
    for path in (
        f"/roundtrip/reports/{report}",
        "/roundtrip/",
        PAGE,
        "/roundtrip/runbook",
        "/roundtrip/metrics",
        "/roundtrip/data_docs/flight_eta/features/index.html",
    ):
        answer = anyone.get(path, headers=headers)
        assert answer.status_code in (401, 403)
        assert "Drift" not in answer.text and "Flight ETA" not in answer.text
    for button in ("retrain", "roll_back"):
        asked = anyone.post(f"{PAGE}/{button}", data={"why": "x"}, headers={**headers, "Origin": settings().airflow_url})
        assert asked.status_code in (401, 403)


def test_a_browser_that_is_not_signed_in_is_shown_where_to_sign_in(anyone: httpx.Client) -> None:
    answer = anyone.get(PAGE, headers={"Accept": "text/html"})
    assert answer.status_code == 401 and "/auth/login/?next=" in answer.text


def test_a_viewer_sees_the_page_without_buttons_and_may_start_nothing(viewer: httpx.Client) -> None:
    page = viewer.get(PAGE)
    assert page.status_code == 200 and "<h1>Flight ETA</h1>" in page.text and "<form" not in page.text
    for button in ("retrain", "roll_back"):
        assert viewer.post(f"{PAGE}/{button}", data={"why": "I want to"}).status_code == 403


def test_an_admin_starts_a_retrain_and_a_rollback_as_himself(signed_in: httpx.Client, paused: None) -> None:
    assert "<form" in signed_in.get(PAGE).text
    for button, dag, conf in (("retrain", "train_and_release", "reason"), ("roll_back", "roll_back", "why")):
        answer = signed_in.post(f"{PAGE}/{button}", data={"why": "a test asked for it"})
        assert answer.status_code == 303
        dag_id, run_id = httpx.URL(answer.headers["location"]).path.removeprefix("/dags/").split("/runs/")
        assert dag_id == f"flight_eta.{dag}"
        run = signed_in.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").raise_for_status().json()
        assert run["conf"][conf] == run["note"] == "a test asked for it"
        assert (run["triggering_user_name"], run["triggered_by"]) == (settings().airflow_user, "ui")


@pytest.mark.parametrize("why", ["", "-x", "two\nlines", "y" * 201])
def test_a_reason_that_the_dag_would_refuse_is_refused_here(signed_in: httpx.Client, why: str) -> None:
    assert signed_in.post(f"{PAGE}/roll_back", data={"why": why}).status_code == 422


def test_another_sites_form_starts_nothing_with_the_readers_cookie(anyone: httpx.Client, paused: None) -> None:
    token = anyone.headers.pop("Authorization").removeprefix("Bearer ")
    cookies = {"Cookie": f"_token={token}"}
    assert anyone.get(PAGE, headers=cookies).status_code == 200, "the cookie of Airflow's UI is enough to read"
    for origin in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {}):
        assert anyone.post(f"{PAGE}/retrain", data={"why": "x"}, headers=cookies | origin).status_code == 403
    own = anyone.post(f"{PAGE}/retrain", data={"why": "x"}, headers=cookies | {"Origin": settings().airflow_url})
    assert own.status_code == 303
    anyone.headers["Authorization"] = f"Bearer {token}"


def test_the_metrics_are_for_a_key_of_the_gateway_with_their_scope(anyone: httpx.Client) -> None:
    file = key_file(settings().home_path)
    read, metrics = (new_key(f"a_test_{scope}", scopes=[scope], rate=None) for scope in (KeyScope.READ, KeyScope.METRICS))
    with added(file, [read[1], metrics[1]]):
        answers = {secret: anyone.get("/roundtrip/metrics", headers={"X-API-Key": secret}) for secret in (read[0], metrics[0], "no key")}
    assert [answer.status_code for answer in answers.values()] == [403, 200, 401]
    assert 'roundtrip_unknown_parts{use_case="flight_eta"} 0.0' in answers[metrics[0]].text
    assert anyone.get("/roundtrip/metrics").status_code == 401
    assert anyone.get("/roundtrip/metrics", headers={"X-API-Key": settings().gateway_key}).status_code == 200


@contextmanager
def added(file: Path, keys: list[ApiKey]) -> Iterator[None]:
    """Keys of the gateway, for as long as the API server needs to see them."""
    before = read_keys(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, msgspec.json.encode([*before, *keys]).decode())
    time.sleep(LOOK_S + 0.1)
    yield
    write_private(file, msgspec.json.encode(before).decode())


def test_the_runbook_is_shown_with_a_section_for_each_alert(signed_in: httpx.Client) -> None:
    page = signed_in.get("/roundtrip/runbook")
    assert page.status_code == 200 and '<h2 id="a-model-that-decayed">A model that decayed</h2>' in page.text
    assert "<table>" in page.text


def test_a_report_is_shown_without_the_readers_session_or_a_network(signed_in: httpx.Client, report: str) -> None:
    answer = signed_in.get(f"/roundtrip/reports/{report}")
    assert (answer.status_code, answer.text) == (200, "<h1>Drift</h1>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy and "allow-same-origin" not in policy


def test_the_checks_of_a_table_are_shown_the_same_way(signed_in: httpx.Client) -> None:
    uri = storage.join(settings().storage_root, "data_docs", "flight_eta", "a_test_of_the_plugin", "2013-04.html")
    storage.write_bytes(uri, b"<h1>Checks</h1>")
    answer = signed_in.get("/roundtrip/data_docs/flight_eta/a_test_of_the_plugin/2013-04.html")
    storage.delete(uri)
    assert (answer.status_code, answer.text) == (200, "<h1>Checks</h1>")
    assert "sandbox" in answer.headers["content-security-policy"]


def test_the_plugin_has_no_unguarded_page(anyone: httpx.Client) -> None:
    for path in ("/roundtrip/docs", "/roundtrip/redoc", "/roundtrip/openapi.json"):
        assert anyone.get(path).status_code == 404


def test_a_path_can_not_leave_the_run_folders(signed_in: httpx.Client, report: str) -> None:
    outside = storage.join(settings().storage_root, "secret.json")
    storage.write_bytes(outside, b"{}")
    for path in ("x/y/%2e%2e/%2e%2e/%2e%2e/secret.json", "x/y/..%2f..%2f..%2fsecret.json", "%2e%2e/%2e%2e/secret.json"):
        assert signed_in.get(f"/roundtrip/reports/{path}").status_code == 404
    storage.delete(outside)


@pytest.mark.parametrize(
    "path", ["reports/flight_eta.ingest/no_such_run/report.html", "data_docs/flight_eta/features/9999-01.html", "use_cases/no_such_case"]
)
def test_what_is_not_there_is_not_found(signed_in: httpx.Client, path: str) -> None:
    assert signed_in.get(f"/roundtrip/{path}").status_code == 404


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


@pytest.mark.parametrize(
    "parts", [("..", "x", "a.html"), ("x", "..", "a.html"), ("x", "y", "../a.html"), ("x", "y", "a.json"), ("x", "", "a.html")]
)
def test_what_is_no_page_of_the_data_docs_is_refused(storage_root: str, parts: tuple[str, str, str]) -> None:
    with pytest.raises(BadName, match="by the link on the table"):
        checks_page_of(*parts)


def test_a_file_in_a_folder_of_the_run_folder_is_found(storage_root: str) -> None:
    assert file_of_run("d.x", "run-1", "receipts/a.2013-04.json") == f"{storage_root}/runs/d.x/run-1/receipts/a.2013-04.json"
