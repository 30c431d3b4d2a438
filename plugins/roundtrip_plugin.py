"""Shows the reports and receipts of the run folders to people who may see the DAG's runs. Links to them: operators/links.py.

`/roundtrip/reports/<dag id>/<run folder>/<path>` of the API server. It serves HTML and JSON, whose content it does not trust: the
browser runs a report's scripts in a sandbox of their own, without the reader's session and without a network.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName
from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MEDIA_TYPES = {"html": "text/html; charset=utf-8", "json": "application/json"}

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}

_PART = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]*")


def file_of_run(dag_id: str, run: str, path: str) -> str:
    """URI of a file in a run folder; raises BadName for anything that isn't an HTML or JSON file below one."""
    parts = [dag_id, run, *path.split("/")]
    if not all(_PART.fullmatch(part) for part in parts) or path.rpartition(".")[2] not in MEDIA_TYPES:
        raise BadName(f"{'/'.join(parts)!r} is no HTML or JSON file of a run folder: open it by the link on its task.")
    return storage.join(settings().storage_root, "runs", *parts)


@cache
def _application() -> "ASGIApp":
    """The guarded route. Made at the first request: what it imports would cost every task 0.8 s."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException, Response

    application = FastAPI(title="Roundtrip", openapi_url=None)  # no schema, so no unguarded documentation page either

    @application.get("/reports/{dag_id}/{run}/{path:path}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN))])
    def show_report(dag_id: str, run: str, path: str) -> Response:
        try:
            content = storage.read_bytes(file_of_run(dag_id, run, path))
        except (BadName, FileNotFoundError) as error:
            raise HTTPException(404, f"Not found: {error}") from error
        return Response(content, media_type=MEDIA_TYPES[path.rpartition(".")[2]], headers=HEADERS)

    return application


async def _reports(scope: "Scope", receive: "Receive", send: "Send") -> None:
    await _application()(scope, receive, send)


class RoundtripPlugin(AirflowPlugin):
    """Named in /api/v2/plugins; Airflow drops a plugin that it can't load with no more than a warning in its log."""

    name = "roundtrip"
    fastapi_apps = [{"app": _reports, "url_prefix": "/roundtrip", "name": "Roundtrip reports"}]  # noqa: RUF012 - Airflow's declaration
