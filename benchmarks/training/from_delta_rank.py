"""Ranks that go from Delta tables to their first steps: `from_delta_rank.py FOLDER`, which year.leave_snapshot has filled.

Each rank leaves `rank-<number>.json` there: seconds to the first step, and memory in MiB.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from roundtrip.contracts.end_with_parent import end_with_parent
from roundtrip.lakehouse.snapshot import Snapshot
from roundtrip.training.checkpoints import Checkpoints
from roundtrip.training.engine import connected_ranks
from roundtrip.training.loop import Epoch, train
from roundtrip.training.mapped_rows import mapped_rows, write_rows
from roundtrip.training.ranks import become_torchrun, rank, started_by_torchrun
from roundtrip.training.spread_network import SpreadNetwork
from use_cases.flight_eta.declaration import USE_CASE

RANKS = 2


@dataclass
class Measured:
    """What one rank took, before its first step and over one epoch."""

    written_s: float = 0.0
    """Until the rows were read, encoded and written."""
    first_step_s: float = 0.0
    """Until the first step was done."""
    peak_writing_mib: float = 0.0
    """Largest resident memory until the rows were written; before anything was read it was `imported_mib`."""
    imported_mib: float = 0.0
    own_mib: float = 0.0
    """Memory of its own (anonymous) after the epoch."""
    shared_mib: float = 0.0
    """Of the mapped rows in memory, this rank's share (proportional set size)."""
    epoch_rows_per_second: float = 0.0


class Journal:
    """Keeps the speed of the only epoch."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured

    def record(self, epoch: Epoch) -> None:
        self.measured.epoch_rows_per_second = epoch.samples_per_second


def main(folder: Path) -> None:
    if not started_by_torchrun():
        become_torchrun("benchmarks.training.from_delta_rank", [str(folder)], ranks=RANKS)
    end_with_parent()
    measured = Measured(imported_mib=memory("status", "VmRSS"))
    started = time.monotonic()
    if rank() == 0:
        write_rows(USE_CASE, Snapshot.load(folder.as_uri()), folder / "rows")
        measured.written_s = time.monotonic() - started
        measured.peak_writing_mib = memory("status", "VmHWM")
    recipe = replace(USE_CASE.recipe, epochs=1, strategy="data_parallel")
    undisturbed = SpreadNetwork.step

    def first_step(self: SpreadNetwork, share: object) -> object:
        done = undisturbed(self, share)  # type: ignore[arg-type]
        measured.first_step_s = time.monotonic() - started
        SpreadNetwork.step = undisturbed  # type: ignore[method-assign]
        return done

    SpreadNetwork.step = first_step  # type: ignore[assignment, method-assign]
    with connected_ranks(recipe):
        journal = Journal(measured) if rank() == 0 else None
        train(mapped_rows(folder / "rows"), recipe, checkpoints=Checkpoints(folder / "checkpoints"), journal=journal)
    measured.own_mib, measured.shared_mib = memory("smaps_rollup", "Pss_Anon"), memory("smaps_rollup", "Pss_File")
    (folder / f"rank-{rank()}.json").write_text(json.dumps(asdict(measured)))


def memory(file: str, name: str) -> float:
    """A line of /proc/self/<file>, in MiB."""
    lines = Path(f"/proc/{os.getpid()}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
