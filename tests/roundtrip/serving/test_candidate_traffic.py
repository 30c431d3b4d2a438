"""What a gateway counts of a candidate, and tells: at the newest generation of the document only, whatever else is still on its way."""

from __future__ import annotations

import json

import numpy as np

from roundtrip.serving.gateway.candidate_traffic import Tally
from roundtrip.serving.release import Release

ANSWER = np.ones((1, 3), dtype=np.float32)


def release(generation: int) -> Release:
    return Release(use_case="tiny", generation=generation)


def told(tally: Tally) -> list[tuple[str, int, int]]:
    """Use case, generation and the candidate's requests of each row."""
    return [(use_case, generation, json.loads(candidate)["requests"]) for use_case, generation, _, candidate, _ in tally.rows()]


def test_a_request_from_before_a_change_of_the_document_changes_no_count() -> None:
    tally, before, after = Tally(), release(7), release(8)
    tally.follow({"tiny": 7})
    tally.of(before).candidate.answered(ANSWER, 0.01)
    assert told(tally) == [("tiny", 7, 1)]
    tally.follow({"tiny": 8})
    assert told(tally) == []
    tally.of(before).candidate.answered(ANSWER, 0.01)
    assert told(tally) == []
    tally.of(after).candidate.answered(ANSWER, 0.01)
    tally.of(before).candidate.answered(ANSWER, 0.01)
    tally.of(after).candidate.answered(ANSWER, 0.01)
    assert told(tally) == [("tiny", 8, 2)]


def test_a_document_that_begins_anew_is_counted_from_nothing() -> None:
    tally = Tally()
    for generation in (7, 1):
        tally.follow({"tiny": generation})
        tally.of(release(generation)).candidate.answered(ANSWER, 0.01)
        assert told(tally) == [("tiny", generation, 1)]
