"""Every table of every use case has checks that fail, and rows that break its contract miss them."""

import datetime

import pytest
from pyspark.sql import SparkSession

from roundtrip.lakehouse.definitions import SQL, Column, TableDefinition, definition_of
from roundtrip.lakehouse.expectations import run_checks

Value = int | float | str | datetime.datetime | None

DEFINITIONS = [definition_of(path.parents[1].name, path.parent.name) for path in sorted(SQL.glob("*/*/schema.yaml"))]


def kept(column: Column) -> Value:
    """A value that the column allows."""
    if column.values:
        return column.values[0]
    number = next((bound for bound in (column.minimum, column.maximum) if bound is not None), 1)
    allowed: dict[str, Value] = {
        "int": int(number), "double": float(number), "string": "x", "timestamp": datetime.datetime(2013, 4, 1, tzinfo=datetime.UTC),
    }  # fmt: skip
    return allowed[column.type]


def broken(column: Column) -> list[Value]:
    """Values that it does not allow, one for each rule that it has."""
    values: list[Value] = [] if column.nullable else [None]
    step = int if column.type == "int" else float
    values += [step(column.minimum - 1)] if column.minimum is not None else []
    values += [step(column.maximum + 1)] if column.maximum is not None else []
    return [*values, *(["none of them"] if column.values else [])]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: f"{definition.use_case_name}.{definition.name}")
def test_a_frame_that_breaks_its_contract_misses_checks_that_fail(spark: SparkSession, definition: TableDefinition) -> None:
    """One row twice, and one row for each rule of each column: the key, and every rule, is missed and nothing else is."""
    good = {column.name: kept(column) for column in definition.columns}
    bad = [good | {column.name: value} for column in definition.columns for value in broken(column)]
    schema = ", ".join(f"{column.name} {column.type}" for column in definition.columns)
    frame = spark.createDataFrame([tuple(row.values()) for row in (good, good, *bad)], schema)
    missed = [result.check for result in run_checks(frame, definition, name=definition.name) if not result.passed]
    asked = [
        (kind, column.name)
        for column in definition.columns
        for kind, rule in (
            ("column_values_to_not_be_null", not column.nullable),
            ("column_values_to_be_between", column.minimum is not None or column.maximum is not None),
            ("column_values_to_be_in_set", bool(column.values)),
        )
        if rule
    ]
    own = [check for check in missed if check not in definition.checks]
    assert [(check.expect, check.arguments["column"]) for check in own[1:]] == asked
    assert own[0].expect.endswith("to_be_unique")
    assert {check.level for check in own} == {"fails"}
