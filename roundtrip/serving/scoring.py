"""Score rows in this process with ONNX Runtime: batch scoring, parity, and the gateway's answer when Triton gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime

from roundtrip.contracts.model_contract import ModelContract, Value
from roundtrip.registry.version_folder import verify
from roundtrip.serving.tensors import OUTPUT, Predictions, Tensors, tensors_of

MODEL_FILE = "model.onnx"
CONTRACT_FILE = "contract.json"


class Scorer:
    """One model version, loaded from its verified folder. Safe to call from several threads."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Raises DigestMismatch when a file of the folder is not the one its manifest names. `threads`: cores for one call."""
        self.digest = verify(folder)
        self.contract = ModelContract.from_json((folder / CONTRACT_FILE).read_bytes())
        self._session = open_session(folder / MODEL_FILE, threads=threads)

    def predict(self, columns: Mapping[str, Sequence[Value]]) -> Predictions:
        """Columns of n values (None or left out = missing) → float32 [n, outputs] in the order of the contract's outputs."""
        return self.answer(tensors_of(*self.contract.encode(columns)))

    def answer(self, tensors: Tensors) -> Predictions:
        """Encoded rows → float32 [n, outputs]."""
        return self._session.run([OUTPUT], tensors)[0]


def open_session(model: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU with `threads` threads that don't spin while they wait (other services share the cores)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
