"""Links on a task to what its job made. The titles are those of the receipts' links (docs/architecture.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
from airflow.sdk import BaseOperatorLink

from roundtrip.contracts import storage
from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

REPORTS = "/roundtrip/reports"
"""Where the API server shows files of the run folders (plugins/roundtrip_plugin.py)."""


@attrs.define(kw_only=True)
class ReceiptLink(BaseOperatorLink):
    """The link of that title in the receipts of the task's job; Airflow shows none where the job gave none."""

    title: str

    @property
    def name(self) -> str:
        return self.title

    @property
    def xcom_key(self) -> str:
        """One per title: by default all links of one class share a key, and the last one wins."""
        return "_link_" + re.sub(r"[^a-z]+", "_", self.title.lower())

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        links: dict[str, str] = getattr(operator, "receipt_links", {})
        return browser_address(links[self.title]) if self.title in links else ""


TITLES = ("Receipt", "Checks", "MLflow run", "Model version", "Evidently report", "Gateway")
RECEIPT_LINKS = tuple(ReceiptLink(title=title) for title in TITLES)


def browser_address(address: str) -> str:
    """An http(s) address as it is; that of a file in a run folder as the API server's address for it."""
    runs = storage.join(settings().storage_root, "runs") + "/"
    if address.startswith(runs):
        return storage.join(settings().airflow_url, REPORTS, address.removeprefix(runs))
    return address
