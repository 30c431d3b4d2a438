"""Triton's Python backend for one version: ONNX Runtime over the digest-checked graph beside this file.

Runs in Triton's own environment (numpy 1.26, onnxruntime, the standard library), so it imports nothing of Roundtrip.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as pb_utils

HERE = Path(__file__).resolve().parent


class TritonPythonModel:
    """What Triton loads: one object per version and instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph; raises when it is not the one that the version's manifest names, which fails this load only."""
        model = HERE / "model.onnx"
        named = json.loads((HERE / "manifest.json").read_bytes())["files"]["model.onnx"]
        found = hashlib.sha256(model.read_bytes()).hexdigest()
        if found != named:
            raise pb_utils.TritonModelException(f"{model}: SHA-256 is {found}, the manifest names {named}: stage the version again.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.inputs = [entry.name for entry in self.session.get_inputs()]

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """One response per request of the batch that Triton's dynamic batcher made; one run of the graph for each."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        feed = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        (predictions,) = self.session.run(["predictions"], feed)
        return pb_utils.InferenceResponse([pb_utils.Tensor("predictions", predictions)])
