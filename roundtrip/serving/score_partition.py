"""Batch scoring: the live version's predictions for a partition, as rows of the predictions table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from roundtrip.contracts.use_cases import UseCase
from roundtrip.serving.real_rows import input_columns
from roundtrip.serving.scoring import Scorer

MODEL_VERSION = "model_version"


def predicted_rows(use_case: UseCase, features: pa.Table, scorer: Scorer, *, version: str, partition: str) -> pa.Table:
    """features [n rows] → key columns, outputs (double), model_version and event_month, in the features' order."""
    predictions = scorer.predict(input_columns(features, scorer.contract)).astype(np.float64)
    columns = {name: features.column(name) for name in use_case.key}
    columns |= {output.name: pa.array(predictions[:, place]) for place, output in enumerate(use_case.outputs)}
    columns |= {MODEL_VERSION: pa.array([version] * len(features)), "event_month": pa.array([partition] * len(features))}
    return pa.table(columns)
