"""Compact the tables' small files, and remove files that no kept version needs."""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.contracts.receipts import job_parser, receipt_for
from roundtrip.lakehouse.housekeeping import keep_house
from roundtrip.lakehouse.session import spark_session
from use_cases import use_case_named


def main(argv: Sequence[str] | None = None) -> None:
    request = job_parser("keep_house", __doc__ or "").parse_args(argv)
    with receipt_for(request) as receipt:
        use_case = use_case_named(request.use_case)
        with spark_session() as spark:
            kept = keep_house(spark, use_case)
        receipt.outputs = [table.version for table in kept]
        receipt.figures["retention_hours"] = {table.version.table: table.retention_h for table in kept}


if __name__ == "__main__":
    main()
