from dataclasses import replace

import pytest

from roundtrip.contracts.use_cases import UseCase
from roundtrip.training.origin import Origin, differences
from tests.roundtrip.training.tiny import TINY, TINY_SNAPSHOT


def origin(use_case: UseCase = TINY, *, ranks: int = 2) -> Origin:
    """Of a clean checkout."""
    return replace(Origin.here(use_case, TINY_SNAPSHOT, ranks=ranks), code_commit="36f0b9500000")


def test_an_origin_reads_back_and_does_not_differ_from_itself() -> None:
    assert Origin.from_json(origin().to_json()) == origin()
    assert differences(origin(), Origin.from_json(origin().to_json())) == []


STARTS_LATER = replace(TINY.inputs[1], minimum=-30)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (origin(replace(TINY, recipe=replace(TINY.recipe, epochs=8))), ["recipe.epochs: was 6, is 8"]),
        (origin(replace(TINY, recipe=replace(TINY.recipe, hidden=(32,)))), ["recipe.hidden: was [16, 8], is [32]"]),
        (origin(replace(TINY, inputs=(TINY.inputs[0], STARTS_LATER, TINY.inputs[2]))), ["inputs.start.minimum: was -60, is -30"]),
        (origin(ranks=1), ["ranks: was 2, is 1"]),
        (replace(origin(), code_commit="f1fad4c00000"), ["code_commit: was 36f0b9500000, is f1fad4c00000"]),
        (replace(origin(), environment=replace(origin().environment, lock_sha256="00", torch="1.0")), ["torch: was", "lock_sha256: was"]),
    ],
)
def test_each_thing_that_is_not_as_it_was_is_named_with_both_values(now: Origin, told: list[str]) -> None:
    found = differences(origin(), now)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True)), found


def test_an_input_that_is_gone_is_named() -> None:
    assert "inputs.wind.name: was wind, is None" in differences(origin(), origin(replace(TINY, inputs=TINY.inputs[:2], slices=())))


@pytest.mark.parametrize("commit", ["36f0b9500000+", "unknown"])
def test_code_that_no_commit_holds_is_not_taken_for_the_same(commit: str) -> None:
    uncertain = replace(origin(), code_commit=commit)
    assert [line for line in differences(uncertain, uncertain) if "no commit holds" in line]
