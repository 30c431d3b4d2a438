"""Evidently's drift report on a sample of inputs and predictions, as one HTML file a browser opens without a network.

The one place that imports Evidently, and late: the import costs 4 to 11 CPU seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from roundtrip.contracts.use_cases import Input

DRIFT_LIMIT = 0.25
"""PSI from which the report calls a column drifted, as the literature does. The verdict goes by limits of its own (inputs.py)."""
SAMPLE_ROWS = 3000
"""Rows drawn from either side: the report's plots don't gain from more, and its size and seconds grow with them."""


def drift_report(columns: Sequence[Input], *, reference: pa.Table, current: pa.Table) -> bytes:
    """HTML (about 5 MB, everything inline) on these columns, of up to SAMPLE_ROWS rows of either table.

    Columns without a single value on one side are left out: Evidently refuses them, and the receipt says that they are empty.
    """
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    frames = [_sampled_frame(table, columns) for table in (reference, current)]
    used = [entry for entry in columns if all(frame[entry.name].notna().any() for frame in frames)]
    definition = DataDefinition(
        numerical_columns=[entry.name for entry in used if entry.kind == "number"],
        categorical_columns=[entry.name for entry in used if entry.kind == "category"],
    )
    datasets = [Dataset.from_pandas(frame[[entry.name for entry in used]], data_definition=definition) for frame in frames]
    preset = DataDriftPreset(num_method="psi", cat_method="psi", num_threshold=DRIFT_LIMIT, cat_threshold=DRIFT_LIMIT)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # correlations of constant columns
        snapshot = Report([preset]).run(datasets[1], datasets[0])
    return snapshot.get_html_str(as_iframe=False).encode()


def _sampled_frame(table: pa.Table, columns: Sequence[Input]) -> pd.DataFrame:
    chosen = np.random.default_rng(seed=1).permutation(table.num_rows)[:SAMPLE_ROWS]
    frame = table.select([entry.name for entry in columns]).take(np.sort(chosen)).to_pandas()
    numbers = {entry.name: np.float64 for entry in columns if entry.kind == "number"}
    return frame.astype(numbers)
