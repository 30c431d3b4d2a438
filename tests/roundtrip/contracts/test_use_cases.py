from dataclasses import replace

import pytest

from roundtrip.contracts.errors import BadDeclaration
from roundtrip.contracts.use_cases import Gate, Slice, UseCase
from tests.roundtrip.training.tiny import TINY
from use_cases import declared_use_cases


@pytest.mark.parametrize(("slices", "message"), [
    ((Slice(input="hue"),), "slice 'hue': no input has that name"),
    ((Slice(input="colour"), Slice(input="colour")), "slice 'colour': declared 2 times"),
    ((Slice(input="colour", bands=(1, 2)),), r"bands \(1, 2\), and a category is sliced by its values"),
    ((Slice(input="wind"),), "slice 'wind': it has no bands"),
    ((Slice(input="wind", bands=(10, 10)),), r"its bands \(10, 10\) don't rise"),
    ((Slice(input="wind", bands=(20, 10)),), r"its bands \(20, 10\) don't rise"),
])  # fmt: skip
def test_a_slice_that_fits_no_input_is_refused_with_the_remedy(slices: tuple[Slice, ...], message: str) -> None:
    with pytest.raises(BadDeclaration, match=f"use case tiny, {message}" if message.startswith("slice") else message):
        replace(TINY, slices=slices)


@pytest.mark.parametrize(("limits", "message"), [
    ({"minimum_skill": -0.01}, r"minimum_skill is -0.01 \(0 at least\)"),
    ({"champion_margin": -0.02}, "champion_margin is -0.02"),
    ({"champion_margin": 0.1, "slice_margin": 0.05}, "slice_margin 0.05"),
])  # fmt: skip
def test_a_gate_that_would_let_a_worse_candidate_pass_is_refused(limits: dict[str, float], message: str) -> None:
    with pytest.raises(BadDeclaration, match=message):
        Gate(**limits)  # type: ignore[arg-type]


def test_the_nominal_coverage_is_what_lies_between_the_outer_quantiles() -> None:
    assert TINY.nominal_coverage == pytest.approx(0.8)


@pytest.mark.parametrize("use_case", declared_use_cases(), ids=lambda use_case: use_case.name)
def test_every_use_case_says_what_it_is_for_and_what_not(use_case: UseCase) -> None:
    assert use_case.intended_use, f"{use_case.name}: say what its predictions are for: a section of its model cards"
    assert use_case.limits, f"{use_case.name}: say what its predictions must not be used for"
