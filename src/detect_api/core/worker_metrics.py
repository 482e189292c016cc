"""Prometheus metrics of a worker process; ``worker_port`` tells them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


@dataclass
class Outcome:
    """How a task ended: ``done``, ``void``, ``failed``, ``interrupted`` or ``again``."""

    word: str = "again"


class WorkerMetrics:
    """What a worker has done since it started. Each instance has its own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tasks = Counter(
            "detect_api_tasks_total",
            "Tasks ended: done, void (their job was gone), failed (their job with them), "
            "interrupted (the worker stops) or again (to be tried again).",
            ["task", "outcome"],
            registry=self.registry,
        )
        self._task_seconds = Histogram(
            "detect_api_task_seconds",
            "Time from a task's start to its end.",
            ["task"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.segment_wait = Histogram(
            "detect_api_segment_wait_seconds",
            "Time from a job's start to the first start of each of its segments.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.read_bytes = Counter(
            "detect_api_video_bytes_read_total",
            "Bytes of videos read from storage.",
            registry=self.registry,
        )
        self.frames = Counter(
            "detect_api_frames_total", "Frames looked at.", registry=self.registry
        )
        self.detections = Counter(
            "detect_api_detections_total", "Plates found in frames.", registry=self.registry
        )
        self.plates = Counter(
            "detect_api_plates_total", "Plates read: passes of vehicles.", registry=self.registry
        )
        self.unread = Counter(
            "detect_api_unread_total", "Tracks seen and not read.", registry=self.registry
        )
        self._jobs = Counter(
            "detect_api_jobs_ended_total",
            "Jobs that this worker brought to their end; code tells why one failed.",
            ["status", "code"],
            registry=self.registry,
        )
        self.swept = Counter(
            "detect_api_swept_total",
            "What the sweep had to put right: tasks of dead workers, lost tasks, broken uploads, "
            "jobs of gone versions.",
            ["what"],
            registry=self.registry,
        )
        self.taken_away = Counter(
            "detect_api_tasks_taken_away_total",
            "Tasks that were given to another worker since this one was silent for too long.",
            registry=self.registry,
        )

    @contextmanager
    def task(self, name: str) -> Iterator[Outcome]:
        """Measures a task; whoever runs it says how it ended."""
        outcome = Outcome()
        started = time.perf_counter()
        try:
            yield outcome
        finally:
            self._tasks.labels(name, outcome.word).inc()
            self._task_seconds.labels(name).observe(time.perf_counter() - started)

    def job_ended(self, status: str, code: str = "") -> None:
        """Counts a job that reached its end."""
        self._jobs.labels(status, code).inc()
