"""A use case of two numbers and a category, and rows of it that can be learned."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from roundtrip.contracts.use_cases import Baseline, Input, Output, Recipe, Slice, UseCase
from roundtrip.lakehouse.snapshot import Snapshot

TINY = UseCase(
    name="tiny",
    title="Tiny",
    owner="tests",
    description="Minutes late, from minutes late at the start, the wind and a colour.",
    feeds=(),
    features_table="features",
    outcomes_table="outcomes",
    predictions_table="predictions",
    key=("row",),
    label="late",
    inputs=(
        Input(name="colour", kind="category", unit="name", meaning="colour"),
        Input(name="start", kind="number", unit="min", meaning="late at the start", minimum=-60, maximum=600, optional=False),
        Input(name="wind", kind="number", unit="mph", meaning="wind"),
    ),
    outputs=(
        Output(name="late", unit="min", quantile=0.5),
        Output(name="late_p10", unit="min", quantile=0.1),
        Output(name="late_p90", unit="min", quantile=0.9),
    ),
    baseline=Baseline(column="start", meaning="start + median gain"),
    slices=(Slice(input="colour"), Slice(input="wind", bands=(10, 20))),
    prediction_time="at",
    recipe=Recipe(hidden=(16, 8), embedding_width=2, number_bins=4, epochs=6, batch_size=128, largest_gradient=0.2),
)


TINY_SNAPSHOT = Snapshot(
    use_case="tiny",
    partitions=("2013-01",),
    features_version=3,
    outcomes_version=4,
    rows=2000,
    held_out_from="2013-01-10T00:00:00+00:00",
    features_rows=2100,
    outcomes_rows=2050,
    content_sha256="ab" * 32,
)


def tiny_rows(rows: int = 2000, seed: int = 1) -> pa.Table:
    """Late is start − 5, plus 10 for red, plus the wind, plus noise; a tenth of the winds and colours are missing."""
    generator = np.random.default_rng(seed)
    colour = generator.choice(["blue", "red"], size=rows)
    start, wind = generator.normal(0, 20, rows), generator.uniform(0, 30, rows)
    late = start - 5 + 10 * (colour == "red") + wind + generator.normal(0, 3, rows)
    hidden = generator.random((2, rows)) < 0.1
    return pa.table({
        "row": [str(number) for number in range(rows)],
        "colour": pa.array(colour, mask=hidden[0]),
        "start": pa.array(start),
        "wind": pa.array(wind, mask=hidden[1]),
        "late": pa.array(late),
        "at": pa.array(np.datetime64("2013-01-01T00:00") + np.arange(rows) * np.timedelta64(600, "s"), type=pa.timestamp("us")),
    })  # fmt: skip
