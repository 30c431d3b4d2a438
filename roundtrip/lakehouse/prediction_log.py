"""The prediction log: the gateway's JSON lines become the table `prediction_log`, each line once."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts import storage
from roundtrip.contracts.names import MONTH
from roundtrip.contracts.settings import settings
from roundtrip.lakehouse.logged_requests import TABLE
from roundtrip.lakehouse.publish import insert_missing
from roundtrip.lakehouse.session import computed
from roundtrip.lakehouse.tables import PARTITION_COLUMN, spark_uri

BROKEN = "prediction_log_broken"
_KEY = "prediction_id"
COLUMNS = {
    "prediction_id": "string",
    "request_id": "string",
    "key": "string",
    "event_month": "string",
    "predicted_at": "timestamp",
    "model_version": "string",
    "served_by": "string",
    "inputs": "string",
    "outputs": "string",
}
"""Columns and types. key, inputs and outputs are objects whose members differ by use case and version: they are kept as JSON text."""


@dataclass(frozen=True)
class Collected:
    """What was collected."""

    files: int
    rows: int
    """Lines that were not in the table before."""
    broken_files: list[str]
    """URIs of files with lines that can't be read, set aside as they are; their other lines were collected."""


def collect_predictions(spark: SparkSession, use_case_name: str) -> Collected:
    """Bring every waiting file `<storage root>/prediction_log/<use case>/*.jsonl` into the table, then remove the file.

    A file that is still there after a crash, or is uploaded again, adds nothing: a prediction_id is inserted once.
    """
    prefix = storage.join(settings().storage_root, "prediction_log", use_case_name) + "/"
    waiting = [entry.uri for entry in storage.list_objects(prefix) if entry.uri.endswith(".jsonl") and entry.size]
    if not waiting:
        return Collected(0, 0, [])
    lines = computed(_lines(spark, waiting))
    good = lines.where(_is_whole()).drop("file", "text").dropDuplicates([_KEY])
    rows = insert_missing(spark, good, use_case_name=use_case_name, table=TABLE, key=_KEY)
    broken = {row.file.rsplit("/", 1)[1] for row in lines.where(~_is_whole()).select("file").distinct().collect()}
    set_aside = [_set_aside(uri, use_case_name) for uri in waiting if uri.rsplit("/", 1)[1] in broken]
    for uri in waiting:
        storage.delete(uri)
    return Collected(len(waiting), rows, set_aside)


def _lines(spark: SparkSession, uris: list[str]) -> DataFrame:
    texts = spark.read.text([spark_uri(uri) for uri in uris]).select(
        sf.col("value").alias("text"),
        sf.col("_metadata.file_path").alias("file"),
    )
    schema = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    return texts.withColumn("line", sf.from_json("text", schema)).select("text", "file", "line.*")


def _is_whole() -> Column:
    required = sf.col(_KEY).isNotNull() & sf.col("predicted_at").isNotNull() & sf.col(PARTITION_COLUMN).rlike(f"^{MONTH}$")
    return sf.coalesce(required, sf.lit(False))


def _set_aside(uri: str, use_case_name: str) -> str:
    kept = storage.join(settings().storage_root, BROKEN, use_case_name, uri.rsplit("/", 1)[1])
    storage.write_bytes(kept, storage.read_bytes(uri))
    return kept
