"""Numbers of a server for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

REPLY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_TEXTS = (1, 2, 4, 8, 16, 32, 64)


class ServerMetrics:
    """Counts of requests and batches, and the memory and processor time of the process."""

    def __init__(self) -> None:
        disable_created_metrics()  # when each number began, which nobody asks
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "serve_requests",
            "Requests, by their status.",
            ["endpoint", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "serve_request_seconds",
            "Time from the head of a request to its answer.",
            ["endpoint"],
            buckets=REPLY_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "serve_batch_texts",
            "Texts that were read together.",
            ["endpoint"],
            buckets=BATCH_TEXTS,
            registry=registry,
        )
        self._waiting = Gauge("serve_waiting_texts", "Texts in the queue.", registry=registry)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Takes the length of the queue from a function."""
        self._waiting.set_function(waiting)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def batch(self, endpoint: str, texts: int) -> None:
        self._batches.labels(endpoint).observe(texts)

    def text(self) -> bytes:
        """All numbers, in the format of Prometheus."""
        return generate_latest(self._registry)
