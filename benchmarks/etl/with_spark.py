"""The tables of flight_eta's operations, by Spark alone: `python -m benchmarks.etl.with_spark DEFINITIONS ROOT LANDED MONTH`.

Roundtrip's queries on the same server, each written straight into its Delta table: no contract, quarantine, checks, lineage or
fingerprint. It tells what the engine takes from what Roundtrip adds. Tables lie in ROOT/lakehouse/flight_eta.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.lakehouse.definitions import TableDefinition, definition_of
from roundtrip.lakehouse.inputs import name_the_partition, run_query, show_inputs
from roundtrip.lakehouse.session import spark_session
from roundtrip.lakehouse.tables import PARTITION_COLUMN, table_uri
from use_cases.flight_eta.declaration import USE_CASE


def main(definitions: Path, root: str, landed: Path, month: str) -> None:
    os.environ["ROUNDTRIP_STORAGE_ROOT"] = root
    with spark_session() as spark:
        name_the_partition(spark, month)
        for stage in USE_CASE.feed("operations").stages:
            for table in stage:
                definition = definition_of(USE_CASE.name, table, root=definitions)
                _replace(_rows(spark, definition, landed, month), table, month)


def _rows(spark: SparkSession, definition: TableDefinition, landed: Path, month: str) -> DataFrame:
    if not definition.source:
        show_inputs(spark, definition, month)
        return run_query(spark, definition)
    types = ", ".join(f"{column.name} {column.type}" for column in definition.columns)
    file = (landed / f"{definition.source}.csv").as_uri()
    return spark.read.csv(file, types, header=True, nullValue=definition.null_text)


def _replace(rows: DataFrame, table: str, month: str) -> None:
    """Make them the table's month."""
    of_month = rows.withColumn(PARTITION_COLUMN, sf.lit(month)).write.format("delta").mode("overwrite").partitionBy(PARTITION_COLUMN)
    of_month.option("replaceWhere", f"{PARTITION_COLUMN} = '{month}'").save(table_uri(USE_CASE.name, table))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])
