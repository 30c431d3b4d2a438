"""What Airflow's UI gains: a page for each use case, with the live model, its year and two buttons, and the reports that jobs left.

`/roundtrip/` of the API server (plugins/pages/routes.py); the links to it: operators/links.py, and *Roundtrip* in the navigation.
"""

from functools import cache
from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


@cache
def _application() -> "ASGIApp":
    """The guarded routes. Made at the first request: what they import would cost every task a second."""
    from plugins.pages.routes import application

    return application


async def _pages(scope: "Scope", receive: "Receive", send: "Send") -> None:
    """The application of this plugin, told which one it is a part of: its buttons ask that one."""
    await _application()({**scope, "roundtrip.airflow": scope["app"]}, receive, send)


class RoundtripPlugin(AirflowPlugin):
    """Named in /api/v2/plugins; Airflow drops a plugin that it can't load with no more than a warning in its log."""

    name = "roundtrip"
    fastapi_apps = [{"app": _pages, "url_prefix": "/roundtrip", "name": "Roundtrip"}]  # noqa: RUF012 - Airflow's declaration
    # Without a url_route it opens as a page of its own: Airflow's frames let no link out, and half of this page is links. And not at the
    # top level: there Airflow 3.3 draws such a link as a button that leads nowhere.
    external_views = [  # noqa: RUF012
        {"name": "Roundtrip", "href": "roundtrip/", "destination": "nav", "category": "browse"}
    ]
