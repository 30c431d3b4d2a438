"""The machine that a training ran on: its load, as MLflow's page of system metrics shows it, and what is installed on it."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from roundtrip.contracts.settings import REPOSITORY

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

LOCK_FILE = REPOSITORY / "requirements.txt"


class Load:
    """CPU, memory and GPUs of the machine that rank 0 runs on, all ranks there included.

    Read by MLflow's own monitors, but once an epoch and in no thread: its thread asks the server for the run at each sample, and its first
    sample, which may be the only one of a short training, always says 0 % (psutil counts CPU time by thread, from the first call).
    """

    def __init__(self) -> None:
        self._monitors = _monitors()
        self.since_last()

    def since_last(self) -> dict[str, float]:
        """`system/<name>` → value: CPU in % since this was called last, memory and GPUs as they are now."""
        found: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            found |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in found.items()}


def _monitors() -> list[BaseMetricsMonitor]:
    import torch
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    return [CPUMonitor(), GPUMonitor()] if torch.cuda.is_available() else [CPUMonitor()]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What decides on the last digits of a training besides code, data and recipe."""

    python: str
    torch: str
    deepspeed: str
    processor: str
    """The CPU's model: another one may add in another order."""
    accelerator: str
    """The GPU's name, `none` without one."""
    lock_sha256: str
    """Of requirements.txt."""

    @classmethod
    def here(cls) -> Environment:
        """Of this process and machine."""
        import torch

        return cls(
            python=platform.python_version(),
            torch=version("torch"),
            deepspeed=version("deepspeed"),
            processor=processor(),
            accelerator=torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
            lock_sha256=hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest(),
        )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's model name; its architecture where the kernel names none."""
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    return named[1].strip() if named else platform.machine()
