"""A process that must not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone, however it went (prctl(2), PR_SET_PDEATHSIG).

    torchrun starts each rank in a session of its own: a kill -9 of torchrun, or of its process group, would leave ranks training
    beside those of the next attempt, into the same checkpoints. So would a kill -9 of a tuning leave its trials, and one of the gateway the
    worker that holds its port.
    """
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it went before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)
