"""Requests whose outcomes are known, and two versions of a model: one that is near them, and one that errs by so many minutes more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from torch import Tensor, nn

from roundtrip.contracts.model_contract import Value
from roundtrip.contracts.receipts import SNAPSHOT_FILE
from roundtrip.contracts.settings import settings
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.version_folder import publish
from roundtrip.serving.compile import build_version
from roundtrip.serving.release import ReleasedVersion
from roundtrip.serving.scoring import Scorer
from tests.roundtrip.lakehouse.trips import TRIPS
from tests.roundtrip.serving.tiny_version import tiny_contract, tiny_network

MONTH, START = "2013-04", datetime(2013, 4, 1, tzinfo=UTC)
DAYS, ROWS_A_DAY = 28, 20
HELD_OUT_FROM = START + timedelta(days=14)
NOISE_MINUTES = 5.0
"""Standard deviation of the outcomes about what the near version says."""


class Off(nn.Module):
    """A network that says so many minutes more than another."""

    def __init__(self, network: nn.Module, minutes: float) -> None:
        super().__init__()
        self.network = network
        self.minutes = minutes

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        off: Tensor = self.network(numbers, categories) + self.minutes
        return off


def build_off_by(folder: Path, minutes: float, *, held_out_from: datetime = HELD_OUT_FROM) -> Path:
    """A version folder with its snapshot: the near version, or one that is off."""
    folder.mkdir(parents=True)
    snapshot = Snapshot(
        use_case=TRIPS.name, partitions=(MONTH,), features_version=0, outcomes_version=0, rows=1, held_out_from=held_out_from.isoformat()
    )  # fmt: skip
    (folder / SNAPSHOT_FILE).write_bytes(snapshot.to_json())
    contract = tiny_contract()
    build_version(Off(tiny_network(contract, seed=1), minutes), contract, folder)
    return folder


def published(folder: Path, version: str, *, use_case_name: str = TRIPS.name) -> ReleasedVersion:
    return ReleasedVersion(version=version, digest=publish(folder, use_case_name, version), triton_model="unused")


@dataclass(frozen=True)
class Asked:
    """A row that was asked about, with its outcome."""

    key: str
    at: datetime
    inputs: Mapping[str, Value]
    outcome: float


def asked_rows(near: Path, *, days: int = DAYS) -> list[Asked]:
    """So many rows a day from START on; outcomes lie about what the version in the folder says."""
    random = np.random.default_rng(1)
    inputs: list[dict[str, Value]] = [
        {"carrier": str(random.choice(["AA", "UA"])), "delay_minutes": float(random.uniform(-50, 200)), "wind_mph": None}
        for _ in range(days * ROWS_A_DAY)
    ]
    said = Scorer(near).predict({name: [row[name] for row in inputs] for name in inputs[0]})[:, 0]
    outcomes = said + random.normal(0, NOISE_MINUTES, len(said))
    moments = [START + timedelta(days=place // ROWS_A_DAY, milliseconds=500) for place in range(len(said))]
    return [
        Asked(f"t{place}", at, row, float(outcome)) for place, (at, row, outcome) in enumerate(zip(moments, inputs, outcomes, strict=True))
    ]


def write_features(rows: Sequence[Asked], *, use_case_name: str = TRIPS.name) -> None:
    append(use_case_name, TRIPS.features_table, [{"trip_id": row.key, TRIPS.prediction_time: row.at} for row in rows])


def write_outcomes(rows: Sequence[Asked], *, use_case_name: str = TRIPS.name) -> None:
    append(use_case_name, TRIPS.outcomes_table, [{"trip_id": row.key, TRIPS.label: row.outcome} for row in rows])


def write_log(rows: Sequence[Asked], *, at: datetime = START, use_case_name: str = TRIPS.name) -> None:
    """What `collect_predictions` makes of the requests for these rows."""
    lines: list[dict[str, object]] = [{"key": row.key or None, "inputs": json.dumps(dict(row.inputs)), "predicted_at": at} for row in rows]
    append(use_case_name, "prediction_log", lines)


def append(use_case_name: str, table: str, rows: Sequence[Mapping[str, object]]) -> None:
    uri = f"{settings().storage_root}/lakehouse/{use_case_name}/{table}"
    Path(uri.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    write_deltalake(uri, pa.Table.from_pylist([{**row, "event_month": MONTH} for row in rows]), mode="append", partition_by=["event_month"])
