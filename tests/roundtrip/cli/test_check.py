import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.cli.check import faults_of_dags, faults_of_use_case
from roundtrip.cli.stack.layout import Stack, chosen_ports
from roundtrip.contracts.settings import REPOSITORY
from use_cases.flight_eta.declaration import USE_CASE


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of sql/ to break."""
    return Path(shutil.copytree(REPOSITORY / "sql", tmp_path / "sql"))


def test_flight_eta_has_no_fault() -> None:
    assert list(faults_of_use_case(USE_CASE, REPOSITORY / "sql")) == []


def test_a_table_without_a_definition_is_named_with_the_file_to_add(sql: Path) -> None:
    shutil.rmtree(sql / "flight_eta" / "clean_weather")
    (fault,) = faults_of_use_case(USE_CASE, sql)
    assert "add sql/flight_eta/clean_weather/schema.yaml" in fault


def test_a_query_that_is_no_sql_is_named(sql: Path) -> None:
    query = sql / "flight_eta" / "features" / "query.sql"
    query.write_text("SELECT FROM WHERE (")
    (fault,) = faults_of_use_case(USE_CASE, sql)
    assert fault.startswith(f"{query} is no Spark SQL")


def test_the_table_of_predictions_needs_a_definition_too(sql: Path) -> None:
    faults = list(faults_of_use_case(replace(USE_CASE, predictions_table="forecasts"), sql))
    assert ["forecasts" in fault for fault in faults] == [True]


def test_a_dag_file_that_can_not_be_imported_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module  # an airflow DAG\n")
    home = tmp_path / "home"
    (fault,) = faults_of_dags(Stack(home=home, ports=chosen_ports(home, {})), tmp_path)
    assert "broken.py" in fault
    assert "No module named 'no_such_module'" in fault
