"""Which version serves changes by compare-and-swap, and every change is on record."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.contracts.errors import ReleaseConflict, ServiceUnavailable
from roundtrip.serving.release import Release, ReleasedVersion, change, history, live_version, read_release


def version(number: str) -> ReleasedVersion:
    return ReleasedVersion(version=number, digest=number * 64, triton_model="tiny-0123abcd")


def go_live(use_case_name: str, number: str) -> Release:
    release = read_release(use_case_name)
    staged = change(
        release.staged(version(number)), expected_generation=release.generation, stage="staged", about=version(number), why="test"
    )
    return change(staged.promoted(), expected_generation=staged.generation, stage="live", about=version(number), why="test")


@pytest.mark.stack
def test_nothing_is_live_before_the_first_release(release_schema: str) -> None:
    assert live_version("tiny") is None
    assert read_release("tiny") == Release(use_case="tiny")


@pytest.mark.stack
def test_a_promoted_version_is_live_and_the_one_before_is_kept(release_schema: str) -> None:
    go_live("tiny", "1")
    go_live("tiny", "2")
    release = read_release("tiny")
    assert (release.live, release.previous, release.candidate) == (version("2"), version("1"), None)
    assert release.generation == 4


@pytest.mark.stack
def test_a_rolled_back_live_version_gives_way_to_the_one_before(release_schema: str) -> None:
    go_live("tiny", "1")
    release = go_live("tiny", "2")
    change(release.without("2"), expected_generation=release.generation, stage="rolled back", about=version("2"), why="test")
    assert live_version("tiny") == "1"


@pytest.mark.stack
def test_history_says_who_did_what_when_and_why(release_schema: str) -> None:
    go_live("tiny", "1")
    entries = history("tiny")
    assert [(entry.generation, entry.stage, entry.version, entry.digest, entry.why) for entry in entries] == [
        (1, "staged", "1", "1" * 64, "test"),
        (2, "live", "1", "1" * 64, "test"),
    ]
    assert all("@" in entry.who for entry in entries)
    assert entries[0].at <= entries[1].at


@pytest.mark.stack
@pytest.mark.parametrize("already_released", [False, True])
def test_of_two_that_change_the_same_generation_one_wins_and_the_other_is_told(release_schema: str, already_released: bool) -> None:
    before = go_live("tiny", "1") if already_released else read_release("tiny")
    outcomes: list[str] = []
    together = threading.Barrier(8)

    def stage(number: str) -> None:
        together.wait()
        try:
            change(before.staged(version(number)), expected_generation=before.generation, stage="staged", about=version(number), why="test")
            outcomes.append(number)
        except ReleaseConflict as conflict:
            assert f"generation {before.generation}" in str(conflict)

    threads = [threading.Thread(target=stage, args=(str(number),)) for number in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = outcomes
    assert read_release("tiny").candidate == version(winner)
    assert len(history("tiny")) == before.generation + 1


@pytest.mark.usefixtures("home")
def test_a_database_that_is_away_is_named_and_worth_a_retry() -> None:
    with pytest.raises(ServiceUnavailable, match="PostgreSQL does not answer"):
        read_release("tiny")


documents = st.builds(
    Release,
    use_case=st.just("tiny"),
    generation=st.integers(1, 9),
    live=st.none() | st.just(version("1")),
    previous=st.none() | st.just(version("2")),
    candidate=st.none() | st.just(version("3")),
)


@given(documents)
def test_a_document_survives_its_json(release: Release) -> None:
    assert Release.from_row(release.use_case, release.generation, release.to_document()) == release  # type: ignore[arg-type]


@given(documents)
def test_rolling_back_what_was_just_promoted_restores_who_serves(release: Release) -> None:
    promoted = release.staged(version("4")).promoted()
    assert promoted.without("4").live == release.live


@given(documents)
def test_rolling_back_a_version_that_is_not_in_the_document_changes_nothing(release: Release) -> None:
    assert release.without("7") == release
