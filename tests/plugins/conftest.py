"""Clients of the running API server: nobody's, the admin's, a viewer's."""

from collections.abc import Iterator

import httpx
import pytest

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts.settings import settings

VIEWER, VIEWERS_PASSWORD = "a_viewer_of_the_tests", "not a secret: it may only look"


@pytest.fixture
def anyone(whole_stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings().airflow_url, timeout=60) as client:
        yield client


def token_of(client: httpx.Client, user: str, password: str) -> str:
    answer = client.post("/auth/token", json={"username": user, "password": password})
    return str(answer.raise_for_status().json()["access_token"])


@pytest.fixture
def signed_in(anyone: httpx.Client) -> httpx.Client:
    anyone.headers["Authorization"] = f"Bearer {token_of(anyone, settings().airflow_user, settings().airflow_password)}"
    return anyone


@pytest.fixture
def viewer(signed_in: httpx.Client) -> Iterator[httpx.Client]:
    """A user with Airflow's role Viewer."""
    names = {"username": VIEWER, "email": f"{VIEWER}@localhost", "first_name": "A", "last_name": "Viewer"}
    signed_in.delete(f"/auth/fab/v1/users/{VIEWER}")
    made = signed_in.post("/auth/fab/v1/users", json={**names, "password": VIEWERS_PASSWORD, "roles": [{"name": "Viewer"}]})
    made.raise_for_status()
    with httpx.Client(base_url=settings().airflow_url, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {token_of(client, VIEWER, VIEWERS_PASSWORD)}"
        yield client
    signed_in.delete(f"/auth/fab/v1/users/{VIEWER}").raise_for_status()


@pytest.fixture
def paused(signed_in: httpx.Client) -> Iterator[None]:
    """The DAGs that the buttons start, paused: what a test starts there stays queued, and is removed."""
    dags = ("flight_eta.train_and_release", "flight_eta.roll_back")
    for dag in dags:
        signed_in.patch(f"/api/v2/dags/{dag}", json={"is_paused": True}).raise_for_status()
    yield
    for dag in dags:
        for run in signed_in.get(f"/api/v2/dags/{dag}/dagRuns", params={"state": "queued"}).json()["dag_runs"]:
            signed_in.delete(f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}").raise_for_status()
        signed_in.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()
