"""Build one partition of a table: write–audit–publish.

Rows come from the landed file (raw tables) or from the query; those that break schema.yaml go to the quarantine table; the rest must
pass checks.yaml before anyone can read them; then they replace the partition.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadDefinition, BadFile, ChecksFailed, RowsRejected, UnknownTable
from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import Receipt, RunFolder, TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.audit import CheckResult, audit
from roundtrip.lakehouse.checks_page import checks_page
from roundtrip.lakehouse.definitions import TableDefinition, definition_of
from roundtrip.lakehouse.inputs import name_the_partition, run_query, show_inputs
from roundtrip.lakehouse.landing import source_uri
from roundtrip.lakehouse.publish import publish_partition
from roundtrip.lakehouse.quarantine import quarantine
from roundtrip.lakehouse.reading import check_header, numbered_lines
from roundtrip.lakehouse.row_contract import REASON, judged_rows, typed_rows
from roundtrip.lakehouse.session import outages_named
from roundtrip.lakehouse.tables import PARTITION_COLUMN


@dataclass(frozen=True)
class Rows:
    """Rows of a partition, good and broken together, with what each breaks; and where they came from."""

    judged: DataFrame
    came_from: str
    inputs: list[TableVersion]
    missing: list[str]


@dataclass(frozen=True)
class RowCounts:
    """How the rows met the row contract."""

    total: int
    broken: int
    first_reason: str


@outages_named()
def build_table(spark: SparkSession, use_case: UseCase, table: str, partition: str, *, folder: RunFolder, receipt: Receipt) -> None:
    """Build and publish the partition; what was done goes into `receipt`, the checks' page into the run folder.

    Built again, the same input changes nothing. Nothing is published when it raises: UnknownTable, MissingSource, BadFile,
    TableMissing, RowsRejected (too many rows break the row contract), ChecksFailed.
    """
    definition = definition_of(use_case.name, table)
    if definition.written_by:
        raise UnknownTable(f"{table} is written by `python -m jobs.{definition.written_by}`: it is not built.")
    checked_partition(partition)
    name_the_partition(spark, partition)
    rows = _landed_rows(spark, use_case, definition, partition) if definition.source else _queried_rows(spark, definition, partition)
    counts = _count(rows.judged)
    receipt.inputs = rows.inputs
    receipt.figures |= {"rows_read": sum(read.rows for read in rows.inputs) or counts.total, "rows_quarantined": counts.broken}
    if rows.missing:
        receipt.figures["history_missing"] = list(rows.missing)
    transaction = f"{folder.uri} {table}"
    broken = rows.judged.where(sf.col(REASON).isNotNull())
    kept = quarantine(
        spark, broken, definition, count=counts.broken, came_from=rows.came_from, partition=partition, transaction=transaction
    )  # fmt: skip
    receipt.outputs = [kept] if kept else []
    _refuse_too_many(counts, use_case, definition, partition, rows.came_from)
    good = _good_rows(rows.judged, counts, definition)
    results = audit(good, definition.checks, name=f"{table} {partition}")
    page = folder.file("checks", f"{table}.{partition}.html")
    storage.write_bytes(page, checks_page(definition, partition, results, counts.total, counts.broken).encode())
    receipt.links["Checks"] = page
    receipt.figures["checks_passed"] = sum(result.passed for result in results)
    receipt.figures["checks_warned"] = [result.check.because for result in results if not result.passed and result.check.level == "warns"]
    _refuse_failed(results, definition, partition, page)
    published = publish_partition(
        spark, good, use_case_name=use_case.name, table=table, partition=partition, transaction=transaction
    )  # fmt: skip
    receipt.outputs.insert(0, published.version)
    receipt.figures |= {"rows_published": published.version.rows, "unchanged": published.unchanged}


def _landed_rows(spark: SparkSession, use_case: UseCase, definition: TableDefinition, partition: str) -> Rows:
    feeds = [feed.name for feed in use_case.feeds if definition.source in feed.sources]
    if len(feeds) != 1:
        raise BadDefinition(
            f"{definition.name}: source {definition.source!r} is delivered by {len(feeds)} feeds of {use_case.name}, not by one."
        )
    uri = source_uri(use_case.name, feeds[0], partition, definition.source)
    check_header(uri, definition)
    # a checkpoint, not a cache: Spark shares cached plans between sessions, and would answer for a file that landed again
    rows = typed_rows(numbered_lines(spark, uri), definition, partition).localCheckpoint()
    return Rows(rows, uri, [], [])


def _queried_rows(spark: SparkSession, definition: TableDefinition, partition: str) -> Rows:
    inputs = show_inputs(spark, definition, partition)
    rows = judged_rows(run_query(spark, definition).localCheckpoint(), definition)
    return Rows(rows, f"sql/{definition.use_case_name}/{definition.name}/query.sql", inputs.versions, inputs.missing)


def _good_rows(judged: DataFrame, counts: RowCounts, definition: TableDefinition) -> DataFrame:
    """The table's rows. Nothing is filtered when nothing is broken: the rules need not be computed again for every pass."""
    kept = judged.where(sf.col(REASON).isNull()) if counts.broken else judged
    return kept.select(*(column.name for column in definition.columns), PARTITION_COLUMN)


def _count(frame: DataFrame) -> RowCounts:
    row = frame.agg(
        sf.count("*"), sf.count(REASON), sf.min_by(REASON, sf.when(sf.col(REASON).isNotNull(), sf.coalesce("line", sf.lit(0))))
    ).first()
    assert row is not None  # an aggregate without groups gives one row
    return RowCounts(row[0], row[1], row[2] or "")


def _refuse_too_many(counts: RowCounts, use_case: UseCase, definition: TableDefinition, partition: str, came_from: str) -> None:
    if not counts.total:
        raise BadFile(f"{definition.name} {partition}: {came_from} gives no row at all: deliver the month's rows.")
    if counts.broken > use_case.row_limit * counts.total:
        raise RowsRejected(
            f"{definition.name} {partition}: {counts.broken / counts.total:.1%} of {counts.total:,} rows ({counts.broken:,}) break the row "
            f"contract (limit {use_case.row_limit:.1%}). First reason: {counts.first_reason}. Nothing was published; the rows are in table "
            f"{use_case.name}.{definition.quarantine}. Correct {came_from} and land it again, or correct schema.yaml."
        )


def _refuse_failed(results: list[CheckResult], definition: TableDefinition, partition: str, page: str) -> None:
    failed = [result for result in results if not result.passed and result.check.level == "fails"]
    if failed:
        first = failed[0]
        raise ChecksFailed(
            f"{definition.name} {partition}: {len(failed)} of {len(results)} checks failed, nothing was published. "
            f"First: {first.check.expect} {first.check.arguments} "
            f"found {first.found}; it matters because {first.check.because} All results: {page}"
        )
