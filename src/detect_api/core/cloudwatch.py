"""Metrics as CloudWatch takes them from a log: the embedded metric format.

One JSON line on standard output now and then; the CloudWatch agent, or the ``awslogs`` driver of a
container, makes metrics of it without a further call. Format: "CloudWatch embedded metric format
specification" in AWS's documentation.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from prometheus_client import CollectorRegistry

NAMESPACE = "detect-api"
_MOST_METRICS = 100
"""CloudWatch takes no more in one line."""

Labels = tuple[tuple[str, str], ...]


class EmbeddedMetrics:
    """Turns a registry into lines: gauges as they are, counters as what was added since."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        self._registry = registry
        self._service = service
        self._before: dict[tuple[str, Labels], float] = {}

    def lines(self, now: float) -> Iterator[str]:
        """The lines for what changed until ``now`` (seconds since 1970); none for nothing.

        A counter's increase is told once, whatever happens to the line.
        """
        by_labels: dict[Labels, dict[str, float]] = {}
        for name, labels, value, counts in self._samples():
            key = (name, labels)
            told = value - self._before.get(key, 0.0) if counts else value
            self._before[key] = value
            if told or not counts:
                by_labels.setdefault(labels, {})[name] = told
        for labels, values in by_labels.items():
            names = list(values)
            for start in range(0, len(names), _MOST_METRICS):
                yield self._line(now, labels, {n: values[n] for n in names[start:][:_MOST_METRICS]})

    def _samples(self) -> Iterator[tuple[str, Labels, float, bool]]:
        for metric in self._registry.collect():
            for sample in metric.samples:
                if sample.name.endswith(("_created", "_bucket")):
                    continue
                labels = tuple(sorted((k, v) for k, v in sample.labels.items() if v))
                counts = metric.type in ("counter", "histogram")
                yield sample.name.removeprefix("detect_api_"), labels, sample.value, counts

    def _line(self, now: float, labels: Labels, values: dict[str, float]) -> str:
        dimensions = {"service": self._service, **dict(labels)}
        about = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name} for name in values],
        }
        head = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [about]}
        return json.dumps({"_aws": head, **dimensions, **values})


def tell_regularly(
    registry: CollectorRegistry,
    service: str,
    seconds: float,
    *,
    before: Callable[[], None] = lambda: None,
    out: TextIO | None = None,
) -> Callable[[], None]:
    """Starts telling a registry every ``seconds``; returns what ends that, with a last word.

    ``before`` is called first each time, to bring gauges up to date; if it fails, they stay.
    """
    metrics = EmbeddedMetrics(registry, service)
    ending = threading.Event()

    def tell() -> None:
        stream = out or sys.stdout
        for line in metrics.lines(time.time()):
            stream.write(line + "\n")
        stream.flush()

    def run() -> None:
        while not ending.wait(seconds):
            before()
            tell()

    thread = threading.Thread(target=run, name="tell-metrics", daemon=True)
    thread.start()

    def end() -> None:
        ending.set()
        thread.join(timeout=seconds + 5.0)
        tell()

    return end
