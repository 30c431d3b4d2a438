"""Rows that broke a row contract, kept in `<table>_quarantine` with what a replay needs."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts.receipts import TableVersion
from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.parsing import AS_LATIN_1
from roundtrip.lakehouse.publish import Commit, Provenance, last_commit, publish_partition
from roundtrip.lakehouse.row_contract import REASON
from roundtrip.lakehouse.session import computed
from roundtrip.lakehouse.tables import PARTITION_COLUMN, spark_uri, table_uri


def quarantine(
    spark: SparkSession,
    broken: DataFrame,
    definition: TableDefinition,
    *,
    count: int,
    came_from: str,
    header: str | None,
    partition: str,
    transaction: str,
    provenance: Provenance,
    replayed_in: str | None,
) -> TableVersion | None:
    """Make the `count` broken rows the partition of the quarantine table; gives its version.

    None when there are none and none are left from an earlier build. Columns: source_file, source_sha256, header (of a CSV),
    line, reason, raw_row (the record of the file, or a row as JSON), as_latin_1 (parsing.py), replay_key (SHA-256 of raw_row),
    replayed_in (NULL: the row waits).
    Rows of the same landed file that an earlier build quarantined and this one does not stay, with `replayed_in`, the run that let them
    pass; None: nothing was published, so they wait on.
    """
    name = definition.use_case_name
    held = last_commit(name, definition.quarantine, partition)
    if not count and (held is None or not held[1].rows):
        return None
    rows = _as_kept(broken, came_from, provenance.files.get(came_from), header)
    if held is not None and provenance.files and held[1].provenance.files == provenance.files:
        rows = computed(rows.unionByName(_let_out(spark, rows, definition, partition, replayed_in)))
    return publish_partition(
        spark,
        rows,
        use_case_name=name,
        table=definition.quarantine,
        partition=partition,
        transaction=transaction,
        provenance=provenance,
    ).version


def settled(held: Commit | None, provenance: Provenance, *, broken: int) -> bool:
    """Whether the quarantine's partition is what a build from this provenance, with so many broken rows, leaves in it."""
    return broken == 0 if held is None or not held.rows else held.provenance == provenance


def _as_kept(broken: DataFrame, came_from: str, sha256: str | None, header: str | None) -> DataFrame:
    return broken.select(
        sf.lit(came_from).alias("source_file"),
        sf.lit(sha256).cast("string").alias("source_sha256"),
        sf.lit(header).cast("string").alias("header"),
        "line",
        sf.col(REASON).alias("reason"),
        "raw_row",
        AS_LATIN_1,
        sf.sha2("raw_row", 256).alias("replay_key"),
        sf.lit(None).cast("string").alias("replayed_in"),
        PARTITION_COLUMN,
    )


def _let_out(spark: SparkSession, broken: DataFrame, definition: TableDefinition, partition: str, replayed_in: str | None) -> DataFrame:
    uri = spark_uri(table_uri(definition.use_case_name, definition.quarantine))
    earlier = spark.read.format("delta").load(uri).where(sf.col(PARTITION_COLUMN) == partition)
    passed = earlier.join(broken.select("line"), on="line", how="left_anti")
    return passed.withColumn("replayed_in", sf.coalesce("replayed_in", sf.lit(replayed_in)))
