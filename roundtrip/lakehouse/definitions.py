"""What sql/<use case>/<table>/ says about a table: schema.yaml (always), query.sql (built tables), checks.yaml (what that can't say)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from roundtrip.contracts.errors import BadDefinition, UnknownTable
from roundtrip.contracts.names import checked_name
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.lakehouse.tables import PARTITION_COLUMN, SOURCE_LINE
from roundtrip.lakehouse.text_encodings import ENCODINGS, UTF_8
from roundtrip.lakehouse.yaml_file import Way, YamlFile

SQL = REPOSITORY / "sql"

_KEPT_BESIDE = (SOURCE_LINE, "line", "raw_row", "as_latin_1")

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it holds, and what its values must be. A NULL meets every rule but `nullable`."""

    __pydantic_config__ = _STRICT
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

    __pydantic_config__ = _STRICT
    must: str
    """SQL condition; may use session.this_partition."""
    otherwise: str
    """What a row that breaks it is: 'lies outside the partition'."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One Great Expectations expectation on the whole partition, before it is published."""

    __pydantic_config__ = _STRICT
    expect: str
    """Name of the expectation without `expect_`: column_values_to_be_unique."""
    level: Literal["fails", "warns"]
    """Whether a miss stops the partition."""
    because: str
    arguments: Mapping[str, object]

    @property
    def text(self) -> str:
        """In words: 'column max to be between (column minutes, max_value 500)'."""
        arguments = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return f"{self.expect.replace('_', ' ')} ({arguments})"


@dataclass(frozen=True, kw_only=True)
class TableContract:
    """What whoever reads or delivers a table may rely on."""

    __pydantic_config__ = ConfigDict(extra="ignore")
    key: tuple[str, ...]
    """Columns that name a row of a partition."""
    columns: tuple[Column, ...]
    rules: tuple[RowRule, ...] = ()
    version: int = 1
    """Raised with a change that breaks the contract: `roundtrip check` lets it pass then."""


@dataclass(frozen=True, kw_only=True)
class TableDefinition(TableContract):
    """A table as its folder in sql/ defines it. Every table also has the column event_month, its partition."""

    __pydantic_config__ = _STRICT
    use_case_name: str
    name: str
    grain: str
    owner: str
    freshness: timedelta
    """How old the data of the newest partition may be, counted from the partition's end; ISO 8601: P35D."""
    source: str = ""
    """A raw table: the source whose landed file it holds. Then there is no query."""
    written_by: str = ""
    """A table that a job writes: the job's name. Then there is neither source nor query."""
    encoding: str = UTF_8
    """A raw table: of its text files; one of text_encodings.py."""
    null_text: str = ""
    """A raw table: what the file writes for a missing value, besides nothing."""
    reads: Mapping[str, int] = field(default_factory=dict)
    """A built table: the tables its query sees, each with how many months before the partition."""
    query: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def digest(self) -> str:
        """Changes with the definition and with the code that builds tables: what the same input would be made into."""
        return hashlib.sha256(repr(self).encode() + _code()).hexdigest()[:16]

    @property
    def quarantine(self) -> str:
        """Name of the table that holds the rows which broke the row contract."""
        return f"{self.name}_quarantine"


@cache
def _code() -> bytes:
    """The modules of this package, which build tables."""
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))


def definition_of(use_case_name: str, table: str, *, root: Path = SQL) -> TableDefinition:
    """The table's definition; raises UnknownTable, or BadDefinition naming file, line and what is wrong there."""
    folder = root / checked_name(use_case_name, what="use case") / checked_name(table, what="table")
    if not (folder / "schema.yaml").is_file():
        known = ", ".join(sorted(path.parent.name for path in folder.parent.glob("*/schema.yaml"))) or "none"
        raise UnknownTable(
            f"use case {use_case_name} has no table {table!r} (known: {known}): add sql/{use_case_name}/{table}/schema.yaml."
        )
    file = YamlFile.read(folder / "schema.yaml")
    query = folder / "query.sql"
    also = {"use_case_name": use_case_name, "name": table, "checks": _checks(folder / "checks.yaml")}
    also["query"] = query.read_text() if query.is_file() else ""
    definition = file.declared(TableDefinition, _with_parts(file), also=also)
    for way, problem in _contradictions(definition):
        raise BadDefinition(f"{file.place(way)}: {problem}")
    return definition


def contract_of(file: YamlFile) -> TableContract:
    """Only what breaks others when it changes, of a schema.yaml of any age; raises BadDefinition."""
    return file.declared(TableContract, _with_parts(file), also={})


def tables_of(use_case_name: str, *, root: Path = SQL) -> list[str]:
    """Every table that the use case defines, and the quarantine beside each that is built; sorted."""
    folders = sorted((root / checked_name(use_case_name, what="use case")).glob("*/schema.yaml"))
    definitions = [definition_of(use_case_name, path.parent.name, root=root) for path in folders]
    built = [definition for definition in definitions if not definition.written_by]
    return sorted([definition.name for definition in definitions] + [definition.quarantine for definition in built])


def _with_parts(file: YamlFile) -> dict[str, object]:
    """The file's members; each column and rule is judged where it stands."""
    columns = [("columns", name) for name in file.mapping(("columns",), default={})]
    rules = [("rules", place) for place in range(len(file.sequence(("rules",))))]
    return file.mapping() | {
        "columns": tuple(file.declared(Column, file.mapping(way), way=way, also={"name": way[-1]}) for way in columns),
        "rules": tuple(file.declared(RowRule, file.mapping(way), way=way, also={}) for way in rules),
    }


def _checks(path: Path) -> tuple[Check, ...]:
    if not path.is_file():
        return ()
    file = YamlFile.read(path)
    return tuple(_check(file, place) for place in range(len(file.sequence())))


def _check(file: YamlFile, place: int) -> Check:
    entry = file.mapping((place,))
    own: dict[str, object] = {name: entry.pop(name) for name in ("expect", "level", "because") if name in entry}
    return file.declared(Check, own, way=(place,), also={"arguments": entry})


def _contradictions(definition: TableDefinition) -> Iterator[tuple[Way, str]]:
    """(where, what) of fields that are well-formed each, but not together."""
    origins = [origin for origin in (definition.query, definition.source, definition.written_by) if origin]
    if len(origins) != 1:
        yield (), "a table has a query.sql, or `source` or `written_by` in schema.yaml, and only one of them."
    if definition.encoding not in ENCODINGS:
        yield ("encoding",), f"{definition.encoding!r} is none of {', '.join(ENCODINGS)}: name one of these, or deliver UTF-8."
    if definition.freshness < timedelta(hours=1):
        yield ("freshness",), f"{definition.freshness} is under an hour: write an ISO 8601 duration, P35D for 35 days."
    names = {column.name for column in definition.columns}
    if not definition.key or not names.issuperset(definition.key):
        yield ("key",), f"{list(definition.key)} are not columns of the table: name those that tell one row from another."
    for column in definition.columns:
        yield from ((("columns", column.name, *way), problem) for way, problem in _contradictions_of(column))


def _contradictions_of(column: Column) -> Iterator[tuple[Way, str]]:
    bounds = [bound for bound in (column.minimum, column.maximum) if bound is not None]
    if column.name == PARTITION_COLUMN:
        yield (), f"every table has the column {PARTITION_COLUMN}: leave it out."
    if column.name in _KEPT_BESIDE:
        yield (), f"{column.name} is what Roundtrip keeps beside a row: give the column another name."
    if bounds and column.type not in ("int", "double"):
        yield (), f"a {column.type} has no minimum or maximum: use `must`, or `values`."
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        yield ("minimum",), f"minimum {bounds[0]:g} is over maximum {bounds[1]:g}: no value could pass."
    if column.values and column.type != "string":
        yield ("values",), f"only a string has `values`, not a {column.type}: use minimum and maximum, or `must`."
    if bool(column.must) != bool(column.otherwise):
        yield (), "`must` and `otherwise` go together: the condition, and what a value that breaks it is."
