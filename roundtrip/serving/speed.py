"""How long engines take for a batch, measured one after the other on the same rows: the receipt's table, and TensorRT's entrance test."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from roundtrip.serving.parity import Answer
from roundtrip.serving.tensors import Tensors

ROWS = (1, 32, 1024)
"""Rows of a batch: a lone request, what the gateway stacks under load, the largest."""
ROUNDS = 15


@dataclass(frozen=True)
class Timing:
    """One engine and one batch."""

    engine: str
    rows: int
    milliseconds: float
    """Median of ROUNDS calls."""


def timings(engines: dict[str, Answer], tensors: Tensors) -> list[Timing]:
    """Every engine on the first of these rows, repeated as often as a batch needs; the engines take turns in each round."""
    found = []
    for rows in ROWS:
        batch: Tensors = {name: array[np.arange(rows) % len(array)] for name, array in tensors.items()}
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(ROUNDS):
            for name, answer in engines.items():
                started = time.perf_counter()
                answer(batch)
                seconds[name].append(time.perf_counter() - started)
        found += [Timing(name, rows, round(median(taken) * 1e3, 3)) for name, taken in seconds.items()]
    return found
