"""One rank of a bench's training, under torchrun: `train_rank.py FOLDER`, which holds train.parquet, held_out.parquet, recipe.json.

Rank 0 leaves `model/` and `epochs.json` there: the epochs, and when each was recorded, seconds of a clock that only goes forward.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from benchmarks.training.trained import BEGINS
from roundtrip.contracts.use_cases import Recipe
from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import connect_ranks
from roundtrip.training.loop import Epoch, train
from roundtrip.training.ranks import end_with_parent, rank
from roundtrip.training.rows import training_data
from roundtrip.training.training_record import CONTRACT_FILE
from use_cases.flight_eta.declaration import USE_CASE


class Kept:
    """Keeps the epochs, and prints them."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def record(self, epoch: Epoch) -> None:
        print(epoch, flush=True)
        self.epochs.append(asdict(epoch) | {"recorded_at": time.monotonic(), "useful_time_ratio": epoch.useful_time_ratio})


def main(folder: Path) -> None:
    end_with_parent()
    recipe = msgspec.json.decode((folder / "recipe.json").read_bytes(), type=Recipe)
    connect_ranks(recipe)
    data = training_data(USE_CASE, pq.read_table(folder / "train.parquet"), pq.read_table(folder / "held_out.parquet"))
    kept = Kept() if rank() == 0 else None
    if kept is not None:
        print(BEGINS, flush=True)
    ensemble, _ = train(data, recipe, checkpoints=Checkpoints(folder / "checkpoints"), journal=kept)
    if kept is not None:
        ensemble.save(folder / "model")
        (folder / "model" / CONTRACT_FILE).write_bytes(data.contract.to_json())
        (folder / "epochs.json").write_text(json.dumps(kept.epochs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
