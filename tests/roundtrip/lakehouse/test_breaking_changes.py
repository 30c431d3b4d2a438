import pytest

from roundtrip.lakehouse.breaking_changes import breaking_changes
from roundtrip.lakehouse.definitions import contract_of
from roundtrip.lakehouse.yaml_file import YamlFile

SCHEMA = """
version: 1
key: [trip]
rules:
  - {must: minutes > 0, otherwise: stands still}
columns:
  trip: {type: string, unit: key, meaning: names it}
  minutes: {type: int, unit: min, nullable: true, minimum: 0, maximum: 600, meaning: taken}
  city: {type: string, unit: name, values: [Ulm, Bonn], meaning: where it went}
"""


def changes(old: str, new: str, *, also: tuple[str, str] = ("", "")) -> list[tuple[int, str]]:
    """(line, what) of what breaks when `old` becomes `new` in SCHEMA."""
    assert old in SCHEMA
    now = YamlFile.parse(SCHEMA.replace(old, new).replace(*also), name="schema.yaml")
    found = breaking_changes(contract_of(YamlFile.parse(SCHEMA, name="before")), contract_of(now))
    return [(int(now.place(way).rsplit(":", 1)[1]), what) for way, what in found]


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("  city: {type: string, unit: name, values: [Ulm, Bonn], meaning: where it went}\n", "", 6, "column city is gone"),
        ("type: int, unit: min", "type: string, unit: min", 8, "column minutes was int, which is not always string"),
        ("type: string, unit: name", "type: timestamp, unit: name", 9, "column city was string, which is not always timestamp"),
        ("unit: min", "unit: h", 8, "column minutes was in min: the same number means something else"),
        ("nullable: true", "nullable: false", 8, "column minutes could be missing before"),
        ("nullable: true, ", "", 8, "column minutes could be missing before"),
        ("minimum: 0", "minimum: 1", 8, "column minutes could be 0 before"),
        ("maximum: 600", "maximum: 599", 8, "column minutes could be 600 before"),
        ("unit: key,", "unit: key, must: trip > '', otherwise: is no name,", 7, "column trip has a condition that it had not"),
        ("unit: key,", "unit: key, values: [a],", 7, "column trip could be any value before"),
        ("[Ulm, Bonn]", "[Ulm, Rome]", 9, "column city could be Bonn before"),
        ("key: [trip]", "key: [trip, city]", 3, "the key was trip: rows are told apart otherwise"),
        ("minutes > 0", "minutes > 1", 5, "this rule is new"),
        ("columns:\n", "columns:\n  by: {type: string, unit: name, meaning: driver}\n", 7, "column by is new and may not be missing"),
    ],
)
def test_what_breaks_a_contract_is_told_with_its_line(old: str, new: str, line: int, what: str) -> None:
    ((where, told),) = changes(old, new)
    assert where == line
    assert told.startswith(what)
    assert changes(old, new, also=("version: 1", "version: 2")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type: int", "type: double"),
        ("minimum: 0, maximum: 600, ", ""),
        ("minimum: 0", "minimum: -5"),
        ("[Ulm, Bonn]", "[Bonn, Ulm, Rome]"),
        ("unit: name", "unit: name, nullable: true"),
        ("where it went", "its end"),
        ("  - {must: minutes > 0, otherwise: stands still}", "  []"),
        ("columns:\n", "columns:\n  by: {type: string, unit: name, nullable: true, meaning: driver}\n"),
    ],
)
def test_what_every_reader_survives_is_no_breaking_change(old: str, new: str) -> None:
    assert changes(old, new) == []


def test_a_double_does_not_fit_an_int() -> None:
    before = contract_of(YamlFile.parse(SCHEMA.replace("type: int", "type: double"), name="before"))
    (told,) = breaking_changes(before, contract_of(YamlFile.parse(SCHEMA, name="now")))
    assert told == (("columns", "minutes", "type"), "column minutes was double, which is not always int")
