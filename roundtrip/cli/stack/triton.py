"""NVIDIA's tritonserver from the nvidia-pytriton wheel, with a Python environment of its own for the Python backend."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from pathlib import Path

from roundtrip.cli.stack import environment
from roundtrip.cli.stack.commands import Command
from roundtrip.cli.stack.layout import HOST, Stack, repository_path

ADMIN_ONLY = "model-repository,inference,shared-memory,trace,logging"
"""What asks for the key: all but health and metadata."""


def server_folder() -> Path:
    """Where set-up puts the tritonserver binary and its backends."""
    return repository_path(".roundtrip", "triton", "server", "pytriton", "tritonserver")


def backend_environment() -> Path:
    """The virtual environment in which Triton's Python backend runs: numpy 1.26 and ONNX Runtime."""
    return repository_path(".roundtrip", "triton", "venv")


def library_folder() -> Path:
    """Folder of this interpreter's libpython, which the backend's stub is linked to."""
    return Path(sysconfig.get_config_var("LIBDIR"))


def command(stack: Stack) -> Command:
    models = stack.home / "triton_models"
    models.mkdir(exist_ok=True)
    key = stack.credentials.triton_admin_key
    options = {
        "model-repository": models,
        "model-control-mode": "explicit",
        "backend-directory": server_folder() / "backends",
        "backend-config": f"python,shm-region-prefix-name={shared_memory_prefix(stack)}",
        "strict-readiness": "false",
        "http-address": HOST,
        "http-port": stack.ports["triton_http"],
        "grpc-address": HOST,
        "grpc-port": stack.ports["triton_grpc"],
        "metrics-address": HOST,
        "metrics-port": stack.ports["triton_metrics"],
        "http-restricted-api": f"{ADMIN_ONLY}:admin-key={key}",
        "grpc-restricted-protocol": f"{ADMIN_ONLY}:admin-key={key}",
    }
    server = str(server_folder() / "bin" / "tritonserver")
    binaries = f"{backend_environment() / 'bin'}:{environment.inherited()['PATH']}"
    return Command(
        argv=(server, "--disable-auto-complete-config", *(f"--{name}={value}" for name, value in options.items())),
        environment={"PATH": binaries, "LD_LIBRARY_PATH": str(library_folder()), "OMP_NUM_THREADS": "1"},
        hidden=key,
    )


def shared_memory_prefix(stack: Stack) -> str:
    """Name with which the files of this stack's Python backend in /dev/shm begin."""
    return f"roundtrip_{hashlib.sha256(str(stack.home).encode()).hexdigest()[:8]}_"


def remove_leftovers(stack: Stack) -> None:
    """Delete what a killed server left in /dev/shm; call it only when none of its processes lives."""
    for path in Path("/dev/shm").glob(f"{shared_memory_prefix(stack)}*"):  # noqa: S108 - shared memory, by its only name
        path.unlink(missing_ok=True)


def stub_version() -> str:
    """The Python version whose backend stub is used, such as 3.11: this interpreter's."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
