"""The metrics that Prometheus reads from /metrics."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The metrics of one service, in a registry of its own, so that a process can have several services."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        common: dict[str, Any] = {"namespace": "recsys", "registry": self.registry}
        self.requests = Counter("requests", "Requests.", ("method", "route", "status"), **common)
        self.seconds = Histogram(
            "request_seconds",
            "Time from a request to its answer, seconds.",
            ("method", "route"),
            buckets=SECONDS_BUCKETS,
            **common,
        )
        self.photos = Gauge("photos_in_work", "Photos in progress or waiting.", **common)
        self.snapshot = Gauge("snapshot", "Number of the current snapshot, from 1.", **common)
        self.products = Gauge("products", "Products that can be recommended.", **common)
