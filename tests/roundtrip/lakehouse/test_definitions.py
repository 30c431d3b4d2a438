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
        ("raw_trips/schema.yaml", "unit: key", "units: key", r":11: columns\.trip_id\.unit: Field required"),
        ("raw_trips/schema.yaml", "unit: key", "unit: key, units: x", r":11: columns\.trip_id\.units: Unexpected keyword argument"),
        ("raw_trips/schema.yaml", "unit: key", "unit: key, name: x", r":11: name is known already"),
        ("raw_trips/schema.yaml", "type: string", "type: text", r":11: columns\.trip_id\.type: .*'timestamp', not 'text'"),
        ("raw_trips/schema.yaml", "maximum: 600", "maximum: many", r":13: columns\.minutes\.maximum: .*valid number.*, not 'many'"),
        ("raw_trips/schema.yaml", "maximum: 600", "maximum: .nan", r":13: columns\.minutes\.maximum: .*finite"),
        ("raw_trips/schema.yaml", "maximum: 600", "maximum: -1", r":13: minimum 0 is over maximum -1"),
        ("raw_trips/schema.yaml", "unit: UTC", "unit: UTC, minimum: 0", r":12: a timestamp has no minimum"),
        ("raw_trips/schema.yaml", "[Ulm, Bonn]", "[NO, SE]", r":14: columns\.city\.values\.0: .*valid string, not False"),
        ("raw_trips/schema.yaml", "unit: min,", "unit: min, values: [1],", r":13: columns\.minutes\.values"),
        ("raw_trips/schema.yaml", "otherwise: is no HHMM, ", "", r":15: `must` and `otherwise` go together"),
        ("raw_trips/schema.yaml", "  city:", "  trip_id:", r":14: 'trip_id' is there twice"),
        ("raw_trips/schema.yaml", "  city:", "  event_month:", r":14: every table has the column event_month"),
        ("raw_trips/schema.yaml", "grain: one trip", "grain: 'one trip", r":\d+: is no YAML"),
        ("raw_trips/schema.yaml", "freshness: P35D", "", r":1: freshness: Field required"),
        ("raw_trips/schema.yaml", "freshness: P35D", "freshness: monthly", r":4: freshness: .*timedelta.*, not 'monthly'"),
        ("raw_trips/schema.yaml", "freshness: P35D", "freshness: 35", r":4: 0:00:35 is under an hour: write an ISO 8601 duration, P35D"),
        ("raw_trips/schema.yaml", "otherwise: lies", "else: lies", r":9: rules\.0\.otherwise: Field required"),
        ("raw_trips/schema.yaml", "source: trips", "owned_by: me", r":5: owned_by: Unexpected keyword argument"),
        ("raw_trips/schema.yaml", "source: trips", "", "query.sql, or `source` or `written_by`"),
        ("raw_trips/schema.yaml", "key: [trip_id]", "key: [trip]", r":7: \['trip'\] are not columns"),
        ("raw_trips/checks.yaml", "level: fails", "level: stops", r":2: 0\.level: .*'fails' or 'warns', not 'stops'"),
        ("raw_trips/checks.yaml", "because: the city explains much.", "note: x", r":3: 1\.because: Field required"),
        ("features/schema.yaml", "key: [trip_id]", "key: trip_id", r":5: key: .*valid tuple, not 'trip_id'"),
        ("features/schema.yaml", "  trip_id: {", "  trip_id: x #", r":8: 'x' should be a mapping"),
    ],
)
def test_a_slip_in_a_definition_is_named_with_file_and_line(root: Path, file: str, old: str, new: str, problem: str) -> None:
    path = root / "trips" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BadDefinition, match=problem) as refused:
        definition_of("trips", file.split("/")[0], root=root)
    assert str(refused.value).startswith(f"{path}:")


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
