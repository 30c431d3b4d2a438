"""The tables of flight_eta's operations, as Roundtrip builds them: `python -m benchmarks.etl.with_roundtrip DEFINITIONS ROOT MONTH`.

One process builds all tables of the month, as the tasks of an ingest do. ROOT is the storage root; prints each table's seconds as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.lakehouse.build import build_table
from roundtrip.lakehouse.session import spark_session
from use_cases.flight_eta.declaration import USE_CASE

FEED = USE_CASE.feed("operations")


def main(definitions: Path, root: str, month: str) -> None:
    os.environ["ROUNDTRIP_STORAGE_ROOT"] = root
    seconds: dict[str, float] = {}
    with spark_session() as spark:
        for table in [table for stage in FEED.stages for table in stage]:
            receipt, started = Receipt("build_table", USE_CASE.name), time.monotonic()
            build_table(spark, USE_CASE, table, month, folder=RunFolder(f"{root}/run"), receipt=receipt, root=definitions)
            seconds[table] = round(time.monotonic() - started, 2)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
