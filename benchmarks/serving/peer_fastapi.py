"""FastAPI with pydantic, ONNX Runtime in its process: `python -m benchmarks.serving.peer_fastapi VERSION_FOLDER SCRATCH PORT`.

One uvicorn worker. The path is a coroutine: a run of this graph is shorter than the way to a thread and back.
"""

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from benchmarks.serving.onnx_rows import OnnxRows, contract_in
from roundtrip.serving.gateway.schema import request_model


def application(folder: Path) -> FastAPI:
    """One path, /predict."""
    rows, Asked = OnnxRows(folder), request_model(contract_in(folder))  # noqa: N806 - a type
    app = FastAPI()

    @app.post("/predict")
    async def predict(asked: Asked) -> dict[str, list[dict[str, float]]]:  # type: ignore[valid-type]
        return {"predictions": rows.answer(asked.instances)}  # type: ignore[attr-defined]

    return app


if __name__ == "__main__":
    uvicorn.run(application(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[3]), access_log=False, log_level="warning")
