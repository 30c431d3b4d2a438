"""Rows that broke a row contract, kept in `<table>_quarantine` with what a replay needs."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts.receipts import TableVersion
from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.publish import publish
from roundtrip.lakehouse.row_contract import REASON
from roundtrip.lakehouse.tables import PARTITION_COLUMN, partitions_of


def quarantine(
    spark: SparkSession, broken: DataFrame, definition: TableDefinition, *, count: int, came_from: str, partition: str, transaction: str
) -> TableVersion | None:  # fmt: skip
    """Make the `count` broken rows the partition of the quarantine table; gives its version.

    None when there are none and none are left from an earlier build. Columns: source_file, line, reason,
    raw_row (the line of the file, or a query's row as JSON), replay_key (SHA-256 of raw_row).
    """
    name = definition.use_case_name
    if not count and partition not in partitions_of(name, definition.quarantine):
        return None
    rows = broken.select(
        sf.lit(came_from).alias("source_file"),
        "line",
        sf.col(REASON).alias("reason"),
        "raw_row",
        sf.sha2("raw_row", 256).alias("replay_key"),
        PARTITION_COLUMN,
    )
    return publish(spark, rows, use_case_name=name, table=definition.quarantine, partition=partition, transaction=transaction)
