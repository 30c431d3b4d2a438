"""Where a person opens what a job left: files of run folders are shown by Airflow's API server, to those who may see the DAG's runs."""

from __future__ import annotations

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings

REPORTS = "/roundtrip/reports"
"""Path under which the API server shows files of the run folders (plugins/roundtrip_plugin.py)."""


def browser_address(address: str) -> str:
    """An http(s) address as it is; that of a file in a run folder as the API server's address for it."""
    runs = storage.join(settings().storage_root, "runs") + "/"
    if address.startswith(runs):
        return storage.join(settings().airflow_url, REPORTS, address.removeprefix(runs))
    return address
