"""What a partition is compared with: the rows that a model version was trained on, and how good the version was when it was released.

Both come with the version folder (`snapshot.json`, `evaluation.json`, digest-checked), so they outlive the train run's folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from roundtrip.contracts.receipts import EVALUATION_FILE, SNAPSHOT_FILE, TableVersion
from roundtrip.contracts.use_cases import UseCase
from roundtrip.evaluation.skill import Skill
from roundtrip.lakehouse.joined import BATCH_ROWS
from roundtrip.lakehouse.snapshot import Snapshot, batches_to_train_on, load_rows
from roundtrip.lakehouse.tables import table_uri
from roundtrip.monitoring.profile import Batches
from roundtrip.registry.version_folder import fetch

ROWS_IN_MEMORY = 500_000
"""Training rows that are kept between the passes over them: 30 columns take 120 MB."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A model version as drift is measured against it."""

    version: str
    folder: Path
    """Its verified version folder."""
    batches: Batches
    """Training rows, features and label, without the held-out span: read anew at each call where they are many."""
    baseline_gain: float
    """Median of label − baseline column on them, in the label's unit."""
    at_release: Skill
    """Skill on the held-out span, when it was evaluated."""
    tables: tuple[TableVersion, ...]
    """The pinned tables, for the receipt."""


def load_reference(use_case: UseCase, version: str) -> Reference:
    """The reference of a version. Raises DigestMismatch, SnapshotUnusable, FileNotFoundError for a version that is not there."""
    folder = fetch(use_case.name, version)
    snapshot = Snapshot.from_json((folder / SNAPSHOT_FILE).read_bytes())
    batches = training_batches(use_case, snapshot)
    gains = [pc.subtract(batch.column(use_case.label), batch.column(use_case.baseline.column)) for batch in batches()]
    gain = pa.chunked_array(gains)
    pinned = {use_case.features_table: snapshot.features_version, use_case.outcomes_table: snapshot.outcomes_version}
    return Reference(
        version=version,
        folder=folder,
        batches=batches,
        baseline_gain=float(pc.quantile(gain, 0.5)[0].as_py()),
        at_release=_skill_at_release(folder / EVALUATION_FILE),
        tables=tuple(TableVersion(table, table_uri(use_case.name, table), pin, len(gain)) for table, pin in pinned.items()),
    )


def training_batches(use_case: UseCase, snapshot: Snapshot) -> Batches:
    """The snapshot's rows to train on. Up to ROWS_IN_MEMORY are read once and kept, more are read anew each time."""
    if snapshot.rows <= ROWS_IN_MEMORY:
        kept = load_rows(use_case, snapshot).train
        return lambda: kept.to_batches(max_chunksize=BATCH_ROWS)
    return lambda: batches_to_train_on(use_case, snapshot)


def trained_through(use_case_name: str, version: str) -> str:
    """The last partition in the version's snapshot."""
    return max(Snapshot.from_json((fetch(use_case_name, version) / SNAPSHOT_FILE).read_bytes()).partitions)


def _skill_at_release(evaluation: Path) -> Skill:
    candidate = json.loads(evaluation.read_bytes())["candidate"]
    return Skill(value=candidate["skill"], low=candidate["skill_low"], high=candidate["skill_high"])
