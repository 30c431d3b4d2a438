import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from pyspark.sql import DataFrame, SparkSession

from roundtrip.contracts.errors import BadDefinition
from roundtrip.lakehouse.definitions import Check, Column, TableDefinition
from roundtrip.lakehouse.expectations import SAMPLE_ROWS, CheckResult, run_checks

TRIPS = TableDefinition(
    use_case_name="trips",
    name="trips",
    grain="one trip",
    owner="tests",
    freshness=timedelta(days=35),
    key=("name",),
    columns=(
        Column(name="name", type="string", unit="key", meaning="of the trip"),
        Column(name="minutes", type="int", unit="min", nullable=True, minimum=0, maximum=600, meaning="taken"),
    ),
    source="trips",
)


@pytest.fixture(scope="module")
def trips(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("a", 10), ("b", None), ("c", 30)], "name string, minutes int")


def check(expect: str, **arguments: object) -> Check:
    return Check(expect=expect, level="fails", because="it is a test.", arguments=arguments)


def missed(results: list[CheckResult]) -> list[CheckResult]:
    return [result for result in results if not result.passed]


def test_results_come_in_the_order_of_schema_and_checks(trips: DataFrame) -> None:
    checks = (
        check("table_row_count_to_be_between", min_value=3, max_value=3),
        check("column_values_to_not_be_null", column="minutes", mostly=0.5),
        check("column_values_to_not_be_null", column="minutes"),
        check("column_mean_to_be_between", column="minutes", min_value=0, max_value=19),
    )
    results = run_checks(trips, replace(TRIPS, checks=checks), name="trips")
    assert [result.check.expect for result in results[:4]] == [
        "table_columns_to_match_set", "column_type_to_be", "column_type_to_be", "table_row_count_to_be_between",
    ]  # fmt: skip
    assert all(result.passed for result in results[:-4])
    assert [result.check for result in results[-4:]] == list(checks)
    assert [result.passed for result in results[-4:]] == [True, True, False, False]
    assert [result.found for result in results[-4:]] == ["3", *["1 of 3 rows not as expected"] * 2, "20.0"]


def test_a_missed_check_shows_a_few_of_its_rows_with_key_and_value(spark: SparkSession) -> None:
    long = spark.range(20).selectExpr("concat('t', id) AS name", "CAST(595 + id AS INT) AS minutes")
    (result,) = missed(run_checks(long, TRIPS, name="trips"))
    assert (result.check.expect, result.found) == ("column_values_to_be_between", "14 of 20 rows not as expected")
    assert len(result.sample) == SAMPLE_ROWS
    assert set(result.sample) <= {f"name t{number}, minutes {595 + number}" for number in range(6, 20)}


def test_rows_that_share_a_key_are_shown(spark: SparkSession) -> None:
    doubled = spark.createDataFrame([("a", 1), ("a", 2), ("b", 1)], "name string, minutes int")
    (single,) = missed(run_checks(doubled, TRIPS, name="trips"))
    assert (single.check.expect, single.sample) == ("column_values_to_be_unique", ("name a", "name a"))
    both = replace(TRIPS, key=("name", "minutes"))
    assert missed(run_checks(doubled, both, name="trips")) == []
    (compound,) = missed(run_checks(doubled.union(doubled.limit(1)), both, name="trips"))
    assert compound.sample == ("name a, minutes 1",) * 2


def test_values_are_not_judged_while_the_columns_are_not_as_declared(trips: DataFrame) -> None:
    (columns,) = run_checks(trips.drop("minutes"), TRIPS, name="trips")
    assert (columns.passed, columns.check.expect) == (False, "table_columns_to_match_set")
    results = run_checks(trips.selectExpr("name", "CAST(minutes AS STRING) AS minutes"), TRIPS, name="trips")
    assert [(result.check.arguments["column"], result.found) for result in missed(results)] == [("minutes", "StringType")]


def test_no_row_at_all_is_missed(trips: DataFrame) -> None:
    assert [result.check.expect for result in missed(run_checks(trips.limit(0), TRIPS, name="trips"))] == ["table_row_count_to_be_between"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (check("column_values_to_be_lucky", column="name"), "column_values_to_be_lucky"),
        (check("column_values_to_be_unique", column="nmae"), "nmae"),
        (check("column_mean_to_be_between", column="minutes", min_value="few"), "min_value"),
    ],
    ids=["unknown expectation", "unknown column", "wrong argument"],
)
def test_a_check_that_can_not_run_is_a_bad_definition(trips: DataFrame, wrong: Check, problem: str) -> None:
    with pytest.raises(BadDefinition, match=problem):
        run_checks(trips, replace(TRIPS, checks=(wrong,)), name="trips")


GONE = """
from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.lakehouse.expectations import run_checks
from roundtrip.lakehouse.session import spark_session
from tests.roundtrip.lakehouse.test_expectations import TRIPS

with spark_session() as spark:
    trips = spark.createDataFrame([("a", 10)], "name string, minutes int")
    spark.client.release_session()
    try:
        run_checks(trips, TRIPS, name="trips")
    except ServiceUnavailable as error:
        print(error)
"""


@pytest.mark.usefixtures("stack")
def test_a_server_that_went_away_is_an_outage_and_no_bad_check() -> None:
    """Great Expectations catches every exception, and shows it as a check's. In a process of its own: it has one session at a time."""
    finished = subprocess.run([sys.executable, "-c", GONE], capture_output=True, text=True, check=False)
    assert "the Spark server does not answer" in finished.stdout, finished.stderr
