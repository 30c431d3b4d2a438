from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs import snapshot_dataset
from roundtrip.contracts.receipts import RunFolder
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import table_uri

START = datetime(2013, 4, 1, tzinfo=UTC)


@pytest.fixture
def folder(storage_root: str) -> RunFolder:
    """A run folder, and 29 days of features and outcomes in the store beside it."""
    days = range(29)
    flights = [{"flight_id": f"f{day}", "pushed_back_at": START + timedelta(days=day), "event_month": "2013-04"} for day in days]
    outcomes = [{"flight_id": f"f{day}", "arrival_delay_minutes": day, "event_month": "2013-04"} for day in days]
    for table, rows in (("features", flights), ("outcomes", outcomes)):
        uri = table_uri("flight_eta", table)
        Path(uri.removeprefix("file://")).mkdir(parents=True)
        write_deltalake(uri, pa.Table.from_pylist(rows), partition_by=["event_month"])
    return RunFolder(f"{storage_root}/runs/flight_eta.train_and_release/1")


def take(folder: RunFolder, partitions: str) -> None:
    snapshot_dataset.main(["--use-case", "flight_eta", "--run-dir", folder.uri, "--partitions", partitions])


def test_the_receipt_tells_what_the_snapshot_pins(folder: RunFolder) -> None:
    take(folder, "..2013-06")
    snapshot, receipt = Snapshot.load(folder.uri), folder.receipt("snapshot_dataset")
    assert receipt.figures == {
        "partitions": ["2013-04"],
        "rows": 29,
        "held_out_from": "2013-04-15T00:00:00+00:00",
        "features_version": 0,
        "outcomes_version": 0,
        "content_sha256": snapshot.content_sha256,
    }
    assert [(table.table, table.version, table.rows) for table in receipt.inputs] == [("features", 0, 29), ("outcomes", 0, 29)]
    assert (snapshot.rows, snapshot.held_out_from) == (29, receipt.figures["held_out_from"])


@pytest.mark.parametrize("partitions", ["2013-05", "2013-04..2013-05", "..2013-03", "2013-13", "..$(rm -rf /)", ""])
def test_months_that_can_not_be_had_fail_for_good(folder: RunFolder, partitions: str) -> None:
    with pytest.raises(SystemExit) as ended:
        take(folder, partitions)
    assert ended.value.code == 20
