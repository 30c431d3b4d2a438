"""What a finished training run leaves beside the model, as `training.json`: figures, and what they belong to. Light to import."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from roundtrip.contracts import storage
from roundtrip.contracts.errors import ReceiptMissing
from roundtrip.contracts.receipts import Figure, RunFolder, TableVersion
from roundtrip.contracts.settings import settings
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.snapshot import Snapshot

MODEL_FOLDER = "model"
CONTRACT_FILE = "contract.json"
RECORD_FILE = "training.json"


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """How a training went, and what was trained on what."""

    fingerprint: str
    epochs: int
    train_rows: int
    samples_per_second: int
    """Of the last epoch, over all ranks."""
    final_loss: float
    held_out_mae: float
    ranks: int
    mlflow_run_id: str
    mlflow_run_url: str
    tables: list[TableVersion]
    weights_sha256: str = ""
    """Of weights.safetensors. Empty in a record from before this was kept."""

    @classmethod
    def from_json(cls, content: bytes) -> TrainingRecord:
        return _decoded(content)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=2).encode()

    def figures(self) -> dict[str, Figure]:
        """For the receipt of `train_model`."""
        names = ("epochs", "train_rows", "samples_per_second", "final_loss", "held_out_mae", "mlflow_run_id", "ranks", "weights_sha256")
        return {name: getattr(self, name) for name in names}


_decoded = msgspec.json.Decoder(TrainingRecord).decode


def fingerprint(use_case: UseCase, folder: RunFolder) -> str:
    """SHA-256 of all that decides on the weights: snapshot, declaration, and the run. Another one starts training afresh.

    Not of the ranks, for they decide on the last digits only: a training may go on with fewer of them.

    Raises SnapshotUnusable when the run folder has no snapshot.
    """
    decisive = {"run": folder.uri, "snapshot": asdict(Snapshot.load(folder.uri)), **declaration(use_case)}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def declaration(use_case: UseCase) -> dict[str, object]:
    """What of a use case's declaration decides on the weights."""
    return {
        "inputs": [asdict(entry) for entry in use_case.inputs],
        "outputs": [asdict(entry) for entry in use_case.outputs],
        "label": use_case.label,
        "baseline": use_case.baseline.column,
        "recipe": asdict(use_case.recipe),
    }


def finished_training(folder: RunFolder, expected_fingerprint: str) -> TrainingRecord | None:
    """The record of the run folder's model when it is of this fingerprint, None when there is still something to train."""
    try:
        record = read_record(folder)
    except ReceiptMissing:
        return None
    return record if record.fingerprint == expected_fingerprint else None


def read_record(folder: RunFolder) -> TrainingRecord:
    """The record of the run folder's model; raises ReceiptMissing when no training has finished there."""
    uri = folder.file(MODEL_FOLDER, RECORD_FILE)
    try:
        return TrainingRecord.from_json(storage.read_bytes(uri))
    except FileNotFoundError:
        raise ReceiptMissing(f"no trained model {uri}: run `python -m jobs.train_model` with this --run-dir first.") from None


def publish_model(model: Path, record: TrainingRecord, folder: RunFolder) -> None:
    """Copy a saved model into the run folder, the record last: with it the training counts as finished."""
    uri = folder.file(MODEL_FOLDER)
    storage.delete(storage.join(uri, RECORD_FILE))
    storage.upload_folder(model, uri)
    storage.write_bytes(storage.join(uri, RECORD_FILE), record.to_json())


def checkpoint_folder(run_fingerprint: str) -> Path:
    """Where the checkpoints of that training live, on this machine (`.roundtrip/checkpoints`)."""
    return settings().home_path / "checkpoints" / run_fingerprint[:16]
