from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from deltalake import write_deltalake

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.lakehouse.snapshot import Snapshot, load_rows, take_snapshot
from roundtrip.lakehouse.tables import table_uri
from roundtrip.training.mapped_rows import mapped_rows, write_rows
from roundtrip.training.rows import TrainingData, training_data
from tests.roundtrip.training.tiny import TINY, tiny_rows

MONTHS = ("2013-01", "2013-02", "2013-03")


@pytest.fixture
def snapshot(storage_root: str) -> Snapshot:
    """Of three months, the last of them held out in part; every hundredth row has no outcome."""
    for number, month in enumerate(MONTHS):
        rows = tiny_rows(1000, seed=number)
        at = np.datetime64(f"{month}-01T00:00", "us") + np.arange(1000) * np.timedelta64(36, "m")
        rows = rows.set_column(rows.column_names.index("at"), "at", pa.array(at, pa.timestamp("us", "UTC")))
        rows = rows.append_column("event_month", [[month] * 1000])
        unknown = pa.array(np.arange(1000) % 100 == 0)
        late = pa.array(np.where(unknown, np.nan, rows["late"]), from_pandas=True)
        outcomes = pa.table({"row": rows["row"], "late": late, "event_month": rows["event_month"]})
        for table, content in (("features", rows.drop_columns(["late"])), ("outcomes", outcomes)):
            write_deltalake(table_uri("tiny", table).removeprefix("file://"), content, partition_by=["event_month"], mode="append")
    return take_snapshot(TINY, "2013-01..2013-03")


def same(found: TrainingData, expected: TrainingData) -> bool:
    pairs = [(found.train, expected.train), (found.held_out, expected.held_out)]
    return found.contract == expected.contract and all(
        torch.equal(vars(one)[name].nan_to_num(-1), vars(other)[name].nan_to_num(-1)) for one, other in pairs for name in vars(one)
    )


def test_mapped_rows_are_those_of_the_snapshot(snapshot: Snapshot, tmp_path: Path) -> None:
    rows = load_rows(TINY, snapshot)
    write_rows(TINY, snapshot, tmp_path / "rows")
    mapped = mapped_rows(tmp_path / "rows")
    assert len(mapped.train) + len(mapped.held_out) == snapshot.rows == 2970
    assert same(mapped, training_data(TINY, rows.train, rows.held_out))


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Name → inode and content."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}


def test_what_an_attempt_before_has_left_whole_is_left_as_it_is(snapshot: Snapshot, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    write_rows(TINY, snapshot, folder)
    written = files_of(folder)
    write_rows(TINY, snapshot, folder)
    assert files_of(folder) == written


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(bytes(file.stat().st_size))], ids=["deleted", "zeroed"])
def test_rows_that_are_damaged_are_written_anew(damage: Callable[[Path], object], snapshot: Snapshot, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    write_rows(TINY, snapshot, folder)
    written = {name: content for name, (_, content) in files_of(folder).items()}
    for name in written:
        damage(folder / name)
        write_rows(TINY, snapshot, folder)
        assert {name: content for name, (_, content) in files_of(folder).items()} == written, name


def test_what_a_killed_attempt_has_left_is_no_part_of_the_rows(snapshot: Snapshot, tmp_path: Path) -> None:
    write_rows(TINY, snapshot, tmp_path / "undisturbed")
    (tmp_path / "rows.partial").mkdir()
    (tmp_path / "rows.partial" / "train.labels").write_bytes(bytes(4000))
    write_rows(TINY, snapshot, tmp_path / "rows")
    assert same(mapped_rows(tmp_path / "rows"), mapped_rows(tmp_path / "undisturbed"))
    assert not (tmp_path / "rows.partial").exists()


def test_rows_of_a_process_stay_its_own(snapshot: Snapshot, tmp_path: Path) -> None:
    write_rows(TINY, snapshot, tmp_path / "rows")
    mapped_rows(tmp_path / "rows").train.labels.zero_()
    assert mapped_rows(tmp_path / "rows").train.labels.any()


def test_other_rows_than_those_pinned_are_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnusable, match="changed behind their log"):
        write_rows(TINY, replace(snapshot, content_sha256="0" * 64), tmp_path / "rows")


def test_a_span_without_rows_is_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnusable, match="no held-out rows"):
        write_rows(TINY, replace(snapshot, held_out_from="2014-01-01T00:00:00+00:00"), tmp_path / "rows")
