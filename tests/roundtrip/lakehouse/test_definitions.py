from pathlib import Path

import pytest

from roundtrip.contracts.errors import BadDefinition, BadName, UnknownTable
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.definitions import definition_of, tables_of
from roundtrip.lakehouse.prediction_log import COLUMNS
from tests.roundtrip.lakehouse.trips import write_definitions
from use_cases import declared_use_cases


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_definitions(tmp_path)


def test_a_folder_says_what_a_table_is(root: Path) -> None:
    raw = definition_of("trips", "raw_trips", root=root)
    assert (raw.source, raw.key, raw.quarantine) == ("trips", ("trip_id",), "raw_trips_quarantine")
    assert [check.level for check in raw.checks] == ["fails", "warns"]
    assert raw.checks[0].arguments == {"column": "minutes", "max_value": 500}
    assert tables_of("trips", root=root) == ["features", "features_quarantine", "raw_trips", "raw_trips_quarantine"]


def test_an_unknown_table_is_refused_with_those_known(root: Path) -> None:
    with pytest.raises(UnknownTable, match="known: features, raw_trips"):
        definition_of("trips", "raw_cars", root=root)


@pytest.mark.parametrize("name", ["raw_trips; DROP TABLE x", "../trips", "raw trips", "raw_trips`"])
def test_a_name_with_sql_in_it_is_refused(root: Path, name: str) -> None:
    with pytest.raises(BadName):
        definition_of("trips", name, root=root)
    with pytest.raises(BadName):
        definition_of(name, "raw_trips", root=root)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("raw_trips/schema.yaml", "unit: key", "units: key", "unexpected keyword argument 'units'"),
        ("raw_trips/schema.yaml", "source: trips", "owned_by: me", "query.sql, or `source` or `written_by`"),
        ("raw_trips/checks.yaml", "level: fails", "level: stops", "write `fails` or `warns`"),
        ("raw_trips/checks.yaml", "because: the city explains much.", "note: x", "missing 1 required keyword-only argument: 'because'"),
        ("features/schema.yaml", "key: [trip_id]", "key: trip_id", "should be a list"),
    ],
)
def test_a_slip_in_a_definition_is_named(root: Path, file: str, old: str, new: str, problem: str) -> None:
    path = root / "trips" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BadDefinition, match=problem):
        definition_of("trips", file.split("/")[0], root=root)


@pytest.mark.parametrize("use_case", declared_use_cases(), ids=lambda use_case: use_case.name)
def test_every_table_of_a_feed_is_defined_and_reads_tables_that_are(use_case: UseCase) -> None:
    tables = tables_of(use_case.name)
    for feed in use_case.feeds:
        for stage in feed.stages:
            for table in stage:
                definition = definition_of(use_case.name, table)
                assert set(definition.reads) <= set(tables)
                assert not definition.source or definition.source in feed.sources


@pytest.mark.parametrize("use_case", declared_use_cases(), ids=lambda use_case: use_case.name)
def test_the_features_table_is_what_the_declaration_says(use_case: UseCase) -> None:
    columns = {column.name: column for column in definition_of(use_case.name, use_case.features_table).columns}
    assert list(columns) == [*use_case.key, use_case.prediction_time, *(entry.name for entry in use_case.inputs)]
    for entry in use_case.inputs:
        column = columns[entry.name]
        assert column.type == {"number": "double", "category": "string"}[entry.kind]
        assert (column.unit, column.meaning, column.nullable) == (entry.unit, entry.meaning, entry.optional), entry.name
        assert (column.minimum, column.maximum) == (entry.minimum, entry.maximum), entry.name
    assert columns[use_case.prediction_time].type == "timestamp"


def test_the_prediction_logs_definition_is_what_the_job_writes() -> None:
    assert {column.name: column.type for column in definition_of("flight_eta", "prediction_log").columns} == {
        name: kind for name, kind in COLUMNS.items() if name != "event_month"
    }
