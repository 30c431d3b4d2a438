"""A bench's training on files: `python -m benchmarks.training.train_rank FOLDER`, with recipe.json and either train.parquet and
held_out.parquet or a snapshot (year.leave_snapshot).

Started plainly it becomes torchrun, as jobs.train_model does; under torchrun it is one of the ranks. Rank 0 leaves `model/` and
`epochs.json` there: the epochs, and when each was recorded, seconds of a clock that only goes forward.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from torch import distributed

from benchmarks.training.trained import BEGINS
from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.contracts.use_cases import Recipe
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import connected_ranks
from roundtrip.training.loop import Epoch, train
from roundtrip.training.mapped_rows import mapped_rows, write_rows
from roundtrip.training.ranks import Nodes, add_node_options, become_torchrun, rank, started_by_torchrun
from roundtrip.training.rows import TrainingData, training_data
from roundtrip.training.training_record import CONTRACT_FILE
from use_cases.flight_eta.declaration import USE_CASE


class Kept:
    """Keeps the epochs, and prints them."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def record(self, epoch: Epoch) -> None:
        print(epoch, flush=True)
        self.epochs.append(asdict(epoch) | {"recorded_at": time.monotonic(), "useful_time_ratio": epoch.useful_time_ratio})


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    add_node_options(parser)
    request = parser.parse_args(arguments)
    folder = request.folder
    recipe = msgspec.json.decode((folder / "recipe.json").read_bytes(), type=Recipe)
    if not started_by_torchrun():
        nodes = Nodes.asked(nodes=request.nodes, node_rank=request.node_rank, rendezvous=request.rendezvous)
        become_torchrun("benchmarks.training.train_rank", arguments, ranks=recipe.ranks, nodes=nodes)
    end_with_parent()
    with connected_ranks(recipe):
        data = rows_in(folder)
        kept = Kept() if rank() == 0 else None
        if kept is not None:
            print(BEGINS, flush=True)
        ensemble, last = train(data, recipe, checkpoints=Checkpoints(folder / "checkpoints"), journal=kept)
        if kept is not None:
            ensemble.save(folder / "model")
            (folder / "model" / CONTRACT_FILE).write_bytes(data.contract.to_json())
            if not kept.epochs:  # it was killed after its last checkpoint, and nothing was left to train
                kept.record(last)
            (folder / "epochs.json").write_text(json.dumps(kept.epochs))


def rows_in(folder: Path) -> TrainingData:
    """The rows to train on, as a job reads them: those of a snapshot are written once, and mapped by every rank."""
    if (folder / "train.parquet").exists():
        return training_data(USE_CASE, pq.read_table(folder / "train.parquet"), pq.read_table(folder / "held_out.parquet"))
    if rank() == 0:
        write_rows(USE_CASE, Snapshot.load(folder.as_uri()), folder / "rows")
    distributed.barrier()
    return mapped_rows(folder / "rows")


if __name__ == "__main__":
    main(sys.argv[1:])
