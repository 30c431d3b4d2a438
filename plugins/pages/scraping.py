"""Who may read the metrics: a program with one of the gateway's API keys, the same that it scrapes the gateway with.

Not Airflow's tokens: they end after a day, and Prometheus can't ask for a new one.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus

from fastapi import HTTPException, Request

from roundtrip.contracts.settings import settings
from roundtrip.serving.gateway.api_keys import ApiKeys, KeyScope, key_file


def scraper(request: Request) -> None:
    """Lets through a key with the scope `metrics`; raises 401, 403."""
    key = _keys().find(request.headers.get("x-api-key", ""))
    if key is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "Send an API key in the header X-API-Key: `roundtrip keys add NAME --scope metrics`.")
    if not key.allows(KeyScope.METRICS):
        raise HTTPException(HTTPStatus.FORBIDDEN, f"Key {key.name!r} has the scope {', '.join(key.scopes)}, this asks for metrics.")


@cache
def _keys() -> ApiKeys:
    return ApiKeys(key_file(settings().home_path), settings().gateway_key)
