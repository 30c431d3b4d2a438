"""The row contract: what schema.yaml asks of every row, as one column that says what a row breaks, or is NULL."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import and_

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from roundtrip.lakehouse.definitions import Column, TableDefinition
from roundtrip.lakehouse.parsing import AS_LATIN_1, FLAW, TEXT, parsed
from roundtrip.lakehouse.session import computed
from roundtrip.lakehouse.tables import PARTITION_COLUMN

REASON = "_reason"
"""First rule that the row breaks, in words; NULL where it breaks none."""


def typed_rows(records: DataFrame, definition: TableDefinition, partition: str, *, header: str | None) -> DataFrame:
    """Records → the contract's columns in their types, beside raw_row, as_latin_1, line and the reason.

    Every record comes back, with a reason or without. `records` has the columns raw_row, as_latin_1 and line: those of reading.py, or
    rows of a quarantine table, which holds their `header` too.
    """
    typed = parsed(records, definition, header).select(
        "raw_row",
        AS_LATIN_1,
        "line",
        FLAW,
        TEXT,
        *(sf.col(f"{TEXT}.{column.name}").try_cast(column.type).alias(column.name) for column in definition.columns),
        sf.lit(partition).alias(PARTITION_COLUMN),
    )
    reason = sf.coalesce(FLAW, *(_no_such_type(column) for column in definition.columns), broken_rule(definition))
    return typed.withColumn(REASON, reason).drop(TEXT, FLAW)


def judged_rows(frame: DataFrame, definition: TableDefinition) -> DataFrame:
    """The rows of a query in the form of `typed_rows`: raw_row is the row as JSON, of those that break a rule; there is no line."""
    columns = [column.name for column in definition.columns] + [PARTITION_COLUMN]
    ruled = frame.select(*columns, broken_rule(definition).alias(REASON))
    return ruled.select(
        sf.when(sf.col(REASON).isNotNull(), sf.to_json(sf.struct(*columns))).alias("raw_row"),
        sf.lit(False).alias(AS_LATIN_1),
        sf.lit(None).cast("int").alias("line"),
        *columns,
        REASON,
    )


def repeats_marked(rows: DataFrame, definition: TableDefinition) -> DataFrame:
    """`rows` of `typed_rows`, of which a later line with the key of an earlier good one breaks the contract too.

    `rows` are read twice: they should be `computed`, and so is what comes back. Only keys are grouped, unless there is a repeat.
    """
    keys = [sf.col(name).alias(f"_first_{name}") for name in definition.key]
    same = rows.where(sf.col(REASON).isNull()).groupBy(*keys).agg(sf.min("line").alias("_first"), sf.count("*").alias("_lines"))
    repeated = same.where("_lines > 1").drop("_lines")
    if repeated.isEmpty():
        return rows
    of_the_key = reduce(and_, (sf.col(name).eqNullSafe(sf.col(f"_first_{name}")) for name in definition.key))
    later = sf.when(sf.col("line") > sf.col("_first"), f"row repeats the {', '.join(definition.key)} of an earlier line")
    marked = rows.join(repeated, of_the_key, "left").withColumn(REASON, sf.coalesce(REASON, later))
    return computed(marked.select(*rows.columns))


def broken_rule(definition: TableDefinition) -> SparkColumn:
    """The first rule of schema.yaml that a row of typed columns breaks, in words; NULL where it breaks none."""
    by_column = [problem for column in definition.columns for problem in _problems(column)]
    by_row = [sf.when(~sf.expr(rule.must), sf.lit(f"row {rule.otherwise}")) for rule in definition.rules]
    return sf.coalesce(*by_column, *by_row, sf.lit(None).cast("string"))


def _problems(column: Column) -> Iterator[SparkColumn]:
    value = sf.col(column.name)
    if not column.nullable:
        yield sf.when(value.isNull(), sf.lit(f"{column.name} is missing"))
    if column.minimum is not None:
        yield sf.when(value < column.minimum, _says(column, value, f"is under {column.minimum:g} {column.unit}"))
    if column.maximum is not None:
        yield sf.when(value > column.maximum, _says(column, value, f"is over {column.maximum:g} {column.unit}"))
    if column.values:
        yield sf.when(~value.isin(*column.values), _says(column, value, f"is none of {', '.join(column.values)}"))
    if column.must:
        yield sf.when(~sf.expr(column.must), _says(column, value, column.otherwise))


def _no_such_type(column: Column) -> SparkColumn:
    text = sf.col(f"{TEXT}.{column.name}")
    return sf.when(text.isNotNull() & sf.col(column.name).isNull(), _says(column, text, f"is no {column.type}"))


def _says(column: Column, value: SparkColumn, problem: str) -> SparkColumn:
    shown = sf.substring(value.cast("string"), 1, 80)
    return sf.concat(sf.lit(f"{column.name} "), shown, sf.lit(f" {problem}"))
