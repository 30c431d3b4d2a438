import json

import pytest

from jobs import build_table
from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.lakehouse.landing import source_uri
from roundtrip.lakehouse.tables import current_version

AIRLINES = b"carrier,name\nAA,American Airlines Inc.\nUA,United Air Lines Inc.\n"
PLANES = b"tailnum,year,type,manufacturer,model,engines,seats,speed,engine\nN1,2004,Fixed wing multi engine,BOEING,737,2,149,NA,Turbo-fan\n"


@pytest.fixture
def folder(storage_root: str) -> RunFolder:
    return RunFolder(f"{storage_root}/runs/flight_eta.ingest/1")


def land_source(source: str, content: bytes) -> None:
    storage.write_bytes(source_uri("flight_eta", "operations", "2013-04", source), content)


def build(folder: RunFolder, *, tables: str, partition: str = "2013-04", use_case: str = "flight_eta") -> None:
    build_table.main(["--use-case", use_case, "--run-dir", folder.uri, "--tables", tables, "--partition", partition])


def only_receipt(folder: RunFolder) -> Receipt:
    (found,) = storage.list_objects(folder.file("receipts") + "/")
    return Receipt.from_json(storage.read_bytes(found.uri))


@pytest.mark.usefixtures("stack")
def test_each_table_leaves_a_receipt_and_a_page_of_its_checks(folder: RunFolder) -> None:
    land_source("airlines", AIRLINES)
    land_source("planes", PLANES)
    build(folder, tables="raw_airlines,raw_planes")
    for table, rows in (("raw_airlines", 2), ("raw_planes", 1)):
        receipt = folder.receipt("build_table", f"{table}.2013-04")
        assert receipt.figures["rows_published"] == rows
        assert receipt.outputs[0].version == 0
        assert storage.exists(receipt.links["Checks"])


@pytest.mark.usefixtures("stack")
def test_a_table_that_fails_says_so_and_leaves_the_one_before_it_done(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    land_source("airlines", AIRLINES)
    with pytest.raises(SystemExit) as ended:
        build(folder, tables="raw_airlines,raw_planes")
    assert ended.value.code == 20
    assert folder.receipt("build_table", "raw_airlines.2013-04").answer == "done"
    failed = json.loads(storage.read_bytes(folder.receipt_uri("build_table", "raw_planes.2013-04")))
    assert failed["reason"].startswith("MissingSource: ") and "planes.csv has not landed" in capsys.readouterr().err
    assert current_version("flight_eta", "raw_planes") is None


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("argv", "error"),
    [
        ({"tables": "raw_airlines", "use_case": "flights"}, "UnknownUseCase"),
        ({"tables": "raw_trains"}, "UnknownTable"),
        ({"tables": "predictions"}, "UnknownTable"),
        ({"tables": "raw_airlines`; DROP TABLE x; --"}, "BadName"),
        ({"tables": "raw_airlines", "partition": "2013-04' OR '1'='1"}, "BadPartition"),
        ({"tables": "clean_weather"}, "TableMissing"),
    ],
    ids=str,
)
def test_a_request_that_can_not_be_met_fails_for_good(folder: RunFolder, argv: dict[str, str], error: str) -> None:
    with pytest.raises(SystemExit) as ended:
        build(folder, **argv)
    assert ended.value.code == 20
    assert only_receipt(folder).reason.startswith(f"{error}: ")


def test_a_server_that_is_away_is_worth_another_try(folder: RunFolder, monkeypatch: pytest.MonkeyPatch, stack: Stack) -> None:
    land_source("airlines", AIRLINES)
    monkeypatch.setenv("SPARK_REMOTE", "sc://localhost:1")
    with pytest.raises(SystemExit) as ended:
        build(folder, tables="raw_airlines")
    assert ended.value.code == 1
    assert only_receipt(folder).reason.startswith("ServiceUnavailable: ")
