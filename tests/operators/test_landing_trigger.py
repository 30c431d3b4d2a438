import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import pytest
from airflow.triggers.base import TriggerEvent

from operators.landing_trigger import LandingMarkerTrigger
from roundtrip.contracts import storage


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", f"file://{tmp_path}")
    return f"file://{tmp_path}/landing/flight_eta/operations"


def trigger() -> LandingMarkerTrigger:
    return LandingMarkerTrigger(use_case="flight_eta", feed="operations", look_again_s=0.02)


def land(landing: str, partition: str) -> None:
    storage.write_bytes(storage.join(landing, partition, "flights.csv"), b"a,b\n")
    storage.write_bytes(storage.join(landing, partition, "_READY"), b"")


async def partition_of_next(events: AsyncIterator[TriggerEvent], *, within_s: float = 2) -> str:
    event = await asyncio.wait_for(anext(events), within_s)
    return str(event.payload["partition"])


def test_every_marker_fires_once(landing: str) -> None:
    async def watch() -> None:
        events = trigger().run()
        land(landing, "2013-01")
        land(landing, "2013-02")
        assert [await partition_of_next(events), await partition_of_next(events)] == ["2013-01", "2013-02"]
        with pytest.raises(TimeoutError):
            await partition_of_next(events, within_s=0.2)

    asyncio.run(watch())


def test_a_partition_that_lands_again_after_it_was_claimed_fires_again(landing: str) -> None:
    async def watch() -> None:
        events = trigger().run()
        land(landing, "2013-01")
        await partition_of_next(events)
        storage.delete(storage.join(landing, "2013-01", "_READY"))
        waiting = asyncio.create_task(partition_of_next(events))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        land(landing, "2013-01")
        assert await waiting == "2013-01"

    asyncio.run(watch())


def test_files_without_a_marker_are_still_being_written(landing: str) -> None:
    storage.write_bytes(storage.join(landing, "2013-01", "flights.csv"), b"a,b\n")
    storage.write_bytes(storage.join(landing, "2013-02", "_TAKEN"), b"")
    assert trigger().markers() == set()


def test_a_storage_that_is_away_is_looked_for_again(landing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch() -> None:
        monkeypatch.delenv("ROUNDTRIP_STORAGE_ROOT")
        waiting = asyncio.create_task(partition_of_next(trigger().run()))
        await asyncio.sleep(0.1)
        monkeypatch.setenv("ROUNDTRIP_STORAGE_ROOT", landing.removesuffix("/landing/flight_eta/operations"))
        land(landing, "2013-01")
        assert await waiting == "2013-01"

    asyncio.run(watch())


def test_the_triggerer_can_make_it_again_from_what_is_stored() -> None:
    path, arguments = trigger().serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**arguments)
    assert again.serialize() == trigger().serialize()
