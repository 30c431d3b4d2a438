"""Turn a trained network into a model version: the graph, an engine for this machine, Triton's configuration, digests, parity.

Which engine: TensorRT where a GPU and its package are here, ONNX Runtime otherwise. Where TensorRT-RTX's own environment is
installed (`.roundtrip/tensorrt_rtx`), its compiler, which needs no GPU, must accept the graph too.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from torch import nn

from roundtrip.contracts.errors import CompileFailed
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.settings import settings
from roundtrip.registry.version_folder import write_manifest
from roundtrip.serving import tensorrt_build
from roundtrip.serving.export import export_onnx
from roundtrip.serving.parity import Columns, Parity, check_parity
from roundtrip.serving.scoring import CONTRACT_FILE, MODEL_FILE, Scorer
from roundtrip.serving.tensorrt_engine import PLAN_FILE, TensorRtEngine, tensorrt_can_run
from roundtrip.serving.triton_repository import CONFIG_FILE, LARGEST_BATCH, config_text

RTX_BUILD_TIMEOUT_S = 300
"""A build of this size takes under a second; one that hangs must not hold the release."""


@dataclass(frozen=True)
class Compiled:
    """What `compile_version` made of a folder."""

    engine: str
    """`tensorrt` or `onnxruntime`: what serves the version."""
    rtx_build: str
    """Size of the TensorRT-RTX engine in bytes, or why there was no such build."""
    parity: Parity


def build_version(network: nn.Module, contract: ModelContract, folder: Path) -> None:
    """Write the version's files and their manifest into `folder`. Raises CompileFailed."""
    export_onnx(network, contract, folder / MODEL_FILE)
    (folder / CONTRACT_FILE).write_bytes(contract.to_json())
    engine = "tensorrt" if tensorrt_can_run() else "onnxruntime"
    if engine == "tensorrt":
        (folder / PLAN_FILE).write_bytes(_tensorrt_plan(folder / MODEL_FILE))
    (folder / CONFIG_FILE).write_text(config_text(contract, engine))
    write_manifest(folder)


def check_version(network: nn.Module, folder: Path, real_rows: Columns) -> Compiled:
    """Check a built version: every engine in it answers as the network does, and TensorRT-RTX can compile its graph.

    Raises ParityFailed, CompileFailed, DigestMismatch.
    """
    scorer = Scorer(folder)
    parity = check_parity(network, scorer.contract, scorer.answer, real_rows)
    engine = "tensorrt" if (folder / PLAN_FILE).exists() else "onnxruntime"
    if engine == "tensorrt":
        plan = TensorRtEngine(folder / PLAN_FILE, largest_batch=LARGEST_BATCH)
        parity = check_parity(network, scorer.contract, plan.answer, real_rows)
    return Compiled(engine=engine, rtx_build=rtx_compile_gate(folder / MODEL_FILE, rtx_python()), parity=parity)


def rtx_python() -> Path:
    """The interpreter of TensorRT-RTX's environment. Optional: `uv venv .roundtrip/tensorrt_rtx`, and tensorrt-rtx-cu13 in it."""
    return settings().home_path / "tensorrt_rtx" / "bin" / "python"


def rtx_compile_gate(model: Path, python: Path) -> str:
    """Build the graph with TensorRT-RTX; gives what the receipt says about it. Raises CompileFailed when it can't be compiled."""
    if not python.exists():
        return f"not built: {python} is not installed"
    with tempfile.TemporaryDirectory() as scratch:
        engine = Path(scratch) / "model.rtx"
        command = [str(python), tensorrt_build.__file__, "tensorrt_rtx", str(model), str(engine), "--largest-batch", str(LARGEST_BATCH)]
        build = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RTX_BUILD_TIMEOUT_S)
        if build.returncode != 0:
            raise CompileFailed(f"TensorRT-RTX can't compile {model.name}: {(build.stdout + build.stderr).strip()[-2000:]}")
        return f"built: {engine.stat().st_size} bytes for {', '.join(tensorrt_build.RTX_COMPUTE_CAPABILITIES)}"


def _tensorrt_plan(model: Path) -> bytes:
    try:
        return tensorrt_build.build_engine(import_module("tensorrt"), model, largest_batch=LARGEST_BATCH)
    except tensorrt_build.EngineNotBuilt as error:
        raise CompileFailed(f"TensorRT can't compile {model.name}: {error}") from error
