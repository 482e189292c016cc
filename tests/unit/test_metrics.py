"""What can be seen of a process from outside: metrics, and their form for CloudWatch."""

from __future__ import annotations

import json
import socket
from io import StringIO

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from detect_api.core import worker_port
from detect_api.core.cloudwatch import EmbeddedMetrics, tell_regularly
from detect_api.core.metrics import Metrics
from detect_api.core.worker_health import STUCK_SECONDS, WorkerHealth
from detect_api.core.worker_metrics import WorkerMetrics


def test_a_task_is_counted_with_its_outcome_also_when_it_raises() -> None:
    metrics = WorkerMetrics()
    with metrics.task("segment") as outcome:
        outcome.word = "done"
    with pytest.raises(RuntimeError), metrics.task("segment"):
        raise RuntimeError
    told = metrics.registry.get_sample_value
    assert told("detect_api_tasks_total", {"task": "segment", "outcome": "done"}) == 1
    assert told("detect_api_tasks_total", {"task": "segment", "outcome": "again"}) == 1
    assert told("detect_api_task_seconds_count", {"task": "segment"}) == 2


def test_methods_that_clients_think_up_make_no_more_series() -> None:
    metrics = Metrics()
    for method in ("GET", "BREW", "WHEN", "PROPFIND"):
        metrics.request(method, "/jobs", 405, 0.1)
    names = {
        sample.labels["method"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "method" in sample.labels
    }
    assert names == {"GET", "other"}


def test_a_worker_answers_on_its_port_and_bears_that_it_is_taken() -> None:
    metrics = WorkerMetrics()
    metrics.plates.inc(3)
    health = WorkerHealth(lambda: True, lambda: False)
    port = worker_port.serve(metrics.registry, health, "127.0.0.1", 0)
    assert port
    assert "detect_api_plates_total 3.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert httpx.get(f"http://127.0.0.1:{port}/keys").status_code == 404
    assert worker_port.serve(metrics.registry, health, "127.0.0.1", port) is None


@pytest.mark.parametrize("host", ["::1", "::"])
def test_a_worker_answers_on_ipv6(host: str) -> None:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    health = WorkerHealth(lambda: True, lambda: False)
    port = worker_port.serve(WorkerMetrics().registry, health, host, 0)
    assert httpx.get(f"http://[::1]:{port}/health").json() == {"ok": True, "detail": "alive"}
    if host == "::":
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200


def test_a_worker_is_ready_only_while_it_takes_work() -> None:
    now, loaded, stopping = [100.0], [False], [False]
    health = WorkerHealth(lambda: loaded[0], lambda: stopping[0], clock=lambda: now[0])
    port = worker_port.serve(WorkerMetrics().registry, health, "127.0.0.1", 0)

    def asked(path: str) -> tuple[int, str]:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}")
        return answer.status_code, answer.json()["detail"]

    assert asked("/health") == (200, "alive")
    assert asked("/ready") == (503, "loading its models")
    loaded[0] = True
    assert asked("/ready") == (503, "does not reach the database")
    health.database_answered()
    assert asked("/ready") == (200, "ready")
    stopping[0] = True
    assert asked("/ready") == (503, "stopping")
    assert asked("/health") == (200, "alive"), "it is not to be killed while it drains"
    now[0] += STUCK_SECONDS + 1
    assert asked("/health") == (503, "stuck for 61 s")
    health.loop_turned()
    assert asked("/health") == (200, "alive")


def test_cloudwatch_gets_gauges_as_they_are_and_counters_as_they_grow() -> None:
    registry = CollectorRegistry()
    jobs = Gauge("detect_api_jobs", "", ["status"], registry=registry)
    frames = Counter("detect_api_frames_total", "", registry=registry)
    seconds = Histogram("detect_api_task_seconds", "", ["task"], registry=registry)
    metrics = EmbeddedMetrics(registry, "worker")
    jobs.labels("pending").set(4)
    frames.inc(10)
    seconds.labels("plan").observe(0.5)
    first = [json.loads(line) for line in metrics.lines(1000.0)]
    frames.inc(5)
    second = [json.loads(line) for line in metrics.lines(1060.5)]
    assert {"status": "pending", "jobs": 4.0}.items() <= first[0].items()
    about = first[0]["_aws"]["CloudWatchMetrics"][0]
    assert about["Namespace"] == "detect-api"
    assert about["Dimensions"] == [["service", "status"]]
    assert {d for line in first for d in line} >= {"task_seconds_count", "task_seconds_sum"}
    assert [line["frames_total"] for line in first if "frames_total" in line] == [10.0]
    assert [line["frames_total"] for line in second if "frames_total" in line] == [5.0]
    assert not [line for line in second if "task_seconds_count" in line]
    assert second[0]["_aws"]["Timestamp"] == 1_060_500


def test_no_line_for_cloudwatch_names_more_metrics_than_it_takes() -> None:
    registry = CollectorRegistry()
    for number in range(250):
        Gauge(f"detect_api_g{number}", "", registry=registry).set(number)
    lines = [json.loads(line) for line in EmbeddedMetrics(registry, "api").lines(0.0)]
    counts = [len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for line in lines]
    assert counts == [100, 100, 50]


def test_the_last_word_is_told_when_telling_ends() -> None:
    registry = CollectorRegistry()
    frames = Counter("detect_api_frames_total", "", registry=registry)
    out = StringIO()
    end = tell_regularly(registry, "worker", 3600.0, out=out)
    frames.inc(7)
    end()
    assert json.loads(out.getvalue())["frames_total"] == 7.0
