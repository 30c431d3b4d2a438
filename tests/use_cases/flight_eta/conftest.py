from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from roundtrip.cli.stack.layout import Stack
from roundtrip.lakehouse.session import spark_session


@pytest.fixture(scope="module")
def spark(stack: Stack) -> Iterator[SparkSession]:
    """Closed after each module: a job that is tested in this process opens its own, and there may be one at a time only."""
    with spark_session() as session:
        yield session
