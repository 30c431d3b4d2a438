"""Landed CSV files: checked for being what the contract says, then read as numbered lines."""

from __future__ import annotations

import csv

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadFile, MissingSource
from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.tables import spark_uri

_HEADER_BYTES = 65_536
"""Most that a header line may take."""


def check_header(uri: str, definition: TableDefinition) -> None:
    """Raises MissingSource when no file is at `uri`, BadFile when its first line is not the contract's header."""
    try:
        start = storage.read_start(uri, _HEADER_BYTES)
    except FileNotFoundError:
        raise MissingSource(f"{uri} has not landed: the feed must deliver {definition.source}.csv before its marker.") from None
    expected = [column.name for column in definition.columns]
    try:
        found = next(csv.reader([start.split(b"\n", 1)[0].decode("utf-8-sig")]))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        raise BadFile(f"{uri} is no CSV in UTF-8 (it starts with {start[:20]!r}): deliver lines of text, the header first.") from None
    if found != expected:
        remedy = f"the contract of {definition.name} is {_shown(expected)}: deliver these columns in this order."
        raise BadFile(f"{uri}: its header is {_shown(found)}, but {remedy}")


def numbered_lines(spark: SparkSession, uri: str) -> DataFrame:
    """The file's lines after its header: raw_row (text) and line (its number in the file, the header being 1).

    A record is one line: a quoted line break makes two broken rows.
    """
    # one task reads one file from end to end, so that its running number is the line's; a landed file is a month of one source
    spark.conf.set("spark.sql.files.maxPartitionBytes", "1t")
    lines = spark.read.text(spark_uri(uri)).withColumn("line", sf.monotonically_increasing_id() + 1)
    return lines.where("line > 1 and trim(value) <> ''").select(sf.col("value").alias("raw_row"), sf.col("line").cast("int"))


def _shown(header: list[str]) -> str:
    text = ",".join(header)
    return repr(text if len(text) <= 200 else f"{text[:200]}…")
