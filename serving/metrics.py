"""Numbers for Prometheus: TF Serving's, under the names that it gives them, and some of its own.

Only models that are served become label values: names from requests are chosen by strangers and
would grow the page without end.
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from serving.errors import Code, ServingError
from serving.predict import Prediction
from serving.registry import Registry

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # which TF Serving has not

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

# TF Serving's buckets in microseconds: from 10 us to about 20 minutes.
_LATENCY_BUCKETS_US = [10 * 1.8**k for k in range(33)]
_EXAMPLE_BUCKETS = [2.0**k for k in range(15)]


class Metrics:
    """The metrics of one server; several servers in one process do not share them."""

    def __init__(self, registry: Registry, waiting: Mapping[str, Callable[[], int]]) -> None:
        """Count nothing yet.

        Args:
            registry: of the models.
            waiting: entry point -> how many of its requests wait for a thread.
        """
        self._page = CollectorRegistry()
        self._page.register(_Now(registry, waiting))
        self._counters: dict[str, Counter] = {}
        self._requests = self._counter(
            ":tensorflow:serving:request_count",
            "The total number of requests.",
            "model_name", "status",
        )  # fmt: skip
        self._latency = self._histogram(
            ":tensorflow:serving:request_latency",
            "Distribution of wall time (in microseconds) for Tensorflow Serving requests.",
            "model_name", "API", "entrypoint",
        )  # fmt: skip
        self._runtime = self._histogram(
            ":tensorflow:serving:runtime_latency",
            "Distribution of wall time (in microseconds) for Tensorflow runtime.",
            "model_name", "API", "runtime",
        )  # fmt: skip
        self._examples = self._histogram(
            ":tensorflow:serving:request_example_counts",
            "The number of examples of a request.",
            "model",
            buckets=_EXAMPLE_BUCKETS,
        )
        self._n_examples = self._counter(
            ":tensorflow:serving:request_example_count_total",
            "The total number of examples.",
            "model",
        )
        self._loads = self._counter(
            ":tensorflow:cc:saved_model:load_attempt_count",
            "The number of times a SavedModel was requested to be loaded.",
            "model_path", "status",
        )  # fmt: skip
        self._load_latency = self._histogram(
            ":tensorflow:cc:saved_model:load_latency",
            "Latency in microseconds for SavedModels that were successfully loaded.",
            "model_path",
        )
        self._by_version = self._counter(
            "tl_serving_requests",
            "The requests that were answered, by what answered them.",
            "model_name", "version", "signature_name", "entrypoint",
        )  # fmt: skip
        # Looking children up by their labels costs more than counting.
        self._children = functools.cache(self._look_up)

    def count(
        self, model_name: str, api: str, entrypoint: str, code: Code, duration_s: float
    ) -> None:
        """Note one finished request; its latency counts only where it succeeded."""
        self._requests.labels(model_name, code.name).inc()
        if code is Code.OK:
            self._latency.labels(model_name, api, entrypoint).observe(duration_s * 1e6)

    def count_run(self, api: str, entrypoint: str, prediction: Prediction) -> None:
        """Note what the model has done for a request."""
        runtime, examples, n_examples, requests = self._children(
            prediction.model_name, prediction.version, prediction.signature_name, api, entrypoint
        )
        runtime.observe(prediction.run_s * 1e6)
        examples.observe(prediction.n_examples)
        n_examples.inc(prediction.n_examples)
        requests.inc()

    @contextmanager
    def load(self, path: Path) -> Iterator[None]:
        """Count the loading of a version while the block runs."""
        started_s = time.monotonic()
        try:
            yield
        except ServingError:
            self._loads.labels(str(path), "fail").inc()
            raise
        self._loads.labels(str(path), "success").inc()
        self._load_latency.labels(str(path)).observe((time.monotonic() - started_s) * 1e6)

    def total(self, name: str) -> int:
        """Give the sum of a counter over all its labels, by TF Serving's name; 0 of an unknown."""
        wanted = name.replace("/", ":")
        return sum(
            int(sample.value)
            for called, counter in self._counters.items()
            if called == wanted
            for family in counter.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )

    def page(self) -> bytes:
        """Give the page in Prometheus' text format."""
        page = generate_latest(self._page)
        # The library puts `_total` behind every counter's name; dashboards made for TF Serving
        # look for the name without it.
        for name in self._counters:
            if name.startswith(":") and not name.endswith("_total"):
                page = page.replace(f"{name}_total".encode(), name.encode())
        return page

    def _look_up(
        self, model_name: str, version: int, signature_name: str, api: str, entrypoint: str
    ) -> tuple[Any, Any, Any, Any]:
        return (
            self._runtime.labels(model_name, api, "TF1"),
            self._examples.labels(model_name),
            self._n_examples.labels(model_name),
            self._by_version.labels(model_name, str(version), signature_name, entrypoint),
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        counter = Counter(name, words, labels, registry=self._page)
        self._counters[name] = counter
        return counter

    def _histogram(
        self,
        name: str,
        words: str,
        *labels: str,
        buckets: list[float] = _LATENCY_BUCKETS_US,
    ) -> Histogram:
        return Histogram(name, words, labels, buckets=buckets, registry=self._page)


class _Now(Collector):
    """What is read from the server when somebody asks for the page."""

    def __init__(self, registry: Registry, waiting: Mapping[str, Callable[[], int]]) -> None:
        self._registry = registry
        self._waiting = waiting

    def collect(self) -> Iterable[Any]:
        waiting = GaugeMetricFamily(
            "tl_serving_waiting_requests", "Requests that wait for a thread.", labels=["entrypoint"]
        )
        for entrypoint, count in self._waiting.items():
            waiting.add_metric([entrypoint], count())
        state = GaugeMetricFamily(
            "tl_serving_version_state",
            "1 for the state that a version is in.",
            labels=["model_name", "version", "state"],
        )
        running = GaugeMetricFamily(
            "tl_serving_running_requests",
            "Requests that a version is answering.",
            labels=["model_name", "version"],
        )
        batches = HistogramMetricFamily(
            "tl_serving_batch_rows",
            "Rows of the batches that were run.",
            labels=["model_name", "version"],
        )
        for version in self._registry.overview():
            labels = [version.model, str(version.version)]
            state.add_metric([*labels, version.state.name], 1)
            if version.servable is None:
                continue
            running.add_metric(labels, version.in_flight)
            if sizes := version.servable.batch_sizes():
                batches.add_metric(
                    labels,
                    _cumulated(sizes),
                    sum(size * batches for size, batches in sizes.items()),
                )
        return [waiting, state, running, batches]


def _cumulated(sizes: Mapping[int, float]) -> list[tuple[str, float]]:
    bounds = [bound for bound in _EXAMPLE_BUCKETS if bound < 2 * max(sizes)]
    buckets = [
        (f"{bound:.1f}", sum(n for size, n in sizes.items() if size <= bound)) for bound in bounds
    ]
    return [*buckets, ("+Inf", sum(sizes.values()))]
