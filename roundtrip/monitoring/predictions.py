"""Drift of what the model answers: its predictions for a partition against its predictions for the rows it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from roundtrip.monitoring.effect_size import Drift, number_drift


@dataclass(frozen=True, kw_only=True)
class PredictionDrift:
    """Drift of the median prediction, and its means (in the unit of the output)."""

    drift: Drift
    mean: float | None
    reference_mean: float | None


def prediction_drift(reference: NDArray[np.float32], current: NDArray[np.float32]) -> PredictionDrift:
    """Drift of median predictions, float32 [m] of the reference rows and float32 [n] of the partition."""
    return PredictionDrift(
        drift=number_drift(pa.chunked_array([pa.array(reference)]), pa.chunked_array([pa.array(current)])),
        mean=_mean(current),
        reference_mean=_mean(reference),
    )


def _mean(values: NDArray[np.float32]) -> float | None:
    return round(float(values.mean(dtype=np.float64)), 4) if len(values) else None
