from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from roundtrip.cli.stack.layout import Stack
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt
from roundtrip.lakehouse.build import build_table
from roundtrip.lakehouse.session import spark_session
from tests.roundtrip.lakehouse.trips import TRIPS, new_receipt, run_folder, write_definitions

BuildTrips = Callable[..., Receipt]


@pytest.fixture(scope="module")
def spark(stack: Stack) -> Iterator[SparkSession]:
    """Closed after each module: a job that is tested in this process opens its own, and there may be one at a time only."""
    with spark_session() as session:
        yield session


@pytest.fixture
def build(spark: SparkSession, storage_root: str, tmp_path: Path) -> BuildTrips:
    """`build(table, run=…, partition=…)` builds a table of the trips, and gives its receipt."""
    root = write_definitions(tmp_path / "sql")

    def build_it(table: str = "raw_trips", *, run: str = "1", partition: str = "2013-04", receipt: Receipt | None = None) -> Receipt:
        receipt = receipt or new_receipt()
        build_table(spark, TRIPS, table, partition, folder=run_folder(storage_root, run), receipt=receipt, root=root)
        return receipt

    return build_it


@pytest.fixture
def s3_root(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A storage root on the stack's S3, set as the process's own and emptied afterwards."""
    root = f"{stack.storage_root}/tests/{tmp_path.parent.name}/{tmp_path.name}"
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", root)
    yield root
    for found in list(storage.list_objects(f"{root}/")):
        storage.delete(found.uri)
