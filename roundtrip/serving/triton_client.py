"""Talk to Triton over gRPC: load and unload models (with the admin key), ask whether a version is ready, infer with a deadline.

The messages are built by hand from the v2 protocol: tritonclient's own wrapper costs 1.6 times as much per request.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from roundtrip.contracts.errors import ProbeFailed, ServiceUnavailable
from roundtrip.serving.tensors import OUTPUT, Predictions, Tensors

LOAD_TIMEOUT_S = 60.0
"""A load starts a Python process that imports ONNX Runtime: 1 to 3 s on idle cores, more when Spark and training use them."""
ADMIN_HEADER = "triton-grpc-protocol-admin-key"
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
"""A channel to a restarted Triton is back within a second; gRPC's own backoff grows to two minutes."""


def infer_request(model: str, version: str, tensors: Tensors) -> service_pb2.ModelInferRequest:
    """The v2 request for one version, always pinned: an unversioned request moves to the newest version by itself."""
    request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for name, array in tensors.items():
        request.inputs.add(name=name, datatype="FP32" if array.dtype == np.float32 else "INT32", shape=array.shape)
        request.raw_input_contents.append(np.ascontiguousarray(array).tobytes())
    return request


def predictions_of(response: service_pb2.ModelInferResponse) -> Predictions:
    """The answer as float32 [n, outputs]."""
    place = next(index for index, output in enumerate(response.outputs) if output.name == OUTPUT)
    return np.frombuffer(response.raw_output_contents[place], dtype=np.float32).reshape(tuple(response.outputs[place].shape))


class TritonClient:
    """A blocking client for jobs and for repairs; use it as a context manager."""

    def __init__(self, address: str, admin_key: str) -> None:
        self._address = address
        self._admin = ((ADMIN_HEADER, admin_key),)
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()

    def load(self, model: str) -> None:
        """Load what the repository holds of `model`: its new versions are added, those that are gone are unloaded.

        Triton starts the versions that stay a second time and moves over when they are ready; requests go on meanwhile.
        Raises ProbeFailed when Triton can't load it (its own reason in the message), ServiceUnavailable when Triton is away.
        """
        self._control(self._stub.RepositoryModelLoad, service_pb2.RepositoryModelLoadRequest(model_name=model), f"load {model}")

    def unload(self, model: str) -> None:
        """Unload every version of `model`; errors as for `load`."""
        self._control(self._stub.RepositoryModelUnload, service_pb2.RepositoryModelUnloadRequest(model_name=model), f"unload {model}")

    def ready_versions(self, model: str) -> set[str]:
        """Versions of `model` that Triton calls ready. A dead backend process still counts as ready: `infer` is the real test."""
        try:
            index = self._stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True), timeout=5, metadata=self._admin)
        except grpc.RpcError as error:
            raise _unavailable(self._address, "list its models", error) from error
        return {entry.version for entry in index.models if entry.name == model}

    def wait_until_gone(self, model: str, version: str, *, timeout_s: float = 30.0) -> None:
        """Wait until Triton no longer serves the version: unloading goes on in the background while requests finish."""
        deadline = time.monotonic() + timeout_s
        while version in self.ready_versions(model):
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"Triton still serves {model} version {version} {timeout_s:.0f} s after its unload: see its log.")
            time.sleep(0.1)

    def infer(self, model: str, version: str, tensors: Tensors, *, deadline_s: float) -> Predictions:
        """Encoded rows → float32 [n, outputs]. Raises ProbeFailed when the version gives no answer within the deadline."""
        try:
            return predictions_of(self._stub.ModelInfer(infer_request(model, version, tensors), timeout=deadline_s, metadata=self._admin))
        except grpc.RpcError as error:
            raise ProbeFailed(f"Triton gave no answer for {model} version {version} within {deadline_s} s: {_detail(error)}") from error

    def _control(self, call: grpc.UnaryUnaryMultiCallable, request: object, what: str) -> None:  # type: ignore[type-arg]
        try:
            call(request, timeout=LOAD_TIMEOUT_S, metadata=self._admin)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise _unavailable(self._address, what, error) from error
            raise ProbeFailed(f"Triton can't {what}: {_detail(error)}") from error


def _unavailable(address: str, what: str, error: grpc.RpcError) -> ServiceUnavailable:
    return ServiceUnavailable(f"Triton at {address} did not {what}: {_detail(error)}. Is it up? See `roundtrip status` and its log.")


def _detail(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"
