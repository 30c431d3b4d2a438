"""The row contract: what schema.yaml asks of every row, as one column that says what a row breaks, or is NULL."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.window import Window

from roundtrip.lakehouse.definitions import Column, TableDefinition
from roundtrip.lakehouse.parsing import AS_LATIN_1, FLAW, TEXT, parsed
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
    return _without_repeats(typed.withColumn(REASON, reason).drop(TEXT, FLAW), definition)


def judged_rows(frame: DataFrame, definition: TableDefinition) -> DataFrame:
    """The rows of a query in the form of `typed_rows`: raw_row is the row as JSON, and there is no line."""
    columns = [column.name for column in definition.columns] + [PARTITION_COLUMN]
    return frame.select(
        sf.to_json(sf.struct(*columns)).alias("raw_row"),
        sf.lit(False).alias(AS_LATIN_1),
        sf.lit(None).cast("int").alias("line"),
        *columns,
        broken_rule(definition).alias(REASON),
    )


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


def _without_repeats(rows: DataFrame, definition: TableDefinition) -> DataFrame:
    """The first line of a key stays; a later one with the same key breaks the contract too."""
    if not definition.key:
        return rows
    same_key = Window.partitionBy(sf.col(REASON).isNull(), *definition.key).orderBy("line")
    repeated = sf.when(sf.row_number().over(same_key) > 1, sf.lit(f"row repeats the {', '.join(definition.key)} of an earlier line"))
    return rows.withColumn(REASON, sf.coalesce(sf.col(REASON), repeated))
