"""BentoML: `python -m benchmarks.serving.peer_bentoml VERSION_FOLDER SCRATCH PORT`.

A service with typed rows, one worker, as by default.
"""

import os
import sys
from pathlib import Path

import bentoml

from benchmarks.serving.onnx_rows import OnnxRows, contract_in
from roundtrip.serving.gateway.schema import instance_model

VARIABLE = "BENCH_VERSION_FOLDER"

if __name__ == "__main__":
    version, scratch, port = sys.argv[1:]
    environment = os.environ | {VARIABLE: version, "BENTOML_HOME": scratch, "BENTOML_DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "bentoml", "serve", "benchmarks.serving.peer_bentoml:BentoRows", "--host", "127.0.0.1", "--port", port]
    os.execve(sys.executable, command, environment)

FOLDER = Path(os.environ[VARIABLE])
Instance = instance_model(contract_in(FOLDER))


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class BentoRows:
    """One path, /predict."""

    def __init__(self) -> None:
        self._rows = OnnxRows(FOLDER)

    @bentoml.api
    def predict(self, instances: list[Instance]) -> list[dict[str, float]]:  # type: ignore[valid-type]
        return self._rows.answer(instances)
