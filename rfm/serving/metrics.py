"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("rfm_requests", "Requests by route and status", ["route", "status"], **of)
        self.seconds = Histogram(
            "rfm_request_seconds", "From headers to answer, by route", ["route"], buckets=_SECONDS, **of
        )
        self.batch = Histogram("rfm_batch_questions", "Questions answered together", buckets=_SIZES, **of)
        self.frames = Counter("rfm_frames", "Frames of clips that were taken on", **of)
        self.cancelled = Counter("rfm_cancelled", "Requests whose client left before the answer", **of)
        self.deaths = Counter("rfm_worker_deaths", "Workers that died", **of)
        self.reloads = Counter("rfm_reloads", "Reloads by outcome", ["outcome"], **of)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Tell a value that is looked up when asked for."""
        Gauge(name, what, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self.registry)
