"""Build tables for a partition, each by write–audit–publish: row contract, quarantine, checks, publish."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack

from pyspark.sql import SparkSession

from roundtrip.contracts.names import folder_name
from roundtrip.contracts.receipts import Figure, RunFolder, job_parser, receipt_for
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.build import build_table
from roundtrip.lakehouse.dependents import ask_other_feeds, superseded
from roundtrip.lakehouse.session import spark_session
from use_cases import use_case_named


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = job_parser("build_table", __doc__ or "")
    parser.add_argument("--tables", required=True, help="comma-separated names of tables that don't depend on each other")
    parser.add_argument("--partition", required=True, help="month to build, 2013-04")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    request = parse(argv)
    spark: SparkSession | None = None
    with ExitStack() as sessions:
        for table in request.tables.split(","):
            with receipt_for(request, part=folder_name(f"{table}.{request.partition}")) as receipt:
                use_case = use_case_named(request.use_case)
                spark = spark or sessions.enter_context(spark_session())
                build_table(spark, use_case, table, request.partition, folder=RunFolder(request.run_dir), receipt=receipt)
                if not receipt.figures["unchanged"]:
                    receipt.figures["landed_again"] = [*ask_other_feeds(use_case, table, request.partition)]
                if table in (use_case.features_table, use_case.outcomes_table):
                    receipt.figures["models_flagged"] = _flag_models(use_case, request.partition)


def _flag_models(use_case: UseCase, partition: str) -> list[Figure]:
    """Versions trained on what the partition held before. MLflow's client is imported where there are any: it takes 2 s."""
    versions = superseded(use_case, partition)
    if versions:
        from roundtrip.registry.superseded import flag_superseded

        flag_superseded(use_case.name, partition, versions)
    return list(versions)


if __name__ == "__main__":
    main()
