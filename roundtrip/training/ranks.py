"""The processes of one training run, as torchrun starts them. Light to import: nothing here loads torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def started_by_torchrun() -> bool:
    """Whether this process is one of torchrun's ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """This process's number over all machines, from 0."""
    return int(os.environ["RANK"])


def world_size() -> int:
    """Ranks of this run."""
    return int(os.environ["WORLD_SIZE"])


def become_torchrun(module: str, arguments: Sequence[str], *, ranks: int) -> None:
    """Replace this process by a torchrun that starts `module` `ranks` times on this machine. Does not return.

    It restarts nothing itself: a lost rank ends the run, and whoever runs the command again resumes it. One thread a rank,
    because more of them than cores only fight.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m", module]
    os.execve(sys.executable, [*torchrun, *arguments], {"OMP_NUM_THREADS": "1"} | os.environ)
