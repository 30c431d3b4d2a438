import pytest
from pyspark.sql import DataFrame, SparkSession

from roundtrip.contracts.errors import BadDefinition
from roundtrip.lakehouse.audit import audit
from roundtrip.lakehouse.definitions import Check


@pytest.fixture(scope="module")
def trips(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("a", 10), ("b", None), ("b", 30)], "name string, minutes int")


def check(expect: str, **arguments: object) -> Check:
    return Check(expect=expect, level="fails", because="it is a test.", arguments=arguments)


def test_results_come_in_the_order_of_the_checks(trips: DataFrame) -> None:
    checks = [
        check("column_values_to_be_unique", column="name"),
        check("table_row_count_to_be_between", min_value=3, max_value=3),
        check("column_values_to_not_be_null", column="minutes", mostly=0.5),
        check("column_values_to_not_be_null", column="minutes"),
        check("column_mean_to_be_between", column="minutes", min_value=0, max_value=19),
    ]
    results = audit(trips, checks, name="trips")
    assert [result.check for result in results] == checks
    assert [result.passed for result in results] == [False, True, True, False, False]
    assert [result.found for result in results] == ["2 of 3 rows not as expected", "3", *["1 of 3 rows not as expected"] * 2, "20.0"]


def test_a_table_without_checks_has_no_results(trips: DataFrame) -> None:
    assert audit(trips, [], name="trips") == []


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
        audit(trips, [wrong], name="trips")
