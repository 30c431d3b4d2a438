"""Build an engine from an ONNX graph with TensorRT or TensorRT-RTX, which share this part of their interface.

Also a command, for TensorRT-RTX's own environment, where only this file runs (so it imports nothing of Roundtrip):
`python tensorrt_build.py tensorrt_rtx model.onnx engine --largest-batch 1024`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from types import ModuleType

RTX_COMPUTE_CAPABILITIES = ("SM80", "SM86", "SM89", "SM120")
"""GPU generations that TensorRT-RTX builds for, none at hand: Ampere, Ada, Blackwell. It has no Hopper, and no float32 GEMM on Turing."""


class EngineNotBuilt(Exception):
    """TensorRT can't parse or compile the graph; the message is its own."""


def build_engine(tensorrt: ModuleType, model: Path, *, largest_batch: int) -> bytes:
    """The serialised engine of `model` for 1 to `largest_batch` rows. Raises EngineNotBuilt.

    Float32 throughout: TF32's 10-bit mantissa would miss the parity tolerance at delays of hundreds of minutes.
    """
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        raise EngineNotBuilt("; ".join(str(parser.get_error(index)) for index in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        width = tensor.shape[1]
        profile.set_shape(tensor.name, (1, width), (max(1, largest_batch // 8), width), (largest_batch, width))
    config.add_optimization_profile(profile)
    if tensorrt.__name__ == "tensorrt_rtx":
        _target_all_generations(tensorrt, config)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineNotBuilt(f"{tensorrt.__name__} {tensorrt.__version__} parsed {model.name} but built no engine: see its log above")
    return bytes(engine)


def _target_all_generations(tensorrt_rtx: ModuleType, config: object) -> None:
    config.num_compute_capabilities = len(RTX_COMPUTE_CAPABILITIES)  # type: ignore[attr-defined]
    for place, name in enumerate(RTX_COMPUTE_CAPABILITIES):
        config.set_compute_capability(getattr(tensorrt_rtx.ComputeCapability, name), place)  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("library", choices=("tensorrt", "tensorrt_rtx"))
    parser.add_argument("model", type=Path)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--largest-batch", type=int, required=True)
    request = parser.parse_args()
    try:
        engine = build_engine(import_module(request.library), request.model, largest_batch=request.largest_batch)
    except EngineNotBuilt as error:
        raise SystemExit(str(error)) from None
    request.engine.write_bytes(engine)


if __name__ == "__main__":
    main()
