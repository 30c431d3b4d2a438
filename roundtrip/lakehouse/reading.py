"""Landed files as records: each with its complete text and the number of its line, whatever the format.

CSV and JSON lines are read as lines of text, so that a record which can't be parsed is still there to be kept. A row of Parquet becomes
the JSON that JSON lines would have said, and goes the same way from there.
"""

from __future__ import annotations

import csv
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts.errors import BadFile
from roundtrip.lakehouse.definitions import TableDefinition
from roundtrip.lakehouse.parsing import AS_LATIN_1, header_names, readable
from roundtrip.lakehouse.quoted_records import records_of_several_lines
from roundtrip.lakehouse.source_files import SourceFile
from roundtrip.lakehouse.tables import spark_uri

_HEADER_BYTES = 65_536
"""Most that a header line may take."""
_FIRST_MEMBERS = 100
"""JSON lines at the start of a file whose members are compared with the contract."""
_ONE_TASK = {"spark.sql.files.maxPartitionBytes": "1t", "spark.sql.files.minPartitionNum": "1"}
_ONE_CORE_BYTES = 16 << 20
"""A larger file is read by one task, but its records are parsed and judged on all cores."""
_OTHER_UNICODE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
"""Byte order marks of UTF-16 and UTF-32."""
_TIMESTAMPS = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"}
"""Spark's own formats for JSON stop at milliseconds."""
_NO_PARQUET = ("CANNOT_READ_FILE_FOOTER", "PARQUET_TYPE_ILLEGAL", "PARQUET_TYPE_NOT_SUPPORTED", "COLUMN_ALREADY_EXISTS")


@dataclass(frozen=True)
class Records:
    """The records of one file.

    `frame` has the columns raw_row (text), as_latin_1 (parsing.py) and line: the number of the record's first line in the file, the
    header being 1, or of the row in a Parquet file.
    """

    frame: DataFrame
    header: str | None
    """A CSV's header line; None where each record names its own values."""
    ignored: list[str]
    """Columns of the file that the contract does not have."""
    missing: list[str]
    """Columns of the contract that the file does not have; they may be NULL."""


def read_records(spark: SparkSession, file: SourceFile, definition: TableDefinition) -> Records:
    """The file's records, in no particular order; blank lines are none. Run what is made of them `in_one_task_a_file`.

    Raises BadFile for a file that is not of its format, is in UTF-16, names a column twice or lacks one that may not be NULL.
    """
    readers = {"csv": _csv_records, "jsonl": _json_records, "parquet": _parquet_records}
    records = readers[file.format](spark, file, definition)
    return replace(records, frame=records.frame.repartition("line")) if file.size > _ONE_CORE_BYTES else records


@contextmanager
def in_one_task_a_file(spark: SparkSession) -> Iterator[None]:
    """Lines are numbered by a running number, which is the line's only where one task reads the file from end to end."""
    for name, value in _ONE_TASK.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in _ONE_TASK:
            spark.conf.unset(name)


def _csv_records(spark: SparkSession, file: SourceFile, definition: TableDefinition) -> Records:
    first, last = array("i"), array("i")
    with file.unzipped() as content:
        header = _first_line(content.readline(_HEADER_BYTES), file, definition.encoding)
        for opened, closed in records_of_several_lines(content, first=2):
            first.append(opened)
            last.append(closed)
    try:
        names = header_names(header)
    except csv.Error as error:
        raise BadFile(f"{file.uri} has no header in its first line ({error}): {header[:80]!r}. Deliver CSV, the header first.") from None
    ignored, missing = _compared(names, file, definition)
    lines = _numbered_lines(spark, file).where("line > 1")
    whole = _joined(spark, lines, pa.table({"first": pa.array(first), "last": pa.array(last)})) if first else lines
    return Records(readable(whole, definition.encoding), header, ignored, missing)


def _json_records(spark: SparkSession, file: SourceFile, definition: TableDefinition) -> Records:
    with file.unzipped() as content:
        start = content.readline(_HEADER_BYTES)
        _refuse_other_unicode(start, file)
        named = _members(start)
        for number, line in enumerate(content):  # to the end: a gzip file is found to be cut off only there
            if number < _FIRST_MEMBERS:
                named |= _members(line)
    expected = [column.name for column in definition.columns]
    frame = readable(_numbered_lines(spark, file), definition.encoding)
    return Records(frame, None, [name for name in named if name not in expected], [])


def _parquet_records(spark: SparkSession, file: SourceFile, definition: TableDefinition) -> Records:
    try:
        rows = spark.read.parquet(spark_uri(file.uri))
        names = rows.columns
    except PySparkException as error:
        if not any(sign in str(error) for sign in _NO_PARQUET):
            raise
        raise BadFile(f"{file.uri} is no Parquet file that Spark reads ({str(error).splitlines()[0]}): deliver it anew.") from None
    ignored, missing = _compared(names, file, definition)
    frame = rows.select(
        sf.to_json(sf.struct("*"), _TIMESTAMPS).alias("raw_row"),
        sf.lit(False).alias(AS_LATIN_1),
        (sf.col("_metadata.row_index") + 1).cast("int").alias("line"),
    )
    return Records(frame, None, ignored, missing)


def _numbered_lines(spark: SparkSession, file: SourceFile) -> DataFrame:
    """value (the line's bytes, as a string that need not be valid) and line, its number in the file from 1."""
    lines = spark.read.option("lineSep", "\n").text(spark_uri(file.uri))
    return lines.withColumn("line", (sf.monotonically_increasing_id() + 1).cast("int"))


def _joined(spark: SparkSession, lines: DataFrame, several: pa.Table) -> DataFrame:
    """`lines` with those from `first` to `last` of each row of `several` made one, which has the number of its first."""
    belongs = spark.createDataFrame(several).select("first", sf.explode(sf.sequence("first", "last")).alias("line"))
    marked = lines.join(sf.broadcast(belongs), "line", "left")
    in_order = sf.array_sort(sf.collect_list(sf.struct("line", "value")))
    joined = marked.where("first IS NOT NULL").groupBy("first").agg(in_order.alias("lines"))
    whole = joined.select(sf.array_join("lines.value", "\n").alias("value"), sf.col("first").alias("line"))
    return marked.where("first IS NULL").select("value", "line").union(whole)


def _first_line(line: bytes, file: SourceFile, encoding: str) -> str:
    """The header's text; raises BadFile when it can't be one."""
    _refuse_other_unicode(line, file)
    try:
        text = line.removeprefix(b"\xef\xbb\xbf").decode(encoding).rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text or not line.endswith(b"\n"):
        what = f"CSV in {encoding} with a header line of at most {_HEADER_BYTES:,} bytes"
        raise BadFile(f"{file.uri} is no {what} (it starts with {line[:20]!r}): deliver lines of text, the header first.")
    return text


def _refuse_other_unicode(start: bytes, file: SourceFile) -> None:
    if start.startswith(_OTHER_UNICODE):
        raise BadFile(
            f"{file.uri} is in UTF-16 or UTF-32 (it starts with {start[:4]!r}): deliver UTF-8, or name `encoding` in schema.yaml."
        )


def _compared(names: Sequence[str], file: SourceFile, definition: TableDefinition) -> tuple[list[str], list[str]]:
    """Columns of the file that the contract lacks, and the other way round; raises BadFile where that can't be."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise BadFile(f"{file.uri} names {', '.join(doubled)} more than once in {_shown(names)}: deliver each column once.")
    expected = [column.name for column in definition.columns]
    required = [column.name for column in definition.columns if not column.nullable and column.name not in names]
    if required:
        remedy = f"the contract of {definition.name} is {_shown(expected)}: deliver these columns, in any order."
        raise BadFile(f"{file.uri} lacks {', '.join(required)}: its columns are {_shown(names)}, but {remedy}")
    return [name for name in names if name not in expected], [name for name in expected if name not in names]


def _members(line: bytes) -> dict[str, None]:
    """Names of a JSON object's members, in order; none of what is no object: the row contract says so of each."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return dict.fromkeys(found) if isinstance(found, dict) else {}


def _shown(names: Sequence[str]) -> str:
    text = ",".join(names)
    return repr(text if len(text) <= 200 else f"{text[:200]}…")
