"""Build one partition of a table: write–audit–publish.

Rows come from the landed file (raw tables) or from the query; those that break schema.yaml go to the quarantine table; the rest must
pass the table's checks before anyone can read them; then they replace the partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadDefinition, BadFile, ChecksFailed, RowsRejected, UnknownTable
from roundtrip.contracts.names import checked_partition
from roundtrip.contracts.receipts import Receipt, RunFolder, TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.audit import audit, bring_page
from roundtrip.lakehouse.checks_page import Audited
from roundtrip.lakehouse.definitions import SQL, TableDefinition, definition_of
from roundtrip.lakehouse.expectations import import_ahead
from roundtrip.lakehouse.inputs import name_the_partition, run_query, show_inputs
from roundtrip.lakehouse.landing import landed_file
from roundtrip.lakehouse.publish import Content, Provenance, hash_of, last_commit, publish_partition
from roundtrip.lakehouse.quarantine import quarantine, settled
from roundtrip.lakehouse.reading import in_one_task_a_file, read_records
from roundtrip.lakehouse.row_contract import REASON, judged_rows, repeats_marked, typed_rows
from roundtrip.lakehouse.session import computed, outages_named
from roundtrip.lakehouse.source_files import SourceFile
from roundtrip.lakehouse.tables import PARTITION_COLUMN, SOURCE_LINE, table_uri


@dataclass(frozen=True, kw_only=True)
class Build:
    """One table and partition being built."""

    spark: SparkSession
    use_case: UseCase
    definition: TableDefinition
    partition: str
    folder: RunFolder
    receipt: Receipt

    @property
    def transaction(self) -> str:
        """The same in a retry of the run, another in another run."""
        return f"{self.folder.uri} {self.definition.name}"

    @property
    def title(self) -> str:
        return f"{self.definition.name} {self.partition}"


@dataclass(frozen=True)
class Input:
    """Where the rows of a partition come from: the landed file, or the query."""

    place: str
    provenance: Provenance
    file: SourceFile | None = None


@dataclass(frozen=True)
class RowCounts:
    """How the rows met the row contract."""

    total: int
    broken: int
    first_reason: str
    good: Content
    """What the others hold: the rows of the table."""


@outages_named()
def build_table(
    spark: SparkSession, use_case: UseCase, table: str, partition: str, *, folder: RunFolder, receipt: Receipt, root: Path = SQL
) -> None:
    """Build and publish the partition; what was done goes into `receipt`, the checks' page into the run folder.

    A partition that was made from the same input by the same definition is left as it is, unread. Nothing is published when it raises:
    UnknownTable, MissingSource, BadFile, TableMissing, RowsRejected (too many rows break the row contract), ChecksFailed.
    """
    definition = definition_of(use_case.name, table, root=root)
    if definition.written_by:
        raise UnknownTable(f"{table} is written by `python -m jobs.{definition.written_by}`: it is not built.")
    name_the_partition(spark, partition)
    build = Build(
        spark=spark, use_case=use_case, definition=definition, partition=checked_partition(partition), folder=folder, receipt=receipt
    )  # fmt: skip
    source = _landed_file(build) if definition.source else _query(build)
    if _is_held(build, source.provenance):
        return
    import_ahead()
    judged, header = _judged_file(build, source.file) if source.file else (_judged_query(build), None)
    counts = _count(judged, definition)
    good = _good_rows(judged, counts, definition)
    try:
        _refuse_too_many(build, counts, source.place)
        audit(good, _audited(build, counts, source), folder=folder, receipt=receipt)
    except (BadFile, RowsRejected, ChecksFailed):
        _quarantine_broken(build, judged, counts, source, header, replayed_in=None)
        raise
    _publish(build, good, source.provenance, counts)
    _quarantine_broken(build, judged, counts, source, header, replayed_in=folder.uri)


def _landed_file(build: Build) -> Input:
    source, name = build.definition.source, build.use_case.name
    feeds = [feed.name for feed in build.use_case.feeds if source in feed.sources]
    if len(feeds) != 1:
        raise BadDefinition(f"{build.definition.name}: source {source!r} is delivered by {len(feeds)} feeds of {name}, not by one.")
    file = landed_file(name, feeds[0], build.partition, source)
    build.receipt.files = {file.uri: storage.sha256(file.uri)}
    return Input(file.uri, Provenance(definition=build.definition.digest, files=build.receipt.files), file)


def _query(build: Build) -> Input:
    inputs = show_inputs(build.spark, build.definition, build.partition)
    build.receipt.inputs = inputs.versions
    if inputs.missing:
        build.receipt.figures["history_missing"] = list(inputs.missing)
    place = f"sql/{build.use_case.name}/{build.definition.name}/query.sql"
    return Input(place, Provenance(definition=build.definition.digest, tables=inputs.made_by))


def _is_held(build: Build, provenance: Provenance) -> bool:
    """Whether the table's partition was made from just this, and its quarantine too; then the receipt says so."""
    name, table = build.use_case.name, build.definition.name
    held = last_commit(name, table, build.partition)
    if held is None or held[1].provenance != provenance:
        return False
    version, commit = held
    apart = last_commit(name, build.definition.quarantine, build.partition)
    if not settled(apart[1] if apart else None, provenance, broken=commit.broken):
        return False
    build.receipt.outputs = [TableVersion(table, table_uri(name, table), version, commit.rows)]
    build.receipt.figures |= {"rows_published": commit.rows, "unchanged": commit.transaction != build.transaction}
    bring_page(build.definition, build.partition, folder=build.folder, receipt=build.receipt)
    return True


def _judged_file(build: Build, file: SourceFile) -> tuple[DataFrame, str | None]:
    """Every record of the file, good and broken, with what it breaks, and the file's header; raises FileReplaced when it changed."""
    records = read_records(build.spark, file, build.definition)
    build.receipt.figures |= {"columns_ignored": [*records.ignored], "columns_missing": [*records.missing]}
    with in_one_task_a_file(build.spark):
        typed = computed(typed_rows(records.frame, build.definition, build.partition, header=records.header))
    file.check_unchanged()
    return repeats_marked(typed, build.definition), records.header


def _judged_query(build: Build) -> DataFrame:
    """Every row of the query, good and broken, with what it breaks."""
    return computed(judged_rows(run_query(build.spark, build.definition), build.definition))


def _count(judged: DataFrame, definition: TableDefinition) -> RowCounts:
    """In one pass: how many rows there are and are broken, the first reason, and the content of what is to be published."""
    place = sf.when(sf.col(REASON).isNotNull(), sf.coalesce("line", sf.lit(0)))
    of_good = hash_of(_published_columns(definition), where=sf.col(REASON).isNull())
    row = judged.agg(sf.count("*"), sf.count(REASON), sf.min_by(REASON, place), of_good).first()
    assert row is not None  # an aggregate without groups gives one row
    total, broken, first_reason, good = row
    return RowCounts(total, broken, first_reason or "", Content(total - broken, good))


def _quarantine_broken(
    build: Build, judged: DataFrame, counts: RowCounts, source: Input, header: str | None, *, replayed_in: str | None
) -> None:
    read = sum(table.rows for table in build.receipt.inputs)
    build.receipt.figures |= {"rows_read": read or counts.total, "rows_quarantined": counts.broken}
    kept = quarantine(
        build.spark,
        judged.where(sf.col(REASON).isNotNull()),
        build.definition,
        count=counts.broken,
        came_from=source.place,
        header=header,
        partition=build.partition,
        transaction=build.transaction,
        provenance=source.provenance,
        replayed_in=replayed_in,
    )
    build.receipt.outputs += [kept] if kept else []


def _refuse_too_many(build: Build, counts: RowCounts, came_from: str) -> None:
    if not counts.total:
        raise BadFile(f"{build.title}: {came_from} gives no row at all: deliver the month's rows.")
    limit = build.use_case.row_limit
    if counts.broken > limit * counts.total:
        raise RowsRejected(
            f"{build.title}: {counts.broken / counts.total:.1%} of {counts.total:,} rows ({counts.broken:,}) break the row contract "
            f"(limit {limit:.1%}). First reason: {counts.first_reason}. Nothing was published; the rows are in table "
            f"{build.use_case.name}.{build.definition.quarantine}. Correct {came_from} and land it again, or correct schema.yaml."
        )


def _good_rows(judged: DataFrame, counts: RowCounts, definition: TableDefinition) -> DataFrame:
    """The table's rows. Nothing is filtered when nothing is broken: the rules need not be computed again for every pass."""
    kept = judged.where(sf.col(REASON).isNull()) if counts.broken else judged
    return kept.select(*(column.alias(name) for name, column in _published_columns(definition).items()))


def _published_columns(definition: TableDefinition) -> dict[str, SparkColumn]:
    """Name in the table → column of the judged rows."""
    line = {SOURCE_LINE: sf.col("line")} if definition.source else {}
    return {column.name: sf.col(column.name) for column in definition.columns} | line | {PARTITION_COLUMN: sf.col(PARTITION_COLUMN)}


def _audited(build: Build, counts: RowCounts, source: Input) -> Audited:
    return Audited(
        definition=build.definition,
        partition=build.partition,
        rows=counts.total,
        broken=counts.broken,
        came_from=source.place,
        provenance=source.provenance,
    )


def _publish(build: Build, good: DataFrame, provenance: Provenance, counts: RowCounts) -> None:
    published = publish_partition(
        build.spark,
        good,
        use_case_name=build.use_case.name,
        table=build.definition.name,
        partition=build.partition,
        transaction=build.transaction,
        provenance=provenance,
        broken=counts.broken,
        content=counts.good,
    )
    build.receipt.outputs.append(published.version)
    build.receipt.figures |= {"rows_published": published.version.rows, "unchanged": published.unchanged}
