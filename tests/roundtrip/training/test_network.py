from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.contracts.errors import BadRequest
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.use_cases import Output
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.rows import TrainingData, training_data
from tests.roundtrip.training.tiny import TINY, tiny_rows

START, WIND = 0, 1
DATA = training_data(TINY, tiny_rows(), tiny_rows(100, seed=2))


def fitted(data: TrainingData = DATA) -> Network:
    """A network whose head says something, as after training."""
    torch.manual_seed(3)
    network = Network(NetworkShape.of(data.contract, TINY.recipe))
    fit_inputs(network, data)
    torch.nn.init.normal_(network.head.weight)
    return network.eval()


def answer(network: Network, numbers: list[list[float]], categories: list[list[int]]) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.tensor(numbers, dtype=torch.float32), torch.tensor(categories, dtype=torch.int32))


NETWORK = fitted()


@given(st.floats(width=32), st.floats(width=32), st.integers(-(2**31), 2**31 - 1))
def test_quantiles_are_finite_and_never_cross_whatever_comes_in(start: float, wind: float, colour: int) -> None:
    median, low, high = answer(NETWORK, [[start, wind]], [[colour]])[0].tolist()
    assert low <= median <= high
    assert abs(high) < 1e6


def test_an_id_outside_the_vocabulary_counts_as_unknown() -> None:
    unknown = answer(NETWORK, [[5.0, 3.0]], [[0]])
    assert torch.allclose(answer(NETWORK, [[5.0, 3.0]] * 2, [[99], [-1]]), unknown.repeat(2, 1))
    assert not torch.allclose(answer(NETWORK, [[5.0, 3.0]], [[1]]), unknown)


def test_a_missing_number_is_not_the_same_as_its_typical_value() -> None:
    typical = float(NETWORK.typical[WIND])
    assert not torch.allclose(answer(NETWORK, [[5.0, float("nan")]], [[1]]), answer(NETWORK, [[5.0, typical]], [[1]]))


def test_a_number_beyond_what_was_trained_on_moves_nothing_more() -> None:
    assert torch.equal(answer(NETWORK, [[5.0, 40.0]], [[1]]), answer(NETWORK, [[5.0, 4000.0]], [[1]]))


def test_an_untrained_network_predicts_the_baseline() -> None:
    network = Network(NetworkShape.of(DATA.contract, TINY.recipe))
    fit_inputs(network, DATA)
    held_out = DATA.held_out
    with torch.no_grad():
        assert torch.allclose(network(held_out.numbers, held_out.categories)[:, 0], network.baseline(held_out.numbers), atol=1e-4)


def test_gain_and_scale_are_those_of_the_training_rows() -> None:
    correction = DATA.train.labels - DATA.train.numbers[:, START]
    assert float(NETWORK.gain) == pytest.approx(float(correction.median()))
    assert float(NETWORK.scale) == pytest.approx(float((correction - correction.median()).abs().mean()), rel=1e-5)


def test_a_number_that_is_missing_in_every_training_row_still_gives_finite_answers() -> None:
    table = tiny_rows(200)
    empty = table.set_column(table.column_names.index("wind"), "wind", [[None] * 200])
    network = fitted(training_data(TINY, empty, empty))
    assert torch.isfinite(answer(network, [[5.0, float("nan")], [5.0, 3.0]], [[1], [1]])).all()


@pytest.mark.parametrize("quantiles", [[0.5], [0.1, 0.5, 0.9], [0.5, 0.9, 0.1], [0.5, 0.0, 0.9]])
def test_outputs_that_are_no_median_with_an_interval_are_refused(quantiles: list[float]) -> None:
    outputs = tuple(Output(name=f"late_{quantile}", unit="min", quantile=quantile) for quantile in quantiles)
    contract = ModelContract.of(replace(TINY, outputs=outputs), {"colour": []})
    with pytest.raises(BadRequest, match=r"declare 0\.5"):
        NetworkShape.of(contract, TINY.recipe)
