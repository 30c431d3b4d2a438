import asyncio

import pytest
from airflow.triggers.callback import CallbackTrigger

from operators.deadlines import warn_of_missed_deadline


def test_the_triggerer_can_call_it_and_keeps_which_run_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_AIRFLOW_URL", "http://airflow")

    async def events() -> list[dict[str, str]]:
        path = f"{warn_of_missed_deadline.__module__}.{warn_of_missed_deadline.__qualname__}"
        context = {"dag_run": {"dag_id": "flight_eta.ingest", "dag_run_id": "r1"}}
        return [event.payload async for event in CallbackTrigger(path, {"context": context}).run()]

    last = asyncio.run(events())[-1]
    assert last["state"] == "success"
    assert last["body"] == "flight_eta.ingest is later than its deadline: see which task of run r1 is still at work."
