"""The yardstick: boosted trees (LightGBM: Ke et al., NeurIPS 2017) on the candidate's rows, inputs and vocabulary. It never serves.

On tables trees are the model to beat (Grinsztajn et al., NeurIPS 2022): a network that stays behind them has not earned what it costs.
Like the network they learn the correction to the baseline's column, because a tree can't follow a number beyond its training range.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch  # noqa: F401 - before lightgbm, which needs libgomp.so.1: torch brings its own, a slim Debian has none (apt install libgomp1)
from numpy.typing import NDArray

from roundtrip.contracts.absent import absent
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.training.rows import Rows

with absent("sklearn"):  # LightGBM has classes for it, which nothing here uses, and imports it where it finds it: 1 CPU s
    from lightgbm import Dataset, train


@dataclass(frozen=True, kw_only=True)
class TreeRecipe:
    """How the trees are grown. Fixed: a yardstick that is tuned on what it measures is none, so nothing stops early either."""

    rounds: int = 400
    """Trees."""
    learning_rate: float = 0.05
    """Share of each tree's answer that is added."""
    leaves: int = 63
    """Leaves of a tree at most."""
    rows_in_leaf: int = 100
    """Training rows in a leaf at least: a median of fewer is mostly noise."""
    input_share: float = 0.7
    """Share of the inputs that a tree may use, drawn anew for each."""
    threads: int = 1
    """Several wait for each other, spinning, at every node: beside other work on two cores (load 8), 100 trees on 15,000 rows took two of
    them 65 s and one of them 2.4 s. Fixed, since their number also decides on the order of sums."""
    seed: int = 1
    """Of the drawn inputs."""


TREES = TreeRecipe()


@dataclass(frozen=True, kw_only=True)
class TreesAnswer:
    """What the yardstick says of the held-out rows."""

    median: NDArray[np.float64]
    """[n], in the label's unit."""
    seconds: float
    """Of growing the trees and asking them."""


def trees_answer(contract: ModelContract, learned: Rows, held_out: Rows, recipe: TreeRecipe = TREES) -> TreesAnswer:
    """Grow trees for the median (L1) on `learned`, and ask them about `held_out`. Both encoded by `contract`; the same in, the same out."""
    started = time.monotonic()
    known, asked = (_table(rows) for rows in (learned, held_out))
    place = [entry.name for entry in contract.numbers].index(contract.baseline_column)
    categories = list(range(len(contract.numbers), known.shape[1]))
    correction = learned.labels.numpy() - known[:, place]
    grown = train(_parameters(recipe), Dataset(known, correction, categorical_feature=categories), num_boost_round=recipe.rounds)
    median = asked[:, place].astype(np.float64) + np.asarray(grown.predict(asked, num_threads=recipe.threads))
    return TreesAnswer(median=median, seconds=round(time.monotonic() - started, 3))


def _table(rows: Rows) -> NDArray[np.float32]:
    """[n, N + C]: numbers, NaN where missing, then vocabulary ids."""
    return np.concatenate([rows.numbers.numpy(), rows.categories.numpy().astype(np.float32)], axis=1)


def _parameters(recipe: TreeRecipe) -> dict[str, object]:
    """In LightGBM's words."""
    return {
        "objective": "l1",
        "learning_rate": recipe.learning_rate,
        "num_leaves": recipe.leaves,
        "min_data_in_leaf": recipe.rows_in_leaf,
        "feature_fraction": recipe.input_share,
        "num_threads": recipe.threads,
        "seed": recipe.seed,
        "deterministic": True,
        "force_row_wise": True,  # else LightGBM times both ways and takes the faster: not the same each time
        "verbosity": -1,
    }
