"""What a table's query sees: the tables it reads as views of the same name, pinned to a version and cut to the months it may use."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts.errors import BadDefinition, TableMissing
from roundtrip.contracts.names import checked_partition, months_back
from roundtrip.contracts.receipts import TableVersion
from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.publish import last_commits
from roundtrip.lakehouse.tables import PARTITION_COLUMN, open_table, rows_in, spark_uri, table_uri


@dataclass(frozen=True)
class QueryInputs:
    """The versions that a query read, and months it would have looked back into that are not there."""

    versions: list[TableVersion]
    missing: list[str]
    """`<table> <month>`; before the first month of data that is in order, in a gap it is not."""
    made_by: dict[str, int] = field(default_factory=dict)
    """`<table> <month>` → the version that gave the month its content."""


def name_the_partition(spark: SparkSession, partition: str) -> None:
    """Let SQL say session.this_partition. (Delta 4.4.0's parser drops the named parameters of Spark 4.2: UNBOUND_SQL_PARAMETER.)"""
    spark.sql(f"DECLARE OR REPLACE VARIABLE this_partition STRING DEFAULT '{checked_partition(partition)}'")


def show_inputs(spark: SparkSession, definition: TableDefinition, partition: str) -> QueryInputs:
    """Make a view of every table that the query reads. No view holds a month after the partition.

    Raises TableMissing when a table has no rows of the partition itself.
    """
    inputs = QueryInputs([], [])
    for table, back in definition.reads.items():
        opened = open_table(definition.use_case_name, table)
        months = months_back(partition, back)
        held = {entry[PARTITION_COLUMN] for entry in opened.partitions()}
        if partition not in held:
            raise TableMissing(
                f"{definition.name} {partition} reads {table}, which holds no {partition}: build it first (--tables {table})."
            )
        inputs.missing.extend(f"{table} {month}" for month in months if month not in held)
        uri, version = table_uri(definition.use_case_name, table), opened.version()
        frame = spark.read.format("delta").option("versionAsOf", version).load(spark_uri(uri))
        frame.where(sf.col(PARTITION_COLUMN).isin(months)).createOrReplaceTempView(table)
        inputs.versions.append(TableVersion(table, uri, version, rows_in(opened, months)))
        inputs.made_by.update(_made_by(definition.use_case_name, table, version, [month for month in months if month in held]))
    return inputs


def _made_by(use_case_name: str, table: str, version: int, months: list[str]) -> dict[str, int]:
    """The commit of each month at `version`; `version` itself for a month whose writer can't be told."""
    commits = last_commits(use_case_name, table, months, version=version)
    return {f"{table} {month}": commits[month][0] if month in commits else version for month in months}


def run_query(spark: SparkSession, definition: TableDefinition) -> DataFrame:
    """The query's rows on the views as they are; raises BadDefinition unless its columns are those of schema.yaml, in type too."""
    frame = spark.sql(definition.query)
    found = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    declared = {column.name: column.type for column in definition.columns} | {PARTITION_COLUMN: "string"}
    if found != declared:
        apart = sorted(f"{name} {kind}" for name, kind in found.items() ^ declared.items())
        raise BadDefinition(f"sql/{definition.use_case_name}/{definition.name}: query.sql and schema.yaml disagree on {', '.join(apart)}.")
    return frame
