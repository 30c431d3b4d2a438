"""The audit of a partition before it is published: its checks are run, their page is kept, and a check that `fails` stops it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pyspark.sql import DataFrame

from roundtrip.contracts import storage
from roundtrip.contracts.errors import ChecksFailed
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.lakehouse.checks_page import Audited, checks_page
from roundtrip.lakehouse.data_docs import keep_latest, latest_page
from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.expectations import CheckResult, run_checks
from roundtrip.lakehouse.tables import PARTITION_COLUMN, SOURCE_LINE

CHECKS = "Checks"
"""Title of the page's link on the task."""


def audit(frame: DataFrame, audited: Audited, *, folder: RunFolder, receipt: Receipt) -> None:
    """Run the checks of `frame`, the partition as it is to be published; figures and the page's link go into `receipt`.

    `frame` is read two to four times: it should be `computed`. The page is kept in the run folder; the data docs show what is
    published. Raises ChecksFailed when a check that `fails` was missed, BadDefinition when one can't run.
    """
    started = time.monotonic()
    definition = audited.definition
    results = run_checks(frame.drop(PARTITION_COLUMN, SOURCE_LINE), definition, name=audited.title)
    receipt.figures["audit_seconds"] = round(time.monotonic() - started, 3)
    page = checks_page(audited, results).encode()
    receipt.links[CHECKS] = _page_in(folder, definition.name, audited.partition)
    storage.write_bytes(receipt.links[CHECKS], page)
    missed = [result for result in results if not result.passed]
    receipt.figures["checks_passed"] = len(results) - len(missed)
    receipt.figures["checks_warned"] = [result.check.because for result in missed if result.check.level == "warns"]
    failed = [result for result in missed if result.check.level == "fails"]
    if failed:
        raise ChecksFailed(_message(audited, failed, len(results), receipt.links[CHECKS]))
    keep_latest(definition, audited.partition, page)


def bring_page(definition: TableDefinition, partition: str, *, folder: RunFolder, receipt: Receipt) -> None:
    """Copy the partition's latest page into the run folder, where Airflow shows it: of a partition that is left as it is."""
    try:
        page = storage.read_bytes(latest_page(definition, partition))
    except FileNotFoundError:  # removed since, with other data docs: the partition is as good without
        return
    receipt.links[CHECKS] = _page_in(folder, definition.name, partition)
    storage.write_bytes(receipt.links[CHECKS], page)


def _page_in(folder: RunFolder, table: str, partition: str) -> str:
    """Where a run folder keeps the page of a table and partition."""
    return folder.file("checks", f"{table}.{partition}.html")


def _message(audited: Audited, failed: Sequence[CheckResult], count: int, page: str) -> str:
    first = failed[0]
    rows = "; ".join(first.sample)
    return (
        f"{audited.title}: {len(failed)} of {count} checks failed, nothing was published. First: {first.check.text}: found {first.found}. "
        f"It matters because {first.check.because} {f'Such rows: {rows}. ' if rows else ''}Correct {audited.came_from}, or the "
        f"definition in sql/{audited.definition.use_case_name}/{audited.definition.name} if the data is right. All results: {page}"
    )
