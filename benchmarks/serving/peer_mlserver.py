"""MLServer: `python -m benchmarks.serving.peer_mlserver VERSION_FOLDER SCRATCH PORT`.

A custom runtime, as its documentation says for what it has no runtime for. It takes the graph's tensors in v2 JSON. As by default, the
server hands requests to one worker process (`parallel_workers`), and no batch is made of them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri

from roundtrip.serving.scoring import MODEL_FILE, open_session
from roundtrip.serving.tensors import OUTPUT

MODEL = "flight_eta"


class OnnxGraph(MLModel):
    """The graph's tensors in, its predictions out."""

    async def load(self) -> bool:
        self._session = open_session(Path(await get_model_uri(self.settings)), threads=1)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feed = {tensor.name: self.decode(tensor, default_codec=NumpyCodec) for tensor in payload.inputs}
        (found,) = self._session.run([OUTPUT], feed)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[NumpyCodec.encode_output(OUTPUT, found)])


def main() -> None:
    version, scratch, port = sys.argv[1:]
    server = {"host": "127.0.0.1", "http_port": int(port), "grpc_port": free_port(), "metrics_port": free_port(), "debug": False}
    model = {
        "name": MODEL,
        "implementation": "benchmarks.serving.peer_mlserver.OnnxGraph",
        "parameters": {"uri": str(Path(version) / MODEL_FILE), "version": "1"},
    }
    (Path(scratch) / "settings.json").write_text(json.dumps(server))
    (Path(scratch) / "model-settings.json").write_text(json.dumps(model))
    os.execv(sys.executable, [sys.executable, str(Path(sys.executable).with_name("mlserver")), "start", scratch])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
