"""The demo's client against the real Airflow."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import httpx
import jwt
import pytest

from roundtrip.cli.demo.airflow_api import AirflowApi, DagRun
from roundtrip.cli.demo.watch import Watch
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.contracts.settings import settings

WATCH_DRIFT = "flight_eta.watch_drift"


@pytest.fixture(scope="module")
def api(whole_stack: Stack) -> Iterator[AirflowApi]:
    addressed = settings()
    with closing(AirflowApi(whole_stack.url("airflow"), user=addressed.airflow_user, password=addressed.airflow_password)) as client:
        yield client


def ended_run(api: AirflowApi, run_id: str, *, after_tries: int) -> DagRun:
    """The run once it has ended with its failed task tried so often."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        run = next(run for run in api.runs([WATCH_DRIFT]) if run.dag_run_id == run_id)
        if run.ended and max(task.try_number for task in api.tasks(WATCH_DRIFT, run_id)) >= after_tries:
            return run
        time.sleep(0.5)
    raise AssertionError(f"{run_id} has not ended within 90 s")


def test_the_dags_of_a_use_case_are_found_by_its_name(api: AirflowApi) -> None:
    assert WATCH_DRIFT in api.dag_ids("flight_eta.")
    assert api.dag_ids("no_such_use_case.") == []


def test_a_wrong_password_is_said_without_the_password(api: AirflowApi) -> None:
    with (
        closing(AirflowApi(api.url, user="admin", password="not-the-password")) as stranger,
        pytest.raises(ServiceUnavailable, match="refuses the login of 'admin'") as raised,
    ):
        stranger.dag_ids("flight_eta.")
    assert "not-the-password" not in str(raised.value)


def expired(token: str, secret: str) -> str:
    """The token as it will be a day from now."""
    claims = jwt.decode(token, options={"verify_signature": False})
    past = int(time.time()) - 3600
    return jwt.encode(claims | {"exp": past}, secret, algorithm=jwt.get_unverified_header(token)["alg"])


def test_an_expired_token_is_renewed(api: AirflowApi, whole_stack: Stack) -> None:
    api.dag_ids("flight_eta.")
    headers = api._client.headers
    token = headers["Authorization"].removeprefix("Bearer ")
    headers["Authorization"] = f"Bearer {expired(token, whole_stack.credentials.airflow_jwt_secret)}"
    assert httpx.get(f"{api.url}/api/v2/dags", headers=headers).status_code == httpx.codes.UNAUTHORIZED
    assert api.dag_ids("flight_eta.")


def test_a_run_is_started_once_its_failed_task_seen_and_tried_again(api: AirflowApi) -> None:
    run_id = f"manual__test_{uuid.uuid4().hex}"
    month_without_predictions = {"partition": "1999-01"}
    assert api.trigger(WATCH_DRIFT, run_id, month_without_predictions)
    assert not api.trigger(WATCH_DRIFT, run_id, month_without_predictions)
    failed = ended_run(api, run_id, after_tries=1)
    assert failed.state == "failed"
    states = {task.task_id: task.state for task in api.tasks(WATCH_DRIFT, run_id)}
    assert states["measure_drift"] == "failed"
    assert states["decide_retrain"] == "upstream_failed"
    measuring = next(task for task in api.tasks(WATCH_DRIFT, run_id) if task.task_id == "measure_drift")
    assert any("SnapshotUnusable" in line for line in api.last_job_lines(measuring))
    api.clear_failed(failed)
    assert ended_run(api, run_id, after_tries=2).state == "failed"


def test_a_watch_sees_runs_and_leaves_those_started_by_hand_to_their_person(api: AirflowApi) -> None:
    watch = Watch(api, "flight_eta")
    watch.look()
    assert all(run.dag_id.startswith("flight_eta.") for run in watch.runs.values())
    assert not [run for run in watch.failed_runs() if run.dag_run_id.startswith("manual__")]
