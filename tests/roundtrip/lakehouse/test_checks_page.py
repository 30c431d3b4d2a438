from datetime import timedelta

from roundtrip.lakehouse.checks_page import Audited, checks_page
from roundtrip.lakehouse.contract_checks import row_checks
from roundtrip.lakehouse.definitions import Check, Column, RowRule, TableDefinition
from roundtrip.lakehouse.expectations import CheckResult
from roundtrip.lakehouse.publish import Provenance

MEAN = Check(
    expect="column_mean_to_be_between",
    level="warns",
    because="a far mean is another unit.",
    arguments={"column": "minutes", "max_value": 40},
)
TRIPS = TableDefinition(
    use_case_name="trips",
    name="clean_trips",
    grain="one trip",
    owner="dispatch",
    freshness=timedelta(days=35),
    key=("trip",),
    columns=(
        Column(name="trip", type="string", unit="key", meaning="names it"),
        Column(name="minutes", type="int", unit="min", nullable=True, minimum=0, maximum=600, meaning="taken & noted"),
        Column(name="city", type="string", unit="name", values=("Ulm", "Bonn"), meaning="its end"),
    ),
    rules=(RowRule(must="minutes > 0", otherwise="stands still"),),
    reads={"raw_trips": 1},
    query="SELECT 1",
    checks=(MEAN,),
)
PROVENANCE = Provenance(definition="d", files={"s3://r/landing/trips.csv": "abc123"}, tables={"raw_trips 2013-03": 4})


def page_of(*results: CheckResult) -> str:
    audited = Audited(definition=TRIPS, partition="2013-04", rows=1200, broken=3, came_from="query.sql", provenance=PROVENANCE)
    return checks_page(audited, results)


def result(check: Check, *, passed: bool, found: str = "as declared", sample: tuple[str, ...] = ()) -> CheckResult:
    return CheckResult(check=check, passed=passed, found=found, sample=sample)


def test_it_says_what_the_table_is() -> None:
    page = page_of()
    facts = ("one trip", "dispatch", "35 days", "raw_trips (and 1 months back)", "stands still")
    for told in (*facts, "names it", "taken &amp; noted", "0 to 600", "Ulm, Bonn", "may be missing"):
        assert told in page, told


def test_it_says_what_the_content_was_made_from_and_how_many_rows_count() -> None:
    page = page_of()
    for told in ("1,200", "3 (table clean_trips_quarantine)", "1,197", "abc123", "raw_trips 2013-03 at version 4", "query.sql"):
        assert told in page, told


def test_a_missed_check_comes_first_with_its_rows() -> None:
    key = row_checks(TRIPS)[1]
    page = page_of(
        result(MEAN, passed=True, found="20.0"),
        result(key, passed=False, found="2 of 9 rows not as expected", sample=("trip a",)),
    )
    assert page.index("2 of 9 rows") < page.index("trip a</code>") < page.index("20.0")
    assert "1 failed" in page and "was not published" in page


def test_what_passed_of_the_schema_is_counted_and_what_passed_of_the_checks_is_shown() -> None:
    page = page_of(*(result(check, passed=True) for check in row_checks(TRIPS)), result(MEAN, passed=True, found="20.0"))
    assert f"{len(row_checks(TRIPS))} more passed" in page
    assert "column mean to be between (column minutes, max_value 40)" in page
    assert "was not published" not in page


def test_what_the_data_say_can_not_become_markup() -> None:
    page = page_of(result(MEAN, passed=False, found="<b>", sample=("trip <script>alert(1)</script>",)))
    assert "<script>" not in page and "<b>" not in page
    assert "1 warned" in page
