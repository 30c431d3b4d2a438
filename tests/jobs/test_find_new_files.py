import pytest

from jobs import find_new_files
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import RunFolder
from roundtrip.lakehouse.landing import landing_uri


@pytest.fixture
def run_dir(storage_root: str) -> str:
    return f"{storage_root}/runs/flight_eta.ingest/1"


def request(run_dir: str, *more: str, use_case: str = "flight_eta", feed: str = "operations") -> list[str]:
    return ["--use-case", use_case, "--run-dir", run_dir, "--feed", feed, *more]


def lay_marker(month: str) -> None:
    storage.write_bytes(f"{landing_uri('flight_eta', 'operations')}/{month}/_READY", b"")


def test_partitions_with_a_marker_are_handed_over(run_dir: str) -> None:
    for month in ("2013-04", "2013-02"):
        lay_marker(month)
    find_new_files.main(request(run_dir))
    assert RunFolder(run_dir).receipt("find_new_files", "operations").figures["partitions"] == ["2013-02", "2013-04"]
    assert RunFolder(run_dir).receipt("find_new_files", "operations").figures["builds"] == [
        {"partition": "2013-02", "dependent": False},
        {"partition": "2013-04", "dependent": False},
    ]


def test_nothing_new_is_no_failure(run_dir: str) -> None:
    with pytest.raises(SystemExit) as ended:
        find_new_files.main(request(run_dir))
    assert ended.value.code == 10


@pytest.mark.parametrize(
    "argv",
    [
        {"use_case": "flights"},
        {"use_case": "flight_eta; DROP TABLE x"},
        {"feed": "operations' OR '1'='1"},
        {"partitions": "2013-13"},
        {"partitions": "2013-04; rm -rf /"},
        {"partitions": "2013-04"},
    ],
    ids=str,
)
def test_a_request_that_can_not_be_met_fails_for_good(run_dir: str, argv: dict[str, str]) -> None:
    month = argv.pop("partitions", "")
    with pytest.raises(SystemExit) as ended:
        find_new_files.main(request(run_dir, *(["--partitions", month] if month else []), **argv))
    assert ended.value.code == 20
