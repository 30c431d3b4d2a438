from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from roundtrip.cli.stack.layout import Stack
from roundtrip.lakehouse.session import spark_session


@pytest.fixture(scope="session")
def spark(stack: Stack) -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session
