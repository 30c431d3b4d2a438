"""The labelled rows of flight_eta's year, in memory or in Delta tables. The ETL bench's DuckDB builds the features, in twenty seconds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from benchmarks.etl.run import PEERS_PYTHON
from roundtrip.contracts.names import months_between
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.lakehouse.snapshot import Snapshot, take_snapshot
from roundtrip.lakehouse.tables import PARTITION_COLUMN, table_uri
from use_cases.flight_eta.declaration import USE_CASE
from use_cases.flight_eta.replay import SOURCE_DATA


def labelled_year(folder: Path, *, last: str = "2013-12") -> pa.Table:
    """Features and label of 2013, to the month `last`, by prediction time and key; the tables they come from are left in `folder`."""
    for month in months_between("2013-01", last):
        landed = folder / "landed" / month
        subprocess.run([PEERS_PYTHON, REPOSITORY / "benchmarks" / "etl" / "landing.py", SOURCE_DATA, month, "1", landed], check=True)
        subprocess.run([PEERS_PYTHON, "-m", "benchmarks.etl.with_duckdb", landed, folder, month], cwd=REPOSITORY, check=True)
    features, flights = (DeltaTable(folder / table).to_pyarrow_table() for table in ("features", "clean_flights"))
    labels = flights.select([*USE_CASE.key, USE_CASE.label]).filter(pc.is_valid(flights[USE_CASE.label]))
    joined = features.join(labels, keys=list(USE_CASE.key), join_type="inner")
    return joined.sort_by([(name, "ascending") for name in (USE_CASE.prediction_time, *USE_CASE.key)])


def months(rows: pa.Table, first: str, last: str) -> pa.Table:
    """The rows of the months from `first` to `last`, `2013-01` say."""
    return rows.filter(pc.is_in(rows["event_month"], pa.array(months_between(first, last))))


def leave_snapshot(folder: Path, rows: pa.Table, *, years: int) -> Snapshot:
    """Leave Delta tables in `folder`, the process's storage root from then on, with the year's rows so many times, and their snapshot."""
    os.environ |= {"ROUNDTRIP_STORAGE_ROOT": folder.as_uri(), "ROUNDTRIP_HOME": str(folder / "home")}
    for year in range(years):
        _write_year(rows, year)
    snapshot = take_snapshot(USE_CASE, f"..{2013 + years - 1}-12")
    snapshot.save(folder.as_uri())
    return snapshot


def _write_year(rows: pa.Table, year: int) -> None:
    """The rows, so many years later, appended to the tables of features and outcomes."""
    later = pa.scalar(year * 365 * 86_400_000_000, pa.duration("us"))
    changed = {
        USE_CASE.prediction_time: pc.add(rows[USE_CASE.prediction_time], later),
        USE_CASE.key[0]: pc.binary_join_element_wise(rows[USE_CASE.key[0]].cast(pa.string()), str(year), "/"),
        PARTITION_COLUMN: pc.binary_join_element_wise(str(2013 + year), pc.utf8_slice_codeunits(rows[PARTITION_COLUMN], 4), ""),
    }
    for name, column in changed.items():
        rows = rows.set_column(rows.column_names.index(name), name, column)
    outcomes = rows.select([*USE_CASE.key, USE_CASE.label, PARTITION_COLUMN])
    for table, content in ((USE_CASE.features_table, rows.drop_columns([USE_CASE.label])), (USE_CASE.outcomes_table, outcomes)):
        uri = table_uri(USE_CASE.name, table).removeprefix("file://")
        write_deltalake(uri, content, partition_by=[PARTITION_COLUMN], mode="append")
