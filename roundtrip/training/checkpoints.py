"""Checkpoints that are whole or not there.

DeepSpeed writes one file a rank and calls a checkpoint done before the other ranks are. So it saves into `<name>.partial`; when every
rank is done, the first one writes a manifest of SHA-256s, flushes all of it to disk, and renames the folder: the name is the commit.

The folder is shared by all ranks: this machine's disk, or a shared file system when training spans machines.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from torch import distributed

from roundtrip.contracts.errors import CheckpointFailed, DigestMismatch, RanksChanged
from roundtrip.registry.version_folder import verify, write_manifest
from roundtrip.training.ranks import kept_waiting, rank, world_size
from roundtrip.training.strategies import Strategy

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

KEPT = 2
"""The newest, and one before it in case the newest turns out damaged."""
State = dict[str, float]
"""What the loop keeps beside the engine's own state."""
_STATE = "roundtrip"
"""Its key among DeepSpeed's."""
RANKS_FILE = "ranks.json"
"""How many ranks wrote the checkpoint."""
_NAME = re.compile(r"epoch-(\d{4})")


class Checkpoints:
    """The checkpoints of one training run, one an epoch. Every rank calls every method, together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of_network(self, place: int) -> Checkpoints:
        """Those of one network of several."""
        return Checkpoints(self.folder / f"network-{place}")

    def save(self, engine: DeepSpeedEngine, epoch: int, state: State) -> None:
        """Keep the engine after `epoch` epochs with `state` beside it, and forget all but the newest KEPT checkpoints.

        Raises CheckpointFailed where it can't be written; what was kept before stays. RuntimeError where a rank keeps the others waiting.
        """
        name = f"epoch-{epoch:04d}"
        partial = self.folder / f"{name}.partial"
        try:
            if rank() == 0:
                shutil.rmtree(partial, ignore_errors=True)
            engine.save_checkpoint(
                str(self.folder), tag=partial.name, client_state={_STATE: state}, save_latest=False
            )  # ends with a barrier
            if rank() == 0:
                (partial / RANKS_FILE).write_text(json.dumps({"ranks": world_size()}))
                commit(partial, self.folder / name)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError of a full disk
            if kept_waiting(error):
                raise
            free, kept = shutil.disk_usage(self.folder).free >> 20, complete_epochs(self.folder)
            raise CheckpointFailed(
                f"the checkpoint of epoch {epoch} can't be written to {self.folder} ({free:,} MiB free): {error}. Make room there and run "
                f"the training again: it goes on after epoch {kept[0] if kept else 0}."
            ) from error
        if rank() == 0:
            for old in complete_epochs(self.folder)[KEPT:]:
                shutil.rmtree(self.folder / f"epoch-{old:04d}")
        distributed.barrier()

    def resume(self, engine: DeepSpeedEngine, strategy: Strategy) -> State | None:
        """Load the newest whole checkpoint into `engine`; gives the state saved beside it, None when there is none.

        Raises RanksChanged when other ranks wrote it, and `strategy` gave each of them a part.
        """
        found = [newest_whole(self.folder) if rank() == 0 else 0]
        distributed.broadcast_object_list(found)
        if found[0] == 0:
            return None
        wrote = json.loads((self.folder / f"epoch-{found[0]:04d}" / RANKS_FILE).read_text())["ranks"]
        if wrote != world_size() and not strategy.elastic:
            raise RanksChanged(
                f"{self.folder} holds the parts of {wrote} ranks, which {world_size()} can't take over: train with --ranks {wrote}, or "
                "remove the folder to begin anew. Checkpoints of the strategy data_parallel are continued by any number of ranks."
            )
        _, loaded = engine.load_checkpoint(str(self.folder), tag=f"epoch-{found[0]:04d}")
        return loaded[_STATE]

    def discard(self) -> None:
        """Remove them all: the run is over."""
        if rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)


def commit(partial: Path, whole: Path) -> None:
    """Make a written folder a checkpoint: manifest, everything on disk, then its name."""
    write_manifest(partial)
    for path in [*partial.rglob("*"), partial]:
        _flush(path)
    partial.rename(whole)
    _flush(whole.parent)


def complete_epochs(folder: Path) -> list[int]:
    """Epochs of the committed checkpoints, newest first."""
    names = [_NAME.fullmatch(path.name) for path in folder.glob("epoch-*")]
    return sorted((int(name[1]) for name in names if name), reverse=True)


def newest_whole(folder: Path) -> int:
    """The newest committed checkpoint whose files are still what its manifest names; 0 when there is none."""
    for epoch in complete_epochs(folder):
        try:
            verify(folder / f"epoch-{epoch:04d}")
        except (DigestMismatch, FileNotFoundError) as damage:
            print(f"passing over the damaged checkpoint of epoch {epoch}: {damage}", flush=True)
        else:
            return epoch
    return 0


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
