"""What Airflow's API server shows beside Airflow's own pages: a page for each use case, and the files of run folders."""

from __future__ import annotations

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings

REPORTS = "/roundtrip/reports"
"""Path under which the API server shows files of the run folders (plugins/roundtrip_plugin.py)."""

RUNBOOK = "/roundtrip/runbook"
"""Path under which the API server shows docs/operate.md."""
PAGES = "/roundtrip/use_cases"
"""Path under which the API server shows a page for each use case."""


def page_address(use_case_name: str) -> str:
    """The API server's address for the page of a use case."""
    return storage.join(settings().airflow_url, PAGES, use_case_name)


def runbook_address(section: str) -> str:
    """The API server's address for a section of docs/operate.md, by its anchor."""
    return f"{storage.join(settings().airflow_url, RUNBOOK)}#{section}"


def browser_address(address: str) -> str:
    """An http(s) address as it is; that of a file in a run folder as the API server's address for it."""
    runs = storage.join(settings().storage_root, "runs") + "/"
    if address.startswith(runs):
        return storage.join(settings().airflow_url, REPORTS, address.removeprefix(runs))
    return address
