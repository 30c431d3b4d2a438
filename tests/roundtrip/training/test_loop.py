from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.training.loop import Epoch, hidden, pinball_loss, shares
from roundtrip.training.rows import training_data
from roundtrip.training.strategies import STRATEGIES
from tests.roundtrip.training.tiny import TINY, tiny_rows

DATA = training_data(TINY, tiny_rows(1000), tiny_rows(10))
ZERO_1 = STRATEGIES["zero_1"]


def labels_of_epoch(monkeypatch: pytest.MonkeyPatch, *, ranks: int, epoch: int) -> list[list[float]]:
    """Each batch's labels, as all ranks together see them."""
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    taken = []
    for rank in range(ranks):
        monkeypatch.setenv("RANK", str(rank))
        taken.append([share.labels.tolist() for share in shares(DATA, TINY.recipe, ZERO_1, epoch=epoch)])
    return [list(chain(*parts)) for parts in zip(*taken, strict=True)]


def test_the_ranks_share_out_the_batches_that_one_rank_would_see(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, shared = (labels_of_epoch(monkeypatch, ranks=ranks, epoch=1) for ranks in (1, 2))
    assert shared == alone
    assert [len(batch) for batch in alone] == [TINY.recipe.batch_size] * (1000 // TINY.recipe.batch_size)


def test_an_epoch_sees_no_row_twice_and_every_epoch_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, second = (list(chain(*labels_of_epoch(monkeypatch, ranks=2, epoch=epoch))) for epoch in (1, 1, 2))
    assert len(set(first)) == len(first)
    assert again == first
    assert second != first


def test_what_must_be_given_is_never_hidden() -> None:
    rows = hidden(DATA.train, 0.5, torch.tensor([False, True]), torch.Generator().manual_seed(1), of=1000, place=slice(0, 1000))
    assert torch.equal(rows.numbers[:, 0], DATA.train.numbers[:, 0])
    assert 0.5 < rows.numbers[:, 1].isnan().float().mean() < 0.6  # a tenth was missing before
    assert 0.5 < (rows.categories == 0).float().mean() < 0.6


@given(st.lists(st.floats(-100, 100, width=32), min_size=5, max_size=40), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_constant_of_least_pinball_loss_is_the_quantile(labels: list[float], quantile: float) -> None:
    def loss(constant: float) -> float:
        guess = torch.full((len(labels), 1), constant, dtype=torch.float64)
        return float(pinball_loss(guess, torch.tensor(labels, dtype=torch.float64), torch.tensor([quantile])))

    best = float(np.quantile(labels, quantile, method="inverted_cdf"))
    assert all(loss(best) <= loss(other) + 1e-5 for other in [*labels, best - 1, best + 1])


def test_an_epoch_survives_a_checkpoint() -> None:
    epoch = Epoch(number=3, of=8, loss=1.25, held_out_mae=9.5, learning_rate=1e-3, samples_per_second=7e4, useful_seconds=9.5, began_at=1e9)
    assert Epoch.from_state(dict(epoch.__dict__)) == epoch


def test_another_seed_gives_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    first, second = (next(shares(DATA, replace(TINY.recipe, seed=seed), ZERO_1, epoch=1)).labels for seed in (1, 2))
    assert not torch.equal(first, second)
