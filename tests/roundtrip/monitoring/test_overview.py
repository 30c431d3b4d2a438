"""What serves, told from the history of the release document; and a page that is there when a service is away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from roundtrip.monitoring import overview
from roundtrip.monitoring.overview import live_changes, overview_of, summaries_of
from roundtrip.serving.release import HistoryEntry
from use_cases import use_case_named

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FLIGHT_ETA = use_case_named("flight_eta")


def history(*changes: str) -> list[HistoryEntry]:
    """Entries of `stage version`."""
    parts = [change.rpartition(" ") for change in changes]
    return [HistoryEntry(place, stage, version, "d", "who", "why", NOW) for place, (stage, _, version) in enumerate(parts, 1)]


@pytest.mark.parametrize(
    ("changes", "live"),
    [
        ((), []),
        (("staged 1", "live 1", "staged 2", "canary 2"), ["1"]),
        (("live 1", "staged 2", "rolled back 2", "live 3"), ["1", "3"]),
        (("live 1", "live 2", "rolled back 2", "live 3"), ["1", "2", "1", "3"]),
        (("live 1", "rolled back 1", "live 2"), ["1", None, "2"]),
        (("live 1", "live 1"), ["1"]),
    ],
)
def test_what_served_is_told_from_promotions_and_rollbacks_of_what_was_live(changes: tuple[str, ...], live: list[str | None]) -> None:
    assert [change.live for change in live_changes(history(*changes))] == live


def test_a_page_without_postgresql_shows_the_rest_and_says_so(storage_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    found = overview_of(FLIGHT_ETA, now=NOW)
    assert (found.release, found.changes) == (None, ())
    assert [sentence.partition(":")[0] for sentence in found.unknown] == ["Which version is live", "Earlier releases"]
    assert "PostgreSQL does not answer" in found.unknown[0]
    assert len(found.tables) == 11


def test_a_page_does_without_what_its_store_keeps_it_waiting_for(storage_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setattr(overview, "PATIENCE_S", 0.0)
    assert "no answer within 0 s" in " ".join(overview_of(FLIGHT_ETA, now=NOW).unknown)


def test_the_index_reads_ten_use_cases_and_none(storage_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTRIP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert summaries_of([]) == []
    assert [(found.newest, found.release, len(found.unknown)) for found in summaries_of([FLIGHT_ETA] * 10)] == [(None, None, 1)] * 10
