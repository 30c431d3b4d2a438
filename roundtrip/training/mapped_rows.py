"""A snapshot's rows, encoded, as files that every rank maps: in memory once a machine, and only as much of them as there is room for.

They are written a month at a time: what a training set takes is 4 bytes a value on disk, and memory for its largest month. A training
that is run again finds them: ten million rows take 37 s to write, and 1 s to check.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from roundtrip.contracts.errors import DigestMismatch
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.use_cases import UseCase
from roundtrip.lakehouse.snapshot import Snapshot, SnapshotRows, categories_by_month, rows_by_month
from roundtrip.registry.version_folder import verify
from roundtrip.training.checkpoints import commit
from roundtrip.training.rows import Rows, TrainingData, refuse_empty, rows_of, vocabulary

SPANS = ("train", "held_out")
_CONTRACT_FILE = "contract.json"


def write_rows(use_case: UseCase, snapshot: Snapshot, folder: Path) -> None:
    """Leave the snapshot's rows in `folder`, encoded by the vocabulary of those to train on, and the contract that encodes them.

    Where it holds them already, whole (the folder is of this snapshot and declaration only), they are left as they are. Raises
    SnapshotUnusable when a span has no rows, a label is missing, or the rows are not those pinned.
    """
    if _is_whole(folder):
        return
    partial = folder.with_name(f"{folder.name}.partial")
    for left in (partial, folder):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    contract = ModelContract.of(use_case, vocabulary(use_case, categories_by_month(use_case, snapshot)))
    (partial / _CONTRACT_FILE).write_bytes(contract.to_json())
    _append(use_case, contract, rows_by_month(use_case, snapshot), partial)
    commit(partial, folder)


def mapped_rows(folder: Path) -> TrainingData:
    """What `write_rows` left, mapped: a value is read from the disk when it is first used, and every process shares what was read."""
    contract = ModelContract.from_json((folder / _CONTRACT_FILE).read_bytes())
    train, held_out = (_map(folder, span, contract) for span in SPANS)
    return TrainingData(contract, train, held_out)


def _is_whole(folder: Path) -> bool:
    """Whether an attempt before this one left the rows, and each file is still what its manifest names."""
    try:
        verify(folder)
    except FileNotFoundError:
        return False
    except DigestMismatch as damage:
        print(f"the rows of an earlier attempt are damaged, and written anew: {damage}", flush=True)
        return False
    print("the rows of an earlier attempt are whole: they are not read again", flush=True)
    return True


def _append(use_case: UseCase, contract: ModelContract, months: Iterable[SnapshotRows], folder: Path) -> None:
    written = dict.fromkeys(SPANS, 0)
    for month in months:
        for span in SPANS:
            rows = rows_of(contract, getattr(month, span), use_case.label)
            written[span] += len(rows)
            for name, values in vars(rows).items():
                with (folder / f"{span}.{name}").open("ab") as file:
                    file.write(values.numpy().data)
    refuse_empty(*written.values())


def _map(folder: Path, span: str, contract: ModelContract) -> Rows:
    """A private mapping: what a process wrote there would stay its own."""
    labels = _tensor(folder / f"{span}.labels", torch.float32)
    numbers = _tensor(folder / f"{span}.numbers", torch.float32).view(len(labels), len(contract.numbers))
    categories = _tensor(folder / f"{span}.categories", torch.int32).view(len(labels), len(contract.categories))
    return Rows(numbers, categories, labels)


def _tensor(path: Path, kind: torch.dtype) -> Tensor:
    return torch.from_file(str(path), shared=False, size=path.stat().st_size // kind.itemsize, dtype=kind)
