"""What sql/<use case>/<table>/ says about a table: schema.yaml (always), query.sql (built tables), checks.yaml (where there are checks)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import yaml

from roundtrip.contracts.errors import BadDefinition, UnknownTable
from roundtrip.contracts.names import checked_name
from roundtrip.contracts.settings import REPOSITORY

SQL = REPOSITORY / "sql"

Declared = TypeVar("Declared")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it holds, and what its values must be. A NULL meets every rule but `nullable`."""

    name: str
    type: Literal["int", "double", "string", "timestamp"]
    """Spark's type. Timestamps are UTC."""
    unit: str
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    """The only values allowed, where there are few."""
    must: str = ""
    """SQL condition on the row, for what a range can't say."""
    otherwise: str = ""
    """What a value that breaks `must` is: 'is no HHMM'."""


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A condition over several columns of a row."""

    must: str
    """SQL condition; may use session.this_partition."""
    otherwise: str
    """What a row that breaks it is: 'lies outside the partition'."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One Great Expectations expectation on the whole partition, before it is published."""

    expect: str
    """Name of the expectation without `expect_`: column_values_to_be_unique."""
    level: Literal["fails", "warns"]
    """Whether a miss stops the partition."""
    because: str
    arguments: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class TableDefinition:
    """A table as its folder in sql/ defines it. Every table also has the column event_month, its partition."""

    use_case_name: str
    name: str
    grain: str
    owner: str
    key: tuple[str, ...]
    """Columns that name a row of a partition."""
    columns: tuple[Column, ...]
    source: str = ""
    """A raw table: the source whose landed file it holds. Then there is no query."""
    written_by: str = ""
    """A table that a job writes: the job's name. Then there is neither source nor query."""
    null_text: str = ""
    """A raw table: what the file writes for a missing value, besides nothing."""
    rules: tuple[RowRule, ...] = ()
    reads: Mapping[str, int] = field(default_factory=dict)
    """A built table: the tables its query sees, each with how many months before the partition."""
    query: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def digest(self) -> str:
        """Changes with the definition and with the code that builds tables: what the same input would be made into."""
        code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
        return hashlib.sha256(repr(self).encode() + code).hexdigest()[:16]

    @property
    def quarantine(self) -> str:
        """Name of the table that holds the rows which broke the row contract."""
        return f"{self.name}_quarantine"


def definition_of(use_case_name: str, table: str, *, root: Path = SQL) -> TableDefinition:
    """The table's definition; raises UnknownTable, or BadDefinition naming the file and what is wrong in it."""
    folder = root / checked_name(use_case_name, what="use case") / checked_name(table, what="table")
    if not (folder / "schema.yaml").is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.parent.glob("*/schema.yaml"))) or "none"
        raise UnknownTable(
            f"use case {use_case_name} has no table {table!r} (known: {known}): add sql/{use_case_name}/{table}/schema.yaml."
        )
    schema = _mapping(folder / "schema.yaml")
    query = folder / "query.sql"
    if [query.is_file(), bool(schema.get("source")), bool(schema.get("written_by"))].count(True) != 1:
        raise BadDefinition(f"{folder}: a table has a query.sql, or `source` or `written_by` in schema.yaml, and only one of them.")
    columns = [{"name": name, **_as_mapping(entry, folder)} for name, entry in _as_mapping(schema.pop("columns", {}), folder).items()]
    rules = _as_list(schema.pop("rules", []), folder)
    return _declared(
        TableDefinition,
        {
            "use_case_name": use_case_name,
            "name": table,
            "key": tuple(_as_list(schema.pop("key", []), folder)),
            "columns": tuple(_column(entry, folder) for entry in columns),
            "rules": tuple(_declared(RowRule, _as_mapping(rule, folder), folder) for rule in rules),
            "query": query.read_text() if query.is_file() else "",
            "checks": _checks(folder),
            **schema,
        },
        folder,
    )


def tables_of(use_case_name: str, *, root: Path = SQL) -> list[str]:
    """Every table that the use case defines, and the quarantine beside each that is built; sorted."""
    folders = sorted((root / checked_name(use_case_name, what="use case")).glob("*/schema.yaml"))
    definitions = [definition_of(use_case_name, path.parent.name, root=root) for path in folders]
    built = [definition for definition in definitions if not definition.written_by]
    return sorted([definition.name for definition in definitions] + [definition.quarantine for definition in built])


def _column(entry: dict[str, object], folder: Path) -> Column:
    values = tuple(str(value) for value in _as_list(entry.pop("values", []), folder))
    return _declared(Column, {**entry, "values": values}, folder)


def _checks(folder: Path) -> tuple[Check, ...]:
    path = folder / "checks.yaml"
    entries = _as_list(yaml.safe_load(path.read_text()), path) if path.is_file() else []
    return tuple(_check(_as_mapping(entry, path), path) for entry in entries)


def _check(entry: dict[str, object], path: Path) -> Check:
    own: dict[str, object] = {name: entry.pop(name) for name in ("expect", "level", "because") if name in entry}
    if own.get("level") not in ("fails", "warns"):
        raise BadDefinition(f"{path}: check {own.get('expect')!r} has level {own.get('level')!r}: write `fails` or `warns`.")
    return _declared(Check, {**own, "arguments": entry}, path)


def _declared(kind: type[Declared], values: Mapping[str, object], where: Path) -> Declared:
    try:
        return kind(**values)
    except TypeError as error:
        raise BadDefinition(
            f"{where}: {error}. Compare with the fields of {kind.__name__} in roundtrip/lakehouse/definitions.py."
        ) from None


def _mapping(path: Path) -> dict[str, object]:
    return _as_mapping(yaml.safe_load(path.read_text()), path)


def _as_mapping(value: object, where: Path) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadDefinition(f"{where}: {value!r} should be a mapping of names to values.")
    return {str(name): entry for name, entry in value.items()}


def _as_list(value: object, where: Path) -> list[object]:
    if not isinstance(value, list):
        raise BadDefinition(f"{where}: {value!r} should be a list.")
    return value
