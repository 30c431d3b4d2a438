import io
import subprocess
import sys

import pytest
from rich.console import Console

from roundtrip.cli.lineage import shown
from roundtrip.lakehouse.lineage import LandedFile, Lineage, MadePartition, Prediction
from roundtrip.lakehouse.snapshot import Snapshot

SNAPSHOT = Snapshot(
    use_case="trips",
    partitions=("2013-03", "2013-04"),
    features_version=1,
    outcomes_version=0,
    rows=1234,
    held_out_from="2013-04-14T10:00:00+00:00",
    content_sha256="ab" * 32,
    code_commit="1b8b5da",
)
RAW = MadePartition(
    table="raw_trips",
    partition="2013-03",
    version=0,
    rows=3,
    definition="d1",
    files=(LandedFile("s3://b/trips.csv", "cd" * 32, "changed"),),
)
MADE = [
    MadePartition(
        table="features",
        partition=month,
        version=version,
        rows=4,
        written_by="s3://b/runs/1 features",
        definition="d2",
        made_from=(RAW.name,),
    )
    for version, month in enumerate(SNAPSHOT.partitions)
]
UNKNOWN = MadePartition(table="outcomes", partition="2013-04", version=0)


def printed(prediction: Prediction | None = None) -> str:
    pinned = [*MADE, UNKNOWN]
    lineage = Lineage(SNAPSHOT, tuple(entry.name for entry in pinned), {entry.name: entry for entry in [RAW, *pinned]})
    console = Console(file=io.StringIO(), width=300)
    console.print(shown("trips", "7", prediction, lineage), highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_tree_leads_from_the_model_to_the_files() -> None:
    lines = printed().splitlines()
    assert lines[0] == "trips model version 7"
    assert "1,234 rows" in lines[1] and "ab" * 32 in lines[1] and "code 1b8b5da" in lines[1]
    assert "features 2013-03 version 0, 4 rows s3://b/runs/1" in lines[2]
    assert lines[3].endswith("raw_trips 2013-03 version 0, 3 rows")
    assert lines[4].endswith(f"s3://b/trips.csv SHA-256 {'cd' * 32} changed")


def test_what_is_used_twice_is_shown_once() -> None:
    assert printed().count("s3://b/trips.csv") == 1
    assert "raw_trips 2013-03 version 0 (above)" in printed()


def test_what_is_unknown_is_said_to_be() -> None:
    assert "outcomes 2013-04 version 0 what it was made from is unknown" in printed()


def test_a_prediction_stands_above_what_its_model_came_from() -> None:
    lines = printed(Prediction("p-1", "7", "2013-05-01T10:00:00+00:00", '{"trip_id":"a"}')).splitlines()
    assert lines[1].endswith('gave prediction p-1 at 2013-05-01T10:00:00+00:00, for {"trip_id":"a"}')


@pytest.mark.parametrize("arguments", [["lineage"], ["lineage", "3", "--prediction", "p-1"], ["restore", "3"]])
def test_an_order_that_names_not_what_is_wanted_is_wrong_use(arguments: list[str]) -> None:
    finished = subprocess.run([sys.executable, "-m", "roundtrip.cli", *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
