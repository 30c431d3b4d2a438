"""What schema.yaml asks of a table, as checks for Great Expectations: every table has them, whether it has a checks.yaml or not.

Rows that break it were quarantined before (row_contract.py). These checks hold for what is published, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator

from roundtrip.lakehouse.definitions import Check, Column, TableDefinition

_SPARK_TYPES = {"int": "IntegerType", "double": "DoubleType", "string": "StringType", "timestamp": "TimestampType"}


def column_checks(definition: TableDefinition) -> list[Check]:
    """The columns are there, and no others. Where this fails, nothing else can be checked."""
    names = [column.name for column in definition.columns]
    because = "whoever reads the table reads them by name."
    return [_check("table_columns_to_match_set", because, column_set=names, exact_match=True)]


def type_checks(definition: TableDefinition) -> list[Check]:
    """Each column has its type. Where this fails, its values can't be compared with a range."""
    return [
        _check("column_type_to_be", f"schema.yaml says {column.type}.", column=column.name, type_=_SPARK_TYPES[column.type])
        for column in definition.columns
    ]


def row_checks(definition: TableDefinition) -> list[Check]:
    """There are rows, the key tells them apart, and every value is one that its column allows."""
    some = _check("table_row_count_to_be_between", "a partition without a row is no partition.", min_value=1)
    apart = f"{', '.join(definition.key)} names one row: {definition.grain}."
    key = (
        _check("column_values_to_be_unique", apart, column=definition.key[0])
        if len(definition.key) == 1
        else _check("compound_columns_to_be_unique", apart, column_list=list(definition.key))
    )
    return [some, key, *(check for column in definition.columns for check in _value_checks(column))]


def _value_checks(column: Column) -> Iterator[Check]:
    bounds = {"min_value": column.minimum, "max_value": column.maximum}
    says = f"schema.yaml says so of {column.name}: {column.meaning}"
    if not column.nullable:
        yield _check("column_values_to_not_be_null", f"{says}.", column=column.name)
    if column.minimum is not None or column.maximum is not None:
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        yield _check("column_values_to_be_between", f"{says}, in {column.unit}.", column=column.name, **given)
    if column.values:
        yield _check("column_values_to_be_in_set", f"{says}.", column=column.name, value_set=list(column.values))


def _check(expect: str, because: str, **arguments: object) -> Check:
    return Check(expect=expect, level="fails", because=because, arguments=arguments)
