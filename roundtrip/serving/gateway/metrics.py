"""What Prometheus reads at /metrics (with the API key, as every route but live and ready)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("gateway_requests", "HTTP requests", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "gateway_request_seconds",
            "Seconds from the request's head to the answer's end",
            ["route"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.predictions = Counter(
            "gateway_predictions", "Rows predicted", ["use_case", "model_version", "served_by"], registry=self.registry
        )
        self.fallbacks = Counter(
            "gateway_triton_fallbacks", "Requests that Triton left to ONNX Runtime here", ["use_case", "reason"], registry=self.registry
        )
        self.batch_rows = Histogram(
            "gateway_triton_batch_rows", "Rows of a call to Triton", buckets=[2**power for power in range(11)], registry=self.registry
        )
        self.generation = Gauge("gateway_release_generation", "Generation of the release that serves", ["use_case"], registry=self.registry)
        self.database_up = Gauge("gateway_release_database_up", "1 when PostgreSQL answered last", registry=self.registry)
        self.triton_up = Gauge(
            "gateway_triton_up", "1 when Triton answered for the live version last", ["use_case"], registry=self.registry
        )
        self.log_lost = Counter("gateway_prediction_log_lost", "Predictions that could not be written to the log", registry=self.registry)
        self.log_waiting = Gauge("gateway_prediction_log_waiting", "Closed segments not uploaded yet", registry=self.registry)
