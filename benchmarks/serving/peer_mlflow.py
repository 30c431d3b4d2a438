"""`mlflow models serve`: `python -m benchmarks.serving.peer_mlflow VERSION_FOLDER SCRATCH PORT`. The ONNX flavour, one worker.

It takes the graph's tensors as JSON, and checks them by the model's signature.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mlflow
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from benchmarks.serving.onnx_rows import contract_in
from roundtrip.serving.scoring import MODEL_FILE
from roundtrip.serving.tensors import OUTPUT, input_specs, output_spec

TYPES = {"FP32": np.dtype(np.float32), "INT32": np.dtype(np.int32)}


def main() -> None:
    version, scratch, port = sys.argv[1:]
    contract, model = contract_in(Path(version)), str(Path(scratch) / "model")
    inputs = Schema([TensorSpec(TYPES[spec.wire_type], (-1, spec.width), spec.name) for spec in input_specs(contract)])
    outputs = Schema([TensorSpec(TYPES["FP32"], (-1, output_spec(contract).width), OUTPUT)])
    mlflow.onnx.save_model(
        onnx.load(Path(version) / MODEL_FILE),
        model,
        signature=ModelSignature(inputs, outputs),
        pip_requirements=[],
        onnx_execution_providers=["CPUExecutionProvider"],
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    )
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "false"}
    served = ["models", "serve", "-m", model, "-h", "127.0.0.1", "-p", port, "--workers", "1", "--env-manager", "local"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *served])


if __name__ == "__main__":
    main()
