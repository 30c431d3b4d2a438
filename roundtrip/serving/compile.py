"""Turn a trained network into a model version: the graph, an engine for this machine, Triton's configuration, digests, parity.

Which engine: TensorRT where a GPU and its package are here, the plan answers as the network does and is faster; ONNX Runtime otherwise
(`engine.json` says why). Where TensorRT-RTX's own environment is installed (`.roundtrip/tensorrt_rtx`), its compiler, which needs no GPU,
must accept the graph too.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import nn

from roundtrip.contracts.errors import CompileFailed, ParityFailed
from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.settings import settings
from roundtrip.registry.version_folder import write_manifest
from roundtrip.serving import tensorrt_build
from roundtrip.serving.export import export_onnx
from roundtrip.serving.parity import Answer, Columns, Parity, adversarial_rows, check_parity
from roundtrip.serving.scoring import CONTRACT_FILE, MODEL_FILE, Scorer
from roundtrip.serving.speed import ROWS, Timing, timings
from roundtrip.serving.tensorrt_engine import PLAN_FILE, TensorRtEngine, tensorrt_can_run
from roundtrip.serving.tensors import Predictions, Tensors, tensors_of
from roundtrip.serving.triton_repository import CONFIG_FILE, LARGEST_BATCH, config_text

ENGINE_FILE = "engine.json"
RTX_BUILD_TIMEOUT_S = 300
"""A build of this size takes under a second; one that hangs must not hold the release."""


@dataclass(frozen=True)
class Compiled:
    """What `compile_version` made of a folder."""

    engine: str
    """`tensorrt` or `onnxruntime`: what serves the version."""
    why: str
    """Why that one."""
    rtx_build: str
    """Size of the TensorRT-RTX engine in bytes, or why there was no such build."""
    parity: Parity
    timings: tuple[Timing, ...]
    """Of the uncompiled network (`pytorch`) and of every engine in the folder."""


def build_version(network: nn.Module, contract: ModelContract, folder: Path) -> None:
    """Write the version's files and their manifest into `folder`. Raises CompileFailed when there is no graph."""
    export_onnx(network, contract, folder / MODEL_FILE)
    (folder / CONTRACT_FILE).write_bytes(contract.to_json())
    write_manifest(folder)
    engine, why = _choose_engine(network, contract, folder)
    (folder / ENGINE_FILE).write_text(json.dumps({"engine": engine, "why": why}, indent=2))
    (folder / CONFIG_FILE).write_text(config_text(contract, engine))
    write_manifest(folder)


def check_version(network: nn.Module, folder: Path, real_rows: Columns) -> Compiled:
    """Check a built version: every engine in it answers as the network does, and TensorRT-RTX can compile its graph.

    Raises ParityFailed, CompileFailed, DigestMismatch.
    """
    scorer = Scorer(folder)
    engines: dict[str, Answer] = {"onnxruntime": scorer.answer}
    if (folder / PLAN_FILE).exists():
        engines["tensorrt"] = TensorRtEngine(folder / PLAN_FILE, largest_batch=LARGEST_BATCH).answer
    parities = [check_parity(network, scorer.contract, answer, real_rows) for answer in engines.values()]
    rows = tensors_of(*scorer.contract.encode(real_rows))
    return Compiled(
        **json.loads((folder / ENGINE_FILE).read_bytes()),
        rtx_build=rtx_compile_gate(folder / MODEL_FILE, rtx_python()),
        parity=max(parities, key=lambda parity: parity.max_abs),
        timings=tuple(timings({"pytorch": partial(_uncompiled, network), **engines}, rows)),
    )


def _choose_engine(network: nn.Module, contract: ModelContract, folder: Path) -> tuple[str, str]:
    """The engine that is to serve, and why. A TensorRT plan stays in the folder only where it serves."""
    if not tensorrt_can_run():
        return "onnxruntime", "there is no NVIDIA GPU with TensorRT here"
    scorer, plan, rows = Scorer(folder), folder / PLAN_FILE, adversarial_rows(contract)
    try:
        plan.write_bytes(_tensorrt_plan(folder / MODEL_FILE))
        engines: dict[str, Answer] = {
            "tensorrt": TensorRtEngine(plan, largest_batch=LARGEST_BATCH).answer,
            "onnxruntime": scorer.answer,
        }
        check_parity(network, contract, engines["tensorrt"], rows)
    except (CompileFailed, ParityFailed) as error:
        plan.unlink(missing_ok=True)
        return "onnxruntime", f"TensorRT on {torch.cuda.get_device_name()} is left out: {error}"
    measured = timings(engines, tensors_of(*contract.encode(rows)))
    taken = {timing.engine: timing.milliseconds for timing in measured if timing.rows == ROWS[1]}
    figures = f"{taken['tensorrt']} ms against {taken['onnxruntime']} for {ROWS[1]} rows on {torch.cuda.get_device_name()}"
    if taken["tensorrt"] >= taken["onnxruntime"]:
        plan.unlink()
        return "onnxruntime", f"TensorRT is not faster: {figures}"
    return "tensorrt", figures


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


def _uncompiled(network: nn.Module, tensors: Tensors) -> Predictions:
    rows = len(next(iter(tensors.values())))
    numbers, categories = tensors.get("numbers", np.zeros((rows, 0), np.float32)), tensors.get("categories", np.zeros((rows, 0), np.int32))
    with torch.no_grad():
        return network.eval()(torch.from_numpy(numbers), torch.from_numpy(categories)).numpy()


def _tensorrt_plan(model: Path) -> bytes:
    try:
        return tensorrt_build.build_engine(import_module("tensorrt"), model, largest_batch=LARGEST_BATCH)
    except tensorrt_build.EngineNotBuilt as error:
        raise CompileFailed(f"TensorRT can't compile {model.name}: {error}") from error
