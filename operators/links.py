"""Links on a task: to its use case's page, and to what its job made (the titles of the receipts' links: docs/architecture.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
from airflow.sdk import BaseOperatorLink

from roundtrip.contracts.report_addresses import browser_address, page_address

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


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


@attrs.define(kw_only=True)
class PageLink(BaseOperatorLink):
    """The page of the task's use case (plugins/pages/)."""

    @property
    def name(self) -> str:
        return "Use case"

    @property
    def xcom_key(self) -> str:
        return "_link_use_case"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return page_address(getattr(operator, "use_case", ""))


TITLES = ("Receipt", "Checks", "MLflow run", "Model version", "Model card", "Evidently report", "Gateway")
LINKS = (PageLink(), *(ReceiptLink(title=title) for title in TITLES))
