"""Run a TensorRT engine on this machine's GPU, to compare it with the trained network before it is served."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch

from roundtrip.contracts.errors import CompileFailed
from roundtrip.serving.tensors import OUTPUT, Predictions, Tensors

PLAN_FILE = "model.plan"


def tensorrt_can_run() -> bool:
    """Whether an engine can be built and run here: a CUDA GPU is visible and the `tensorrt` package is installed."""
    return torch.cuda.is_available() and find_spec("tensorrt") is not None


class TensorRtEngine:
    """One engine, deserialised. Rows are answered in batches of at most `largest_batch`."""

    def __init__(self, plan: Path, *, largest_batch: int) -> None:
        tensorrt = import_module("tensorrt")
        self._engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING)).deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise CompileFailed(f"{plan} can't be deserialised by TensorRT {tensorrt.__version__} on {torch.cuda.get_device_name()}.")
        self._context = self._engine.create_execution_context()
        self._largest_batch = largest_batch

    def answer(self, tensors: Tensors) -> Predictions:
        """Encoded rows → float32 [n, outputs]."""
        rows = len(next(iter(tensors.values())))
        starts = range(0, rows, self._largest_batch)
        batches = [{name: array[start : start + self._largest_batch] for name, array in tensors.items()} for start in starts]
        return torch.cat([self._run(batch) for batch in batches]).numpy()

    def _run(self, batch: Tensors) -> torch.Tensor:
        given = {name: torch.from_numpy(array).cuda().contiguous() for name, array in batch.items()}
        for name, tensor in given.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
            self._context.set_tensor_address(name, tensor.data_ptr())
        output = torch.empty(tuple(self._context.get_tensor_shape(OUTPUT)), dtype=torch.float32, device="cuda")
        self._context.set_tensor_address(OUTPUT, output.data_ptr())
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise CompileFailed("TensorRT could not run the engine that it built: see its log above.")
        stream.synchronize()
        return output.cpu()
