"""Parses each DAG file in a process of its own, as Airflow's DAG processor does, and prints what that took as JSON.

{file: {"cpu_s": CPU seconds, "heavy": heavy packages that it imported}}
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import airflow.dag_processing.processor
import airflow.sdk  # noqa: F401 - the DAG processor has imported both before it forks

HEAVY = [
    "boto3",
    "pyspark",
    "deltalake",
    "great_expectations",
    "torch",
    "deepspeed",
    "mlflow",
    "optuna",
    "onnxruntime",
    "tritonclient",
    "evidently",
    "pandas",
    "numpy",
    "pyarrow",
    "psycopg",
    "fastapi",
]


def parse(file: Path, pipe: int) -> None:
    before = set(sys.modules)
    started = time.process_time()
    exec(compile(file.read_text(), str(file), "exec"), {"__name__": file.stem, "__doc__": None})
    seconds = time.process_time() - started
    heavy = sorted(name for name in HEAVY if name in set(sys.modules) - before)
    os.write(pipe, json.dumps({"cpu_s": seconds, "heavy": heavy}).encode())
    os._exit(0)


def parsed(file: Path) -> dict[str, object]:
    answer, pipe = os.pipe()
    if os.fork() == 0:
        parse(file, pipe)
    os.close(pipe)
    with open(answer) as whole:  # noqa: PTH123 - a file descriptor
        return json.loads(whole.read())


if __name__ == "__main__":
    print(json.dumps({Path(name).name: parsed(Path(name)) for name in sys.argv[1:]}))
