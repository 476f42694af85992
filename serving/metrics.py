"""Counters for Prometheus, under the names TF Serving gives them.

Only models that are served become label values: names from requests are chosen by strangers and
would grow the page without end.
"""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from serving.errors import Code

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
PATH = "/monitoring/prometheus/metrics"

_REQUEST_COUNT = ":tensorflow:serving:request_count"
# TF Serving's buckets in microseconds: from 10 us to about 20 minutes.
_LATENCY_BUCKETS_US = [10 * 1.8**k for k in range(33)]


class Metrics:
    """The metrics of one server; several servers in one process do not share them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            _REQUEST_COUNT,
            "The total number of requests.",
            ["model_name", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Distribution of wall time (in microseconds) for Tensorflow Serving requests.",
            ["model_name", "API", "entrypoint"],
            buckets=_LATENCY_BUCKETS_US,
            registry=self._registry,
        )

    def count(
        self, model_name: str, api: str, entrypoint: str, code: Code, duration_s: float
    ) -> None:
        """Note one finished request; its latency counts only where it succeeded."""
        self._requests.labels(model_name, code.name).inc()
        if code is Code.OK:
            self._latency.labels(model_name, api, entrypoint).observe(duration_s * 1e6)

    def page(self) -> bytes:
        """Give the page in Prometheus' text format."""
        # The library puts `_total` behind every counter's name; dashboards made for TF Serving
        # look for the name without it.
        return generate_latest(self._registry).replace(
            f"{_REQUEST_COUNT}_total".encode(), _REQUEST_COUNT.encode()
        )
