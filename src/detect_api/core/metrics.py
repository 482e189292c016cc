"""Prometheus metrics of one process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics:
    """The API's counters. Each instance has its own registry, so that tests do not share one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "detect_api_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "detect_api_http_request_seconds",
            "Time from a request's arrival to the end of its answer.",
            ["method", "route"],
            registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
        )
        self.uploaded_bytes = Counter(
            "detect_api_uploaded_bytes_total",
            "Bytes received through the API.",
            registry=self.registry,
        )
        self.streams = Gauge(
            "detect_api_event_streams", "Event streams open now.", registry=self.registry
        )
        self.jobs = Gauge("detect_api_jobs", "Jobs by state.", ["status"], registry=self.registry)
        self.queue = Gauge(
            "detect_api_queue_tasks", "Tasks in the queue.", ["queue"], registry=self.registry
        )
        self.queue_age = Gauge(
            "detect_api_queue_oldest_seconds",
            "Age of the oldest task that waits.",
            registry=self.registry,
        )
        self.webhooks = Gauge(
            "detect_api_webhooks", "Webhooks in the log.", ["status"], registry=self.registry
        )
        self.workers = Gauge(
            "detect_api_workers", "Workers with a fresh heartbeat.", registry=self.registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answered request. Methods that a client thinks up are one."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
