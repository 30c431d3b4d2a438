"""The labelled rows of flight_eta's year, as a snapshot gives them: the ETL bench's DuckDB builds the features, in some twenty seconds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from benchmarks.etl.run import PEERS_PYTHON
from roundtrip.contracts.names import months_between
from roundtrip.contracts.settings import REPOSITORY
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
