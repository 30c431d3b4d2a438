"""A compiled model that answers otherwise than the trained one is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roundtrip.contracts.errors import ParityFailed
from roundtrip.serving.parity import TOLERANCE, adversarial_rows, check_parity, compare
from roundtrip.serving.scoring import Scorer
from roundtrip.serving.tensors import Predictions, Tensors
from tests.roundtrip.serving.tiny_version import ROW, tiny_contract, tiny_network

REAL = {name: [value, None] for name, value in ROW.items()}


def test_the_exported_graph_answers_as_its_network_even_at_the_edges(built_versions: dict[str, Path]) -> None:
    scorer = Scorer(built_versions["1"])
    parity = check_parity(tiny_network(scorer.contract, seed=1), scorer.contract, scorer.answer, REAL)
    assert parity.rows == 2 + len(adversarial_rows(scorer.contract)["carrier"])
    assert parity.max_abs < TOLERANCE


def test_another_networks_graph_is_refused(built_versions: dict[str, Path]) -> None:
    scorer = Scorer(built_versions["2"])
    with pytest.raises(ParityFailed, match="rows differ by more than"):
        check_parity(tiny_network(scorer.contract, seed=1), scorer.contract, scorer.answer, REAL)


def test_a_model_that_is_right_on_real_rows_and_wrong_on_unknown_categories_is_refused(built_versions: dict[str, Path]) -> None:
    scorer = Scorer(built_versions["1"])

    def forgets_unknown_categories(tensors: Tensors) -> Predictions:
        return scorer.answer(tensors | {"categories": np.maximum(tensors["categories"], 1).astype(np.int32)})

    with pytest.raises(ParityFailed):
        check_parity(
            tiny_network(scorer.contract, seed=1), scorer.contract, forgets_unknown_categories, {"delay_minutes": [3.0], "carrier": ["AA"]}
        )


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1 + 2 * TOLERANCE])
def test_one_wrong_number_is_enough_and_its_row_is_named(answer: float) -> None:
    expected = np.ones((3, 2), dtype=np.float32)
    found = expected.copy()
    found[2, 1] = answer
    with pytest.raises(ParityFailed, match=r"1 of 3 rows.*output 1 of row 2.*'x': 'c'"):
        compare(expected, found, {"x": ["a", "b", "c"]})


def test_adversarial_rows_hold_missing_unknown_and_extreme_values() -> None:
    rows = adversarial_rows(tiny_contract())
    assert all(None in column for column in rows.values())
    assert "no such value" in rows["carrier"]
    assert {-1e9, 1e9, -60, 1500} <= set(rows["delay_minutes"])
