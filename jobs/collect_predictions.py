"""Bring the gateway's prediction log files into the table prediction_log, each line once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import TableVersion, job_parser, receipt_for
from roundtrip.lakehouse.logged_requests import TABLE
from roundtrip.lakehouse.prediction_log import collect_predictions
from roundtrip.lakehouse.session import spark_session
from roundtrip.lakehouse.tables import current_version, table_uri
from use_cases import use_case_named


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = job_parser("collect_predictions", __doc__ or "")
    parser.add_argument("--partition", required=True, help="month that is looked at next; all waiting lines are collected, of any month")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    request = parse(argv)
    with receipt_for(request) as receipt:
        use_case = use_case_named(request.use_case)
        checked_partition(request.partition)
        with spark_session() as spark:
            collected = collect_predictions(spark, use_case.name)
        receipt.figures |= {"files": collected.files, "rows": collected.rows, "broken_files": list(collected.broken_files)}
        version = current_version(use_case.name, TABLE)
        if version is not None:
            receipt.outputs = [TableVersion(TABLE, table_uri(use_case.name, TABLE), version, collected.rows)]


if __name__ == "__main__":
    main()
