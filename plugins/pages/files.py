"""Pages that jobs left, shown as they are: reports and receipts of run folders, the checks' pages of the data docs.

Their content is not trusted: the browser runs a report's scripts in a sandbox of their own, without the reader's session and a network.
"""

from __future__ import annotations

import re

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadName
from roundtrip.contracts.settings import settings

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


def checks_page_of(use_case: str, table: str, page: str) -> str:
    """URI of a page of the data docs; raises BadName for anything else."""
    parts = [use_case, table, page]
    if not all(_PART.fullmatch(part) for part in parts) or not page.endswith(".html"):
        raise BadName(f"{'/'.join(parts)!r} is no page of the data docs: open it by the link on the table.")
    return storage.join(settings().storage_root, "data_docs", *parts)
