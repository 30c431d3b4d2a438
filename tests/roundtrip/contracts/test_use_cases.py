from dataclasses import replace

import pytest

from roundtrip.contracts.errors import BadDeclaration
from roundtrip.contracts.use_cases import Between, Gate, OneOf, Recipe, Slice, UseCase
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


@pytest.mark.parametrize(("search", "message"), [
    ((Between(field="momentum", low=0, high=1),), "'momentum': tuning can't vary such a field: name one of hidden, "),
    ((Between(field="seed", low=1, high=9),), "'seed': tuning can't vary such a field"),
    ((Between(field="epochs", low=4, high=8), OneOf(field="epochs", choices=(4, 6))), "'epochs': declared 2 times"),
    ((Between(field="hidden", low=8, high=16),), "'hidden': it is no number: use OneOf"),
    ((Between(field="learning_rate", low=0.01, high=0.001),), "low 0.01 is not below high 0.001"),
    ((Between(field="weight_decay", low=0.0, high=0.1, log=True),), "low is 0.0, whose logarithm is no number"),
    ((Between(field="epochs", low=4.0, high=8.5),), "it is a whole number, and 4.0 to 8.5 are not"),
    ((Between(field="epochs", low=8, high=12),), "the declared recipe's 6 is not within 8 to 12"),
    ((Between(field="input_dropout", low=0.0, high=1.0),), r"the recipe refuses 1.0 \(recipe: input_dropout is 1.0"),
    ((OneOf(field="batch_size", choices=(128, 0)),), r"the recipe refuses 0 \(recipe: batch_size is 0"),
    ((OneOf(field="hidden", choices=((16, 8), 16)),), r"a choice of \(\(16, 8\), 16\) is not of the kind"),
    ((OneOf(field="batch_size", choices=(128, 128)),), "are not two different ones at least"),
    ((OneOf(field="batch_size", choices=(64, 256)),), r"the declared recipe's 128 is none of the choices \(64, 256\)"),
])  # fmt: skip
def test_a_search_that_the_recipe_can_t_follow_is_refused_with_the_remedy(search: tuple[Between | OneOf, ...], message: str) -> None:
    with pytest.raises(BadDeclaration, match=message):
        replace(TINY, search=search)


@pytest.mark.parametrize("values", [
    {"hidden": ()}, {"hidden": (16, 0)}, {"epochs": 0}, {"batch_size": 12.5}, {"input_dropout": 1.0}, {"learning_rate": 0.0},
    {"weight_decay": -1e-4},
])  # fmt: skip
def test_a_recipe_that_nothing_can_be_trained_with_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(BadDeclaration, match=f"recipe: .*{next(iter(values)).partition('_')[0]}"):
        Recipe(**values)  # type: ignore[arg-type]


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
