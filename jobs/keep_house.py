"""Compact the tables' small files, and remove files that no version to be kept needs, and old run folders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from roundtrip.contracts.receipts import job_parser, receipt_for
from roundtrip.lakehouse.housekeeping import keep_house, remove_old_runs
from roundtrip.lakehouse.session import spark_session
from roundtrip.registry.mlflow_registry import pinned_versions
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("keep_house", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case = use_case_named(request.use_case)
        with spark_session() as spark:
            kept = keep_house(spark, use_case, registered=pinned_versions(use_case))
        receipt.outputs = [table.version for table in kept if table.compacted]
        receipt.figures["compacted"] = [table.version.table for table in kept if table.compacted]
        receipt.figures["removed_files"] = {table.version.table: table.removed_files for table in kept}
        receipt.figures["removed_runs"] = [*remove_old_runs(use_case.name, now=datetime.now(UTC))]
        receipt.figures["cited_versions"] = {table.version.table: list(table.cited) for table in kept if table.cited}


if __name__ == "__main__":
    main()
