"""The processes of one training run, as torchrun starts them. Light to import: nothing here loads torch."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
_ONLY_RANK = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "GLOO_SOCKET_IFNAME": "lo"}
SHUTDOWN_S = 5
"""Seconds that torchrun gives the other ranks to end when one has failed; a stopped one must be killed, and nothing is lost with it."""


def started_by_torchrun() -> bool:
    """Whether this process is one of torchrun's ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """This process's number over all machines, from 0."""
    return int(os.environ["RANK"])


def world_size() -> int:
    """Ranks of this run."""
    return int(os.environ["WORLD_SIZE"])


@contextmanager
def only_rank() -> Iterator[None]:
    """The environment of a process that is rank 0 of 1, as torchrun would set it. Afterwards it is what it was before."""
    before = {name: os.environ.get(name) for name in _ONLY_RANK}
    os.environ.update(_ONLY_RANK)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone, however it went (prctl(2), PR_SET_PDEATHSIG).

    torchrun starts each rank in a session of its own: a kill -9 of torchrun, or of its process group, would leave ranks training
    beside those of the next attempt, into the same checkpoints. So would a kill -9 of a tuning leave its trials.
    """
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it went before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def be_the_only_rank() -> None:
    """Make this process a training of one rank, without torchrun, whose start takes as long as an epoch."""
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}


def become_torchrun(module: str, arguments: Sequence[str], *, ranks: int) -> None:
    """Replace this process by a torchrun that starts `module` `ranks` times on this machine. Does not return.

    It restarts nothing itself: a lost rank ends the run, and whoever runs the command again resumes it. One thread a rank,
    because more of them than cores only fight.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--shutdown-timeout={SHUTDOWN_S}"]
    started = [f"--nproc-per-node={ranks}", "-m", module, *arguments]
    os.execve(sys.executable, [*torchrun, *started], {"OMP_NUM_THREADS": "1"} | os.environ)
