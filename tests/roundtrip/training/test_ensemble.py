from pathlib import Path

import torch

from roundtrip.training.ensemble import Ensemble
from roundtrip.training.fit_inputs import fit_inputs
from roundtrip.training.network import Network, NetworkShape
from roundtrip.training.rows import training_data
from tests.roundtrip.training.tiny import TINY, tiny_rows

DATA = training_data(TINY, tiny_rows(), tiny_rows(50, seed=2))
ROWS = DATA.held_out.numbers, DATA.held_out.categories


def network(seed: int) -> Network:
    """With weights that were drawn, not learned: the head's too, so that it says something else than the baseline."""
    torch.manual_seed(seed)
    drawn = Network(NetworkShape.of(DATA.contract, TINY.recipe))
    fit_inputs(drawn, DATA)
    torch.nn.init.normal_(drawn.head.weight)
    return drawn.eval()


def test_an_ensemble_answers_with_the_mean_and_its_quantiles_do_not_cross() -> None:
    first, second = network(1), network(2)
    with torch.no_grad():
        mean, answers = Ensemble([first, second])(*ROWS), (first(*ROWS), second(*ROWS))
    assert not torch.allclose(*answers)
    assert torch.allclose(mean, (answers[0] + answers[1]) / 2)
    assert (mean[:, 1] < mean[:, 0]).all() and (mean[:, 0] < mean[:, 2]).all()


def test_an_ensemble_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    for networks in ([network(1)], [network(1), network(2)]):
        ensemble = Ensemble(networks)
        ensemble.save(tmp_path)
        with torch.no_grad():
            assert torch.equal(Ensemble.load(tmp_path)(*ROWS), ensemble(*ROWS))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["network.json", "weights.safetensors"]
