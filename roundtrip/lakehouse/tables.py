"""Delta tables by name: where they are, which version is current, and reading them without a JVM.

Every table is partitioned by `event_month`. Only Spark writes (publish.py); everything here reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from roundtrip.contracts import storage
from roundtrip.contracts.errors import TableMissing
from roundtrip.contracts.names import checked_name
from roundtrip.contracts.settings import settings

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION_COLUMN = "event_month"
SOURCE_LINE = "source_line"
"""Column of every raw table: the number of the record's first line in its file, or of its row in a Parquet file."""


def table_uri(use_case_name: str, table: str) -> str:
    """Where the table is, in the form that `storage` and deltalake take."""
    parts = checked_name(use_case_name, what="use case"), checked_name(table, what="table")
    return storage.join(settings().storage_root, "lakehouse", *parts)


def spark_uri(uri: str) -> str:
    """The same address in the form that Spark takes: s3a:// for s3://."""
    return f"s3a://{uri.removeprefix('s3://')}" if uri.startswith("s3://") else uri


def open_table(use_case_name: str, table: str, *, version: int | None = None) -> DeltaTable:
    """The table at `version`, or as it is now; raises TableMissing when it has never been built."""
    uri = table_uri(use_case_name, table)
    try:
        return DeltaTable(uri, version=version, storage_options=_storage_options(uri))
    except TableNotFoundError:
        raise TableMissing(f"table {use_case_name}.{table} has not been built ({uri}): run `python -m jobs.build_table` first.") from None


def current_version(use_case_name: str, table: str) -> int | None:
    """The newest version, None when the table has never been built."""
    try:
        return open_table(use_case_name, table).version()
    except TableMissing:
        return None


def partitions_of(use_case_name: str, table: str, *, version: int | None = None) -> list[str]:
    """The months that the table holds rows of, sorted; none when it has never been built."""
    try:
        found = open_table(use_case_name, table, version=version).partitions()
    except TableMissing:
        return []
    return sorted(entry[PARTITION_COLUMN] for entry in found)


def history_of(use_case_name: str, table: str, *, limit: int | None = None) -> list[dict[str, object]]:
    """The table's commits, or about the last `limit` of them, the newest first, each with its `version`; raises TableMissing.

    deltalake 1.6 numbers commits down from the version that is open, and lists those that came after it too: one that comes in between
    would shift all numbers by one. So it is read again until none did.
    """
    while True:
        opened = open_table(use_case_name, table)
        commits = opened.history(limit)
        if current_version(use_case_name, table) == opened.version():
            return commits


def rows_in(opened: DeltaTable, partitions: Sequence[str]) -> int:
    """Rows of the partitions, from the table's own statistics (no data is read)."""
    files = opened.get_add_actions(flatten=True)
    months, rows = files.column(f"partition.{PARTITION_COLUMN}").to_pylist(), files.column("num_records").to_pylist()
    return sum(count for month, count in zip(months, rows, strict=True) if month in partitions)


def read_table(
    use_case_name: str,
    table: str,
    *,
    version: int | None = None,
    partitions: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The table's rows (all of them, or of some partitions) at `version` or as it is now; raises TableMissing.

    Timestamps come in UTC with microseconds. A partition that the table does not hold gives no rows.
    """
    return rows_of(open_table(use_case_name, table, version=version), partitions=partitions, columns=columns)


def rows_of(opened: DeltaTable, *, partitions: Sequence[str] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """The same of a table that is open already: who reads it month by month opens it once."""
    # the other way to filter, to_pyarrow_table(filters=…), first looks at the statistics of all files: months² for who reads all months
    months = None if partitions is None else in_partitions(partitions)
    return opened.to_pyarrow_dataset(file_pruning_predicate=months).to_table(columns=None if columns is None else list(columns))


def in_partitions(partitions: Sequence[str]) -> str:
    """SQL that is true for the rows of these partitions."""
    return f"{PARTITION_COLUMN} IN ({', '.join(map(literal, partitions))})" if partitions else "FALSE"


def identifier(name: str) -> str:
    """A name as SQL takes it, in its own case."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def _storage_options(uri: str) -> dict[str, str] | None:
    if not uri.startswith("s3://"):
        return None
    current = settings()
    options = {
        "AWS_ACCESS_KEY_ID": current.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": current.s3_secret_key,
        "AWS_REGION": current.s3_region,
    }
    if current.s3_endpoint:
        options |= {"AWS_ENDPOINT_URL": current.s3_endpoint, "AWS_ALLOW_HTTP": str(current.s3_endpoint.startswith("http://")).lower()}
    return options
