"""What a changed schema.yaml breaks for those who read the table, or deliver its files."""

from __future__ import annotations

from collections.abc import Iterator

from roundtrip.lakehouse.definitions import Column, TableContract
from roundtrip.lakehouse.yaml_file import Way

_WIDENED = ("int", "double")
"""The one change of type that every value survives."""


def breaking_changes(before: TableContract, after: TableContract) -> Iterator[tuple[Way, str]]:
    """(where in the new file, what) of each change that breaks the old contract; none when the version was raised."""
    if after.version > before.version:
        return
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    if before.key != after.key:
        yield ("key",), f"the key was {', '.join(before.key)}: rows are told apart otherwise"
    for name in sorted(old.keys() - new.keys()):
        yield ("columns",), f"column {name} is gone"
    for name, column in new.items():
        changes = _changes(old[name], column) if name in old else _added(column)
        yield from ((("columns", name, *way), f"column {name} {change}") for way, change in changes)
    known = {rule.must for rule in before.rules}
    for place, rule in enumerate(after.rules):
        if rule.must not in known:
            yield ("rules", place), "this rule is new: rows that passed may break it"


def _added(column: Column) -> Iterator[tuple[Way, str]]:
    if not column.nullable:
        yield (), "is new and may not be missing: files and rows of before lack it"


def _changes(old: Column, new: Column) -> Iterator[tuple[Way, str]]:
    if new.type != old.type and (old.type, new.type) != _WIDENED:
        yield ("type",), f"was {old.type}, which is not always {new.type}"
    if new.unit != old.unit:
        yield ("unit",), f"was in {old.unit}: the same number means something else"
    if old.nullable and not new.nullable:
        yield ("nullable",), "could be missing before"
    if new.minimum is not None and (old.minimum is None or new.minimum > old.minimum):
        yield ("minimum",), f"could be {_bound(old.minimum)} before"
    if new.maximum is not None and (old.maximum is None or new.maximum < old.maximum):
        yield ("maximum",), f"could be {_bound(old.maximum)} before"
    lost = set(old.values) - set(new.values)
    if new.values and (lost or not old.values):
        yield ("values",), f"could be {', '.join(sorted(lost)) or 'any value'} before"
    if new.must and new.must != old.must:
        yield ("must",), "has a condition that it had not: values that passed may break it"


def _bound(bound: float | None) -> str:
    return "any number" if bound is None else f"{bound:g}"
