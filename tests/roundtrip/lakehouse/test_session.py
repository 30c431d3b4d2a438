import pytest

from roundtrip.contracts.errors import ServiceUnavailable
from roundtrip.lakehouse.session import spark_session


def test_a_server_that_is_away_is_named_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://localhost:1")
    with pytest.raises(ServiceUnavailable, match="roundtrip status"), spark_session() as session:
        session.range(1).count()
