import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from roundtrip.contracts import storage
from roundtrip.contracts.errors import BadFile, BadPartition, ChecksFailed, MissingSource, RowsRejected, TableMissing
from roundtrip.lakehouse.definitions import definition_of
from roundtrip.lakehouse.landing import land
from roundtrip.lakehouse.publish import last_commit
from roundtrip.lakehouse.replay import quarantined
from roundtrip.lakehouse.row_contract import typed_rows
from roundtrip.lakehouse.tables import current_version, read_table, table_uri
from tests.roundtrip.lakehouse.conftest import BuildTrips
from tests.roundtrip.lakehouse.trips import FEED, GOOD, TRIPS, land_trips, new_receipt, run_folder

BROKEN = (
    "d,2013-04-04T10:00:00Z,half,Ulm,1000",
    "e,2013-04-05T10:00:00Z,10,Ulm",
    "f,2013-05-01T10:00:00Z,10,Ulm,1000",
    "g,2013-04-06T10:00:00Z,10,Rome,1000",
    "h,2013-04-06T10:00:00Z,10,Ulm,1075",
    "i,2013-04-06T10:00:00Z,NA,Ulm,1000",
    "j,2013-04-06T10:00:00Z,601,Ulm,1000",
    GOOD[0],
)
REASONS = [
    "minutes half is no int",
    "line has not the 5 values of the header",
    "row lies outside the partition",
    "city Rome is none of Ulm, Bonn",
    "clock 1075 is no HHMM",
    "minutes is missing",
    "minutes 601 is over 600 min",
    "row repeats the trip_id of an earlier line",
]


def many_good(count: int) -> list[str]:
    return [f"x{place},2013-04-09T10:00:00Z,{place % 100},Ulm,NA" for place in range(count)]


def test_built_twice_is_built_once(build: BuildTrips) -> None:
    land_trips(*GOOD)
    first = build(run="1")
    retried, again = build(run="1"), build(run="2")
    assert first.figures["rows_published"] == 3
    assert (first.figures["unchanged"], retried.figures["unchanged"], again.figures["unchanged"]) == (False, False, True)
    assert first.outputs == retried.outputs == again.outputs
    assert current_version("trips", "raw_trips") == 0
    assert read_table("trips", "raw_trips").num_rows == 3


def test_a_partition_is_built_anew_when_its_definition_or_a_month_that_it_read_changed(build: BuildTrips, tmp_path: Path) -> None:
    for month in ("2013-03", "2013-04"):
        land_trips(f"a,{month}-01T10:00:00Z,30,Ulm,NA", month=month)
        build(partition=month)
    first = build("features", run="1")
    (version, commit) = last_commit("trips", "features", "2013-04") or pytest.fail("no commit")
    assert (version, commit.provenance.tables) == (0, {"raw_trips 2013-03": 0, "raw_trips 2013-04": 1})
    assert "checks_passed" in first.figures and "checks_passed" not in build("features", run="2").figures
    land_trips("a,2013-03-01T10:00:00Z,30,Ulm,NA", "b,2013-03-01T11:00:00Z,30,Ulm,NA", month="2013-03")
    build(partition="2013-03", run="3")
    assert build("features", run="3").figures["unchanged"] is False
    assert read_table("trips", "features").column("known_trips").to_pylist() == [3]
    query = tmp_path / "sql/trips/features/query.sql"
    query.write_text(query.read_text().replace("count(*)", "1 + count(*)"))
    assert build("features", run="4").figures["unchanged"] is False


def test_broken_rows_go_to_quarantine_with_reason_and_line(build: BuildTrips) -> None:
    land_trips(*GOOD, *BROKEN, *many_good(29))
    receipt = build()
    assert receipt.figures["rows_quarantined"] == len(BROKEN)
    assert receipt.figures["rows_published"] == 32
    kept = read_table("trips", "raw_trips_quarantine").sort_by("line").to_pylist()
    assert [row["reason"] for row in kept] == REASONS
    assert [row["line"] for row in kept] == list(range(5, 13))
    assert [row["raw_row"] for row in kept] == list(BROKEN)
    assert kept[0]["replay_key"] == hashlib.sha256(BROKEN[0].encode()).hexdigest()
    assert {row["source_file"].rsplit("/", 1)[1] for row in kept} == {"trips.csv"}


def test_a_published_row_names_its_line_and_the_receipt_names_columns_that_do_not_match(build: BuildTrips) -> None:
    land_trips("Ulm,a,x,30,2013-04-01T10:00:00Z", "", "Ulm,b,y,30,2013-04-01T10:00:00Z", header="city,trip_id,weather,minutes,left_at")
    receipt = build()
    assert (receipt.figures["columns_ignored"], receipt.figures["columns_missing"]) == (["weather"], ["clock"])
    rows = read_table("trips", "raw_trips").sort_by("source_line").select(["source_line", "trip_id", "clock"]).to_pylist()
    assert rows == [{"source_line": 2, "trip_id": "a", "clock": None}, {"source_line": 4, "trip_id": "b", "clock": None}]


def test_a_kept_row_is_enough_to_parse_it_again(build: BuildTrips, spark: SparkSession, tmp_path: Path) -> None:
    wrong, mended = b"Ulm,d,700,2013-04-01T10:00:00Z", b'"Bo\xfcn\nn",e,30,2013-04-01T10:00:00Z'
    good = [f"Ulm,x{place},30,2013-04-01T10:00:00Z".encode() for place in range(8)]
    content = b"\n".join([b"city,trip_id,minutes,left_at", wrong, mended, *good])
    land(TRIPS.name, FEED, "2013-04", {"trips": content})
    build()
    definition = definition_of("trips", "raw_trips", root=tmp_path / "sql")
    free = replace(definition.columns[3], values=())
    columns = (*definition.columns[:2], replace(definition.columns[2], maximum=None), free, definition.columns[4])
    kept = spark.read.format("delta").load(table_uri("trips", "raw_trips_quarantine"))
    (told,) = kept.select("header", "source_sha256").distinct().collect()
    assert told.source_sha256 == hashlib.sha256(content).hexdigest()
    again = typed_rows(kept, replace(definition, columns=columns, encoding="latin-1"), "2013-04", header=told.header)
    rows = {row.line: (row.trip_id, row.minutes, row.city, row._reason) for row in again.collect()}
    assert rows == {2: ("d", 700, "Ulm", None), 3: ("e", 30, "Boün\nn", None)}


def test_corrected_files_replace_the_partition_and_empty_its_quarantine(build: BuildTrips) -> None:
    land_trips(*many_good(9), BROKEN[0])
    build(run="1")
    land_trips(*many_good(9), GOOD[0])
    receipt = build(run="2")
    assert receipt.figures["rows_published"] == 10
    assert read_table("trips", "raw_trips_quarantine").num_rows == 0


def test_too_many_broken_rows_stop_the_partition(build: BuildTrips) -> None:
    land_trips(*GOOD, *BROKEN[:2])
    with pytest.raises(RowsRejected, match=r"2013-04: 40\.0% of 5 rows \(2\) .*limit 25\.0%.*minutes half is no int.*raw_trips_quarantine"):
        build()
    assert current_version("trips", "raw_trips") is None
    assert read_table("trips", "raw_trips_quarantine").num_rows == 2


def test_a_failed_check_publishes_nothing_and_leaves_its_page(build: BuildTrips, storage_root: str) -> None:
    land_trips(*GOOD)
    build(run="1")
    land_trips(*GOOD, "d,2013-04-04T10:00:00Z,590,Ulm,1000")
    receipt = new_receipt()
    with pytest.raises(ChecksFailed, match=r"1 of 15 checks failed.*found 590.*nobody drives that long.*Correct file:.*trips\.csv"):
        build(run="2", receipt=receipt)
    assert read_table("trips", "raw_trips").num_rows == 3
    assert b"nobody drives that long" in storage.read_bytes(receipt.links["Checks"])
    assert receipt.links["Checks"] == run_folder(storage_root, "2").file("checks", "raw_trips.2013-04.html")
    assert b"590" not in storage.read_bytes(f"{storage_root}/data_docs/trips/raw_trips/2013-04.html"), "they show what is published"


def test_a_check_missed_by_rows_names_some_of_them(build: BuildTrips, tmp_path: Path) -> None:
    checks = tmp_path / "sql/trips/raw_trips/checks.yaml"
    checks.write_text("[{expect: column_values_to_be_between, column: minutes, max_value: 40, level: fails, because: it is a test.}]")
    land_trips(*GOOD)
    with pytest.raises(ChecksFailed, match=r"found 1 of 3 rows not as expected.*Such rows: trip_id c, minutes 50\."):
        build()


def test_a_partition_that_is_left_alone_links_the_page_of_its_content(build: BuildTrips, storage_root: str) -> None:
    land_trips(*GOOD)
    built, left = build(run="1"), build(run="2")
    assert left.links["Checks"] == run_folder(storage_root, "2").file("checks", "raw_trips.2013-04.html")
    assert storage.read_bytes(left.links["Checks"]) == storage.read_bytes(built.links["Checks"])
    assert b'<a href="2013-04.html">2013-04</a>' in storage.read_bytes(f"{storage_root}/data_docs/trips/raw_trips/index.html")


def test_a_missed_check_that_only_warns_is_told(build: BuildTrips) -> None:
    land_trips(*GOOD, "d,2013-04-04T10:00:00Z,20,NA,1000")
    receipt = build()
    assert receipt.figures["checks_warned"] == ["the city explains much."]
    assert receipt.figures["rows_published"] == 4


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff\xfe", b""])
def test_a_file_that_is_no_csv_is_refused(build: BuildTrips, storage_root: str, content: bytes) -> None:
    storage.write_bytes(f"{storage_root}/landing/trips/trips/2013-04/trips.csv", content)
    with pytest.raises(BadFile, match=r"trips\.csv"):
        build()


def test_a_header_without_rows_is_refused(build: BuildTrips) -> None:
    land_trips()
    with pytest.raises(BadFile, match="gives no row at all"):
        build()


def test_a_missing_source_is_named(build: BuildTrips) -> None:
    with pytest.raises(MissingSource, match=r"2013-04/trips\.csv has not landed"):
        build()


def test_a_month_out_of_range_is_refused(build: BuildTrips) -> None:
    with pytest.raises(BadPartition, match="2013-13"):
        build(partition="2013-13")


def test_a_query_sees_the_months_that_it_declares_and_none_after(build: BuildTrips) -> None:
    for month in ("2013-02", "2013-03", "2013-04", "2013-05"):
        land_trips(f"a,{month}-01T10:00:00Z,30,Ulm,NA", month=month)
        build(partition=month)
    receipt = build("features")
    assert read_table("trips", "features").column("known_trips").to_pylist() == [2]
    assert [(read.table, read.rows) for read in receipt.inputs] == [("raw_trips", 2)]
    assert "history_missing" not in receipt.figures
    assert build("features", partition="2013-02").figures["history_missing"] == ["raw_trips 2013-01"]


def test_a_table_is_not_built_from_one_that_lacks_the_month(build: BuildTrips) -> None:
    land_trips("a,2013-03-01T10:00:00Z,30,Ulm,NA", month="2013-03")
    build(partition="2013-03")
    with pytest.raises(TableMissing, match="raw_trips, which holds no 2013-04"):
        build("features")


def test_a_table_on_s3_is_built_and_read_there(build: BuildTrips, s3_root: str) -> None:
    land_trips(*GOOD)
    assert build().outputs[0].uri.startswith(s3_root)
    assert read_table("trips", "raw_trips", partitions=["2013-04"], columns=["trip_id"]).num_rows == 3


def mend(tmp_path: Path, old: str, new: str) -> None:
    schema = tmp_path / "sql/trips/raw_trips/schema.yaml"
    assert old in schema.read_text()
    schema.write_text(schema.read_text().replace(old, new))


def months_to_let_out(root: Path) -> list[str]:
    return [month.partition for month in quarantined(TRIPS, FEED, root=root) if month.waiting and month.mended]


def quarantined_lines() -> dict[int, str | None]:
    """Line → the run that let it out; None while it waits."""
    return {row["line"]: row["replayed_in"] for row in read_table("trips", "raw_trips_quarantine").to_pylist()}


def test_rows_that_a_mended_contract_lets_pass_are_replayed_once_and_marked(build: BuildTrips, storage_root: str, tmp_path: Path) -> None:
    land_trips(*many_good(9), BROKEN[3], BROKEN[6])
    build(run="1")
    assert quarantined_lines() == {11: None, 12: None}
    assert months_to_let_out(tmp_path / "sql") == []
    mend(tmp_path, "values: [Ulm, Bonn]", "values: [Ulm, Bonn, Rome]")
    assert months_to_let_out(tmp_path / "sql") == ["2013-04"]
    assert build(run="2").figures["rows_published"] == 10
    assert build(run="2").figures["unchanged"] is False and build(run="3").figures["unchanged"] is True
    assert quarantined_lines() == {11: run_folder(storage_root, "2").uri, 12: None}
    assert months_to_let_out(tmp_path / "sql") == []
    assert sorted(read_table("trips", "raw_trips").column("trip_id").to_pylist())[0] == "g"


def test_rows_are_not_marked_as_replayed_when_the_partition_is_refused(build: BuildTrips, tmp_path: Path) -> None:
    land_trips(*many_good(9), BROKEN[3])
    build(run="1")
    mend(tmp_path, "values: [Ulm, Bonn]", "values: [Ulm, Bonn, Rome]")
    mend(tmp_path, "maximum: 600", "maximum: 4")
    with pytest.raises(RowsRejected):
        build(run="2")
    assert set(quarantined_lines().values()) == {None}


def test_a_build_that_died_before_its_quarantine_was_written_is_finished_by_the_next(build: BuildTrips) -> None:
    land_trips(*many_good(9), BROKEN[0])
    build(run="1")
    shutil.rmtree(table_uri("trips", "raw_trips_quarantine").removeprefix("file://"))
    build(run="2")
    assert list(quarantined_lines()) == [11]
    assert current_version("trips", "raw_trips") == 0
