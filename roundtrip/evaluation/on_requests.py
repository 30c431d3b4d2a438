"""A candidate beside the live version on real requests, once their outcomes have come: who was nearer, on the rows that callers sent?

The gate compared the two on rows of the features table. The prediction log has what callers sent instead: the rows that they ask about, as
they compute them, up to now. What a version says of a row does not depend on when it is asked, so both are asked here, about requests from
before the shadow too. Rows that either version learned from count for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from numpy.typing import NDArray

from roundtrip.contracts.columns import day_numbers
from roundtrip.contracts.errors import TableMissing
from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.receipts import SNAPSHOT_FILE, Figure
from roundtrip.contracts.use_cases import Gate, UseCase
from roundtrip.evaluation.skill import Excess, excess_with_interval
from roundtrip.lakehouse.joined import Side, joined_rows
from roundtrip.lakehouse.logged_requests import INPUTS, KEY, TABLE, inputs_sent, keyed_side
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.lakehouse.tables import PARTITION_COLUMN, identifier, in_partitions, literal, open_table, rows_in
from roundtrip.registry.version_folder import fetch
from roundtrip.serving.release import ReleasedVersion
from roundtrip.serving.scoring import Scorer

MOST_REQUESTS = 50_000
"""Requests that are looked at; of more, those of an evenly drawn part of the keys. flight_eta's versions answer them in a second; of a
log of a million the whole takes 3.5 s and 1.1 GiB."""
ROWS_AT_ONCE = 4096
"""Rows that are decoded and answered together."""
_AT, _OUTCOME = "predicted_for", "outcome"


@dataclass(frozen=True, kw_only=True)
class OnRequests:
    """n rows that were asked about, each once, and neither version learned from, and the MAE of both in the label's unit."""

    rows: int
    days: int
    """On which they lie."""
    candidate_mae: float
    live_mae: float
    excess: Excess | None
    """The candidate's MAE above the live version's; None of rows that are too few to be judged (the gate's smallest slice)."""

    def figures(self) -> dict[str, Figure]:
        """For a receipt."""
        found: dict[str, Figure] = {"outcome_rows": self.rows, "outcome_days": self.days}
        found |= {"candidate_mae": round(self.candidate_mae, 4), "live_mae": round(self.live_mae, 4)}
        if self.excess is not None:
            found |= {"excess": round(self.excess.value, 4), "excess_low": round(self.excess.low, 4)}
        return found

    def is_worse(self, gate: Gate) -> bool:
        """Whether the candidate is worse for certain than the gate lets it be on a slice."""
        return self.excess is not None and self.excess.low > gate.slice_margin

    def told(self, gate: Gate, unit: str) -> str:
        """In a line."""
        maes = f"MAE {self.candidate_mae:.2f} {unit}, of the live version {self.live_mae:.2f}"
        text = f"{maes}, on {self.rows:,} rows of {self.days} days that were asked about and whose outcome has come"
        if self.excess is None:
            return f"{text}: too few to judge by (limits {gate.minimum_slice_rows} rows, {gate.minimum_slice_days} days)"
        return f"{text}: {self.excess.value:+.1%}, {self.excess.low:+.1%} at least (limit {gate.slice_margin:.1%})"


def compare_on_requests(use_case: UseCase, candidate: ReleasedVersion, live: ReleasedVersion) -> OnRequests | None:
    """The two on the logged requests whose outcome has come; None where there is none.

    The log has what watch_drift collected last. Reads three tables, and both versions' folders.
    """
    try:
        logged = open_table(use_case.name, TABLE)
        features, outcomes = open_table(use_case.name, use_case.features_table), open_table(use_case.name, use_case.outcomes_table)
    except TableMissing:
        return None
    folders = [fetch(use_case.name, version.version, digest=version.digest) for version in (candidate, live)]
    snapshots = [Snapshot.from_json((folder / SNAPSHOT_FILE).read_bytes()) for folder in folders]
    since = max(datetime.fromisoformat(snapshot.held_out_from) for snapshot in snapshots)
    months = sorted(entry[PARTITION_COLUMN] for entry in outcomes.partitions() if entry[PARTITION_COLUMN] >= f"{since:%Y-%m}")
    asked = rows_in(logged, months)
    if not asked:
        return None
    of_months = in_partitions(months)
    at, label = identifier(use_case.prediction_time), identifier(use_case.label)
    not_learned = f"{of_months} AND {at} >= to_timestamp({literal(since.isoformat())})"
    sides = [
        _last_requests(logged, of_months, asked),
        keyed_side(use_case, features, f"{at} AS {_AT}", where=not_learned, months=months),
        keyed_side(use_case, outcomes, f"{label} AS {_OUTCOME}", where=f"{of_months} AND {label} IS NOT NULL", months=months),
    ]
    scorers = [Scorer(folder) for folder in folders]
    batches = (batch.slice(start, ROWS_AT_ONCE) for batch in joined_rows([KEY], sides) for start in range(0, batch.num_rows, ROWS_AT_ONCE))
    parts = [_errors(scorers, batch) for batch in batches]
    return _compared(use_case.gate, np.concatenate(parts, axis=1)) if parts else None


def _last_requests(logged: DeltaTable, of_months: str, asked: int) -> Side:
    """What was sent with each key last."""
    which = f"{of_months} AND key IS NOT NULL"
    if asked > MOST_REQUESTS:
        which += f" AND substr(md5(key), 1, 4) < '{16**4 * MOST_REQUESTS // asked:04x}'"
    query = f"SELECT key AS {KEY}, last_value(inputs ORDER BY predicted_at) AS {INPUTS} FROM side WHERE {which} GROUP BY key"
    return Side(table=logged, query=query, rows=min(asked, MOST_REQUESTS))


def _errors(scorers: Sequence[Scorer], batch: pa.RecordBatch) -> NDArray[np.float64]:
    """Float [3, n]: absolute errors of each, and the day (UTC) of each row whose request held all that both ask for."""
    sent = inputs_sent(batch)
    needed = {entry.name for scorer in scorers for entry in scorer.contract.inputs}
    held = np.array([needed <= row.keys() for row in sent], dtype=np.bool_)
    columns = {name: [row.get(name) for row in sent] for name in sorted(needed)}
    outcomes = batch.column(_OUTCOME).cast(pa.float64()).to_numpy(zero_copy_only=False)
    errors = [np.abs(outcomes - _median(scorer, columns)) for scorer in scorers]
    return np.stack([*errors, day_numbers(batch.column(_AT))])[:, held]


def _median(scorer: Scorer, columns: Mapping[str, Sequence[Value]]) -> NDArray[np.float64]:
    return scorer.predict(columns)[:, 0].astype(np.float64)


def _compared(gate: Gate, found: NDArray[np.float64]) -> OnRequests | None:
    candidate, live, days = found
    if not len(days):
        return None
    numbers = days.astype(np.int64)
    on_days = len(np.unique(numbers))
    return OnRequests(
        rows=len(numbers),
        days=on_days,
        candidate_mae=float(candidate.mean()),
        live_mae=float(live.mean()),
        excess=excess_with_interval(candidate, live, numbers) if gate.judges_slice(rows=len(numbers), days=on_days) else None,
    )
