"""Ray Serve: `python -m benchmarks.serving.peer_ray VERSION_FOLDER SCRATCH PORT`. A FastAPI ingress with typed rows, one replica.

Beside the replica Ray runs its proxy, its controller and the processes of a cluster of one node. All listen on the loopback interface but
one: a replica's own gRPC port, a random one, is on every interface, and Ray 2.60 has no setting for it.
"""

import os
import sys
from pathlib import Path

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # or a node of a cluster listens on every interface; Ray reads it when imported

import ray
from fastapi import FastAPI
from ray import serve

from benchmarks.serving.onnx_rows import OnnxRows, contract_in
from roundtrip.serving.gateway.schema import request_model

VARIABLE = "BENCH_VERSION_FOLDER"
OBJECT_STORE_BYTES = 100 * 2**20
"""Ray takes a third of the memory otherwise; requests don't go through it."""


def main() -> None:
    version, scratch, port = sys.argv[1:]
    os.environ |= {VARIABLE: version, "RAY_USAGE_STATS_ENABLED": "0"}
    from benchmarks.serving.peer_ray import RayRows  # by its name, not as __main__: the replica imports it

    ray.init(
        include_dashboard=False, num_cpus=os.cpu_count(), object_store_memory=OBJECT_STORE_BYTES, _node_ip_address="127.0.0.1",
        _temp_dir=scratch,
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)}, logging_config={"enable_access_log": False})
    serve.run(RayRows.bind(), blocking=True)  # type: ignore[attr-defined]  # the decorator makes a deployment of it


if __name__ != "__main__":
    FOLDER = Path(os.environ[VARIABLE])
    Asked = request_model(contract_in(FOLDER))
    app = FastAPI()

    @serve.deployment(num_replicas=1, max_ongoing_requests=32)
    @serve.ingress(app)
    class RayRows:
        """One path, /predict."""

        def __init__(self) -> None:
            self._rows = OnnxRows(FOLDER)

        @app.post("/predict")
        async def predict(self, asked: Asked) -> dict[str, list[dict[str, float]]]:  # type: ignore[valid-type]
            return {"predictions": self._rows.answer(asked.instances)}  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
