"""One training run from snapshot to model folder: rank 0 reads, writes and reports; every rank trains."""

from __future__ import annotations

import tempfile
from pathlib import Path

from roundtrip.contracts import storage
from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.registry.mlflow_run import MlflowRun
from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.chosen_recipe import ChosenRecipe
from roundtrip.training.engine import connected_ranks
from roundtrip.training.ensemble import WEIGHTS_FILE
from roundtrip.training.loop import train
from roundtrip.training.mapped_rows import mapped_rows, write_rows
from roundtrip.training.origin import Origin
from roundtrip.training.ranks import world_size
from roundtrip.training.training_record import CONTRACT_FILE, TrainingRecord, checkpoint_folder, publish_model


def lead_training(use_case: UseCase, folder: RunFolder, *, fingerprint: str) -> TrainingRecord:
    """Train as rank 0 on the run folder's snapshot, and leave the model there. Raises SnapshotUnusable, TrainingDiverged."""
    snapshot = Snapshot.load(folder.uri)
    write_rows(use_case, snapshot, _rows_folder(fingerprint))
    data = mapped_rows(_rows_folder(fingerprint))
    checkpoints = Checkpoints(checkpoint_folder(fingerprint))
    origin = Origin.here(use_case, snapshot, ranks=world_size())
    chosen = ChosenRecipe.load(folder)
    run = MlflowRun.open(use_case, origin, run_folder=folder.uri, fingerprint=fingerprint, tuning=chosen.tuning if chosen else None)
    # the other ranks wait for this one to connect, by when the rows are written
    with run, tempfile.TemporaryDirectory() as scratch, connected_ranks(use_case.recipe):
        ensemble, last = train(data, use_case.recipe, checkpoints=checkpoints, journal=run)
        ensemble.save(Path(scratch))
        (Path(scratch) / CONTRACT_FILE).write_bytes(data.contract.to_json())
        record = TrainingRecord(
            fingerprint=fingerprint,
            epochs=last.number,
            train_rows=len(data.train),
            samples_per_second=int(last.samples_per_second),
            final_loss=last.loss,
            held_out_mae=last.held_out_mae,
            ranks=world_size(),
            mlflow_run_id=run.run_id,
            mlflow_run_url=run.url,
            tables=snapshot.tables(use_case),
            weights_sha256=storage.sha256((Path(scratch) / WEIGHTS_FILE).as_uri()),
        )
        run.finish_training(record.weights_sha256, unit=use_case.outputs[0].unit)
        publish_model(Path(scratch), record, folder)
    checkpoints.discard()
    return record


def follow_training(use_case: UseCase, *, fingerprint: str) -> None:
    """Train as any other rank, on the rows that rank 0 has written."""
    with connected_ranks(use_case.recipe):
        data, checkpoints = mapped_rows(_rows_folder(fingerprint)), Checkpoints(checkpoint_folder(fingerprint))
        train(data, use_case.recipe, checkpoints=checkpoints, journal=None)


def _rows_folder(fingerprint: str) -> Path:
    """Beside the checkpoints, and gone with them."""
    return checkpoint_folder(fingerprint) / "rows"
