"""Who may see and do what: Airflow's permissions, asked of its auth manager. Used as dependencies of the routes.

A use case is seen by who may see the runs of its `watch_drift`; it is retrained or rolled back by who may start the DAG that does so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import HTTPException, Request

RETRAIN, ROLL_BACK, WATCHED = "train_and_release", "roll_back", "watch_drift"
"""The DAGs that the buttons start, and the one whose runs a page is about."""


def reader(use_case: str, request: Request, user: GetUserDep) -> BaseUser:
    """Who may see the use case; raises 401, 403."""
    requires_access_dag("GET", DagAccessEntity.RUN, dag_id(use_case, WATCHED))(request, user)
    return user


def starter(dag: str) -> Callable[[str, Request, GetUserDep], None]:
    """Lets through who may start the use case's DAG `dag`; raises 401, 403."""

    def starts(use_case: str, request: Request, user: GetUserDep) -> None:
        requires_access_dag("POST", DagAccessEntity.RUN, dag_id(use_case, dag))(request, user)

    return starts


def may_see(use_case: str, request: Request, user: BaseUser) -> bool:
    """Whether `reader` lets the user through."""
    with suppress(HTTPException):
        return bool(reader(use_case, request, user))
    return False


def may_start(dag: str, use_case: str, request: Request, user: BaseUser) -> bool:
    """Whether `starter(dag)` lets the user through: then there is a button."""
    with suppress(HTTPException):
        starter(dag)(use_case, request, user)
        return True
    return False


def from_this_site(request: Request) -> None:
    """Refuses what another site's page makes a browser send with the reader's cookie; raises 403.

    A browser names the page's origin with each form that it sends. A request that brings its token itself (a program's) needs none:
    no other site knows it.
    """
    if "authorization" in request.headers:
        return
    origin, host = request.headers.get("origin", ""), request.headers.get("host")
    if urlsplit(origin).netloc != host:
        came_from = origin or "a page that names no origin"
        raise HTTPException(HTTPStatus.FORBIDDEN, f"This form was sent from {came_from}, not from {host}: open the page here.")


def token_of(request: Request) -> str:
    """The token that the user was recognised by: of the header, else of the UI's cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")


def dag_id(use_case: str, dag: str) -> str:
    return f"{use_case}.{dag}"
