"""Publish one partition of a table: replaced as a whole, once per transaction, and not at all when its content is already there.

The only place that writes Delta tables. Every commit says in its metadata which partition it wrote, with which content.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import msgspec
from pyspark.errors import PySparkException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import StructType

from roundtrip.contracts.errors import ServiceUnavailable, TableMissing
from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import TableVersion
from roundtrip.lakehouse.tables import PARTITION_COLUMN, current_version, history_of, spark_uri, table_uri

log = logging.getLogger(__name__)

_ATTEMPTS = 6
"""Tries of one commit. Writers of other partitions only collide while a table is being created or its schema changes."""
_CONFLICT = ("CONCURRENT", "Concurrent", "METADATA_CHANGED", "MetadataChanged", "PROTOCOL_CHANGED", "ProtocolChanged", "ALREADY_EXISTS")
"""What a lost race says; the client sees it as an exception of no particular type."""
_RECENT_COMMITS = 50
"""Commits looked at before all of them are: each is a file to read."""
_PROPERTIES = {"delta.logRetentionDuration": "interval 3650 days"}
"""Set when a table is created. A version whose log entry is gone (after 30 days by default) can't be read, whatever files are kept."""
_KEEPS_CONTENT = ("OPTIMIZE", "VACUUM START", "VACUUM END")
"""Operations that change no row."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a partition was made from: made again from the same, it would be the same."""

    definition: str = ""
    """Digest of the table's folder in sql/ and of the code that builds tables."""
    files: dict[str, str] = field(default_factory=dict)
    """A raw table: URI of each landed file → SHA-256 of its content."""
    tables: dict[str, int] = field(default_factory=dict)
    """A built table: `<table> <month>` of each partition that was read → the version that gave it its content."""


NOT_TOLD = Provenance()
"""Of a partition whose writer does not say what it was made from."""


@dataclass(frozen=True)
class Commit:
    """What the metadata of a published version says."""

    partition: str
    transaction: str
    rows: int
    fingerprint: str
    """Hash of all rows, whatever their order."""
    provenance: Provenance = NOT_TOLD
    broken: int = 0
    """Rows of the same input that broke the row contract, and are in quarantine instead."""

    @classmethod
    def from_json(cls, content: str) -> Commit:
        return _decoded(content)


_decoded = msgspec.json.Decoder(Commit).decode


@dataclass(frozen=True)
class Content:
    """What rows hold, whatever their order."""

    rows: int
    hash: int
    """Exclusive or of the rows' hashes (`hash_of`)."""


@dataclass(frozen=True)
class Publication:
    """The version that holds the partition, and whether it held it before."""

    version: TableVersion
    unchanged: bool


def publish(
    spark: SparkSession, frame: DataFrame, *, use_case_name: str, table: str, partition: str, transaction: str
) -> TableVersion:  # fmt: skip
    """Make `frame` the table's partition; gives the version that holds it. See `publish_partition`."""
    return publish_partition(spark, frame, use_case_name=use_case_name, table=table, partition=partition, transaction=transaction).version


def publish_partition(
    spark: SparkSession,
    frame: DataFrame,
    *,
    use_case_name: str,
    table: str,
    partition: str,
    transaction: str,
    provenance: Provenance = NOT_TOLD,
    broken: int = 0,
    content: Content | None = None,
) -> Publication:
    """Replace the partition by `frame`, whose rows must all be of it (Delta refuses others).

    `transaction` names this write: the same one again changes nothing (a retry after a lost answer). Nor does
    content that the partition already has: then the version that holds it is given. New columns are added to the table.
    `content` is that of `frame`, the partition's column included, where the caller has it; otherwise it is asked for.
    Raises ServiceUnavailable when other writers win every try.
    """
    frame = frame.withColumn(PARTITION_COLUMN, sf.lit(checked_partition(partition)))
    content = content or _content(frame)
    commit = Commit(partition, transaction, content.rows, _fingerprint(content, frame.schema), provenance, broken)
    uri = table_uri(use_case_name, table)
    found = last_commit(use_case_name, table, partition)
    if found is not None and (found[1].rows, found[1].fingerprint) == (commit.rows, commit.fingerprint):
        return Publication(TableVersion(table, uri, found[0], commit.rows), unchanged=found[1].transaction != transaction)
    _write(frame, uri, commit, base=current_version(use_case_name, table))
    written = last_commit(use_case_name, table, partition)
    if written is None or written[1] != commit:
        raise ServiceUnavailable(f"{table} {partition}: another run published the partition at the same moment: run this one again.")
    return Publication(TableVersion(table, uri, written[0], commit.rows), unchanged=False)


def insert_missing(spark: SparkSession, frame: DataFrame, *, use_case_name: str, table: str, key: str) -> int:
    """Append the rows whose `key` the table does not hold in their partition yet; gives how many there were.

    Rows of one key must be equal and of one partition. Raises ServiceUnavailable when other writers win every try.
    """
    uri = spark_uri(table_uri(use_case_name, table))
    if current_version(use_case_name, table) is None:
        empty = frame.limit(0).write.format("delta").mode("append").partitionBy(PARTITION_COLUMN).options(**_PROPERTIES)
        _commit(lambda: empty.save(uri), what=f"{uri} (creation)")
    frame.createOrReplaceTempView("arrived")
    same = f"held.{PARTITION_COLUMN} = arrived.{PARTITION_COLUMN} AND held.{key} = arrived.{key}"
    merge = f"MERGE INTO delta.`{uri}` AS held USING arrived ON {same} WHEN NOT MATCHED THEN INSERT *"
    inserted = _commit(lambda: spark.sql(merge).first(), what=uri)
    assert inserted is not None  # MERGE answers with one row of counts
    return int(inserted["num_inserted_rows"])


def last_commit(use_case_name: str, table: str, partition: str) -> tuple[int, Commit] | None:
    """Version and commit that gave the partition its present content; None when this can't be told (no table, other writers)."""
    return last_commits(use_case_name, table, [partition]).get(partition)


def last_commits(
    use_case_name: str, table: str, partitions: Collection[str], *, version: int | None = None
) -> dict[str, tuple[int, Commit]]:
    """Partition → version and commit that gave it the content it has at `version`, or now; without those that can't be told."""
    try:
        found = newest_of(history_of(use_case_name, table, limit=_RECENT_COMMITS), partitions, version=version)
        return found if len(found) == len(set(partitions)) else newest_of(history_of(use_case_name, table), partitions, version=version)
    except TableMissing:
        return {}


def newest_of(
    history: list[dict[str, object]], partitions: Collection[str], *, version: int | None = None
) -> dict[str, tuple[int, Commit]]:  # fmt: skip
    """The newest commit of each of the partitions, up to `version`, in a history that starts with the newest."""
    found: dict[str, tuple[int, Commit]] = {}
    for entry in history:
        if version is not None and int(str(entry["version"])) > version:
            continue
        if len(found) == len(set(partitions)):
            break
        if entry.get("userMetadata"):
            commit = Commit.from_json(str(entry["userMetadata"]))
            if commit.partition in partitions:
                found.setdefault(commit.partition, (int(str(entry["version"])), commit))
        elif entry["operation"] not in _KEEPS_CONTENT:
            break
    return found


def hash_of(columns: Mapping[str, SparkColumn], *, where: SparkColumn | None = None) -> SparkColumn:
    """Aggregate: `Content.hash` of the rows that are `where`, or of all; columns by name, in any order.

    Each row's hash covers which values are NULL: Spark's own passes over them.
    """
    in_order = [columns[name] for name in sorted(columns)]
    of_row = sf.xxhash64(*in_order, *(column.isNull() for column in in_order))
    return sf.coalesce(sf.bit_xor(of_row if where is None else sf.when(where, of_row)), sf.lit(0))


def _content(frame: DataFrame) -> Content:
    row = frame.agg(sf.count("*"), hash_of({name: sf.col(name) for name in frame.columns})).first()
    assert row is not None  # an aggregate without groups gives one row
    return Content(*row)


def _fingerprint(content: Content, schema: StructType) -> str:
    columns = ",".join(f"{field.name} {field.dataType.simpleString()}" for field in sorted(schema.fields, key=lambda field: field.name))
    return f"{content.hash & 0xFFFFFFFFFFFFFFFF:016x} {columns}"


def _write(frame: DataFrame, uri: str, commit: Commit, *, base: int | None) -> None:
    """Write unless this transaction wrote since version `base`: a try whose answer was lost may still be at work on the server."""
    writer = (
        frame.write.format("delta")
        .mode("overwrite")
        .partitionBy(PARTITION_COLUMN)
        .options(**_PROPERTIES)
        .option("replaceWhere", f"{PARTITION_COLUMN} = '{commit.partition}'")
        .option("mergeSchema", "true")
        .option("txnAppId", f"{commit.transaction} {commit.partition}")
        .option("txnVersion", 0 if base is None else base + 1)
        .option("userMetadata", json.dumps(asdict(commit)))
    )
    _commit(lambda: writer.save(spark_uri(uri)), what=f"{uri} {commit.partition}")


def _commit(write: Callable[[], Answer], *, what: str) -> Answer:
    """What `write` gives, tried again when another writer's commit got in its way."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return write()
        except PySparkException as error:
            if not any(sign in str(error) for sign in _CONFLICT):
                raise
            log.info("%s: another writer's commit came first (try %d of %d)", what, attempt, _ATTEMPTS)
            time.sleep(0.2 * 2**attempt)
    try:
        return write()
    except PySparkException as error:
        if not any(sign in str(error) for sign in _CONFLICT):
            raise
        raise ServiceUnavailable(f"{what}: {_ATTEMPTS} tries collided with other writers: run it again.") from error
