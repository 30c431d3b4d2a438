"""The routes of the plugin, each guarded by Airflow's permissions: the pages, the two buttons, reports and checks' pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, Form, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, RedirectResponse

from plugins.pages.access import RETRAIN, ROLL_BACK, dag_id, from_this_site, may_see, may_start, reader, starter
from plugins.pages.files import HEADERS, MEDIA_TYPES, checks_page_of, file_of_run
from plugins.pages.rendering import Page, Reader, index_page, problem_page, runbook_page, use_case_page
from plugins.pages.runbook import runbook_html
from plugins.pages.runs import ids_by_folder, last_runs, start_run
from plugins.pages.scraping import scraper
from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName, UnknownUseCase
from roundtrip.contracts.names import MOST_CHARACTERS
from roundtrip.contracts.settings import settings
from roundtrip.monitoring.exposition import CONTENT_TYPE, exposition
from roundtrip.monitoring.overview import overview_of, overviews_of, summaries_of
from use_cases import declared_use_cases, use_case_named

PREFIX = "/roundtrip"
Signed = Annotated[BaseUser, Depends(reader)]
Why = Annotated[str, Form(min_length=1, max_length=MOST_CHARACTERS, pattern=r"^[^\s-][^\r\n]*$")]
"""A reason, of the form that the DAGs' own forms ask for (operators/dag_defaults.py)."""

application = FastAPI(title="Roundtrip", openapi_url=None)  # no schema, so no unguarded documentation page either


@application.get("/", response_class=HTMLResponse)
def show_index(request: Request, user: GetUserDep) -> Response:
    """Every use case that the user may see."""
    seen = [use_case for use_case in declared_use_cases() if may_see(use_case.name, request, user)]
    return _shown(index_page(summaries_of(seen), _reader(request, user.get_name())))


@application.get("/use_cases/{use_case}", response_class=HTMLResponse)
def show_use_case(use_case: str, request: Request, user: Signed, session: SessionDep) -> Response:
    """The page of a use case."""
    overview = overview_of(use_case_named(use_case), now=datetime.now(UTC))
    looks = Reader(
        name=user.get_name(),
        airflow=_airflow(request),
        may_retrain=may_start(RETRAIN, use_case, request, user),
        may_roll_back=may_start(ROLL_BACK, use_case, request, user),
    )
    checks = ids_by_folder(session, [month.run_dir for month in overview.months])
    return _shown(use_case_page(overview, last_runs(session, use_case), checks, looks, _links(use_case)))


@application.post("/use_cases/{use_case}/retrain", dependencies=[Depends(from_this_site), Depends(starter(RETRAIN))])
async def retrain(use_case: str, request: Request, why: Why) -> Response:
    """Start `train_and_release` and show its run."""
    run_id = await start_run(request, use_case_named(use_case).name, RETRAIN, {"reason": why}, note=why)
    return _to_run(request, dag_id(use_case, RETRAIN), run_id)


@application.post("/use_cases/{use_case}/roll_back", dependencies=[Depends(from_this_site), Depends(starter(ROLL_BACK))])
async def roll_back(use_case: str, request: Request, why: Why) -> Response:
    """Start `roll_back` and show its run."""
    run_id = await start_run(request, use_case_named(use_case).name, ROLL_BACK, {"why": why}, note=why)
    return _to_run(request, dag_id(use_case, ROLL_BACK), run_id)


@application.get("/reports/{dag_id}/{run}/{path:path}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN))])
def show_report(dag_id: str, run: str, path: str) -> Response:
    """An HTML or JSON file of a run folder."""
    return _file(file_of_run(dag_id, run, path))


@application.get("/data_docs/{use_case}/{table}/{page}", dependencies=[Depends(reader)])
def show_checks(use_case: str, table: str, page: str) -> Response:
    """The checks' page of what a table holds of a month."""
    return _file(checks_page_of(use_case, table, page))


@application.get("/runbook", response_class=HTMLResponse)
def show_runbook(request: Request, user: GetUserDep) -> Response:
    """docs/operate.md, where alerts link to."""
    return _shown(runbook_page(runbook_html(), _reader(request, user.get_name())))


@application.get("/metrics", dependencies=[Depends(scraper)])
def show_metrics() -> Response:
    """Every use case as Prometheus reads it."""
    return Response(exposition(overviews_of(declared_use_cases(), now=datetime.now(UTC))), media_type=CONTENT_TYPE)


@application.exception_handler(HTTPException)
async def show_problem(request: Request, error: HTTPException) -> Response:
    """A page for a browser, Airflow's JSON for programs."""
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    return _shown(problem_page(error.status_code, str(error.detail), _reader(request, "")), status=error.status_code)


@application.exception_handler(BadName)
@application.exception_handler(UnknownUseCase)
@application.exception_handler(FileNotFoundError)
async def show_not_found(request: Request, error: Exception) -> Response:
    """What the address names is not there."""
    return await show_problem(request, HTTPException(HTTPStatus.NOT_FOUND, f"Not found: {error}"))


def _file(uri: str) -> Response:
    return Response(storage.read_bytes(uri), media_type=MEDIA_TYPES[uri.rpartition(".")[2]], headers=HEADERS)


def _shown(page: Page, *, status: int = HTTPStatus.OK) -> Response:
    return HTMLResponse(page.html, status, headers=dict(page.headers))


def _to_run(request: Request, of_dag: str, run_id: str) -> Response:
    """303 to Airflow's page of the run: a reload of it starts nothing again."""
    return RedirectResponse(f"{_airflow(request)}/dags/{of_dag}/runs/{quote(run_id, safe='')}", HTTPStatus.SEE_OTHER)


def _reader(request: Request, name: str) -> Reader:
    return Reader(name=name, airflow=_airflow(request))


def _airflow(request: Request) -> str:
    """Path of Airflow's UI."""
    return str(request.scope["root_path"]).removesuffix(PREFIX)


def _links(use_case: str) -> Mapping[str, str]:
    """Where else this use case is to be seen."""
    addressed = settings()
    return {
        "MLflow: versions": f"{addressed.mlflow_url}/#/models/{use_case}",
        "Gateway": f"{addressed.gateway_url}/docs",
    }
