"""Model versions: MLflow registration and the immutable version folder."""

import os

# Read when mlflow is imported. Its client would report to its makers, by a thread that changes os.environ while requests read it:
# a KeyError ended one of some hundred processes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
