"""What one rank of a training does. torch, DeepSpeed and MLflow take seconds to import: only when there is something to train."""

from __future__ import annotations

from roundtrip.contracts.receipts import RunFolder
from roundtrip.contracts.use_cases import UseCase
from roundtrip.training.training_record import TrainingRecord, fingerprint, finished_training


def lead(use_case: UseCase, folder: RunFolder) -> TrainingRecord:
    """Rank 0: the record of the run folder's training, which is resumed or begun unless it is finished."""
    expected = fingerprint(use_case, folder)
    if record := finished_training(folder, expected):
        return record
    from roundtrip.training.train_candidate import lead_training

    return lead_training(use_case, folder, fingerprint=expected)


def follow(use_case: UseCase, folder: RunFolder) -> None:
    """Any other rank: the same, without reading or writing anything but its share of the checkpoints."""
    expected = fingerprint(use_case, folder)
    if finished_training(folder, expected) is None:
        from roundtrip.training.train_candidate import follow_training

        follow_training(use_case, fingerprint=expected)
