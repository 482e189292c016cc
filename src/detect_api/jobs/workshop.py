"""What every task needs at hand."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from detect_api.core.config import Settings
from detect_api.core.worker_metrics import WorkerMetrics
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job
from detect_api.storage.base import ObjectStore
from detect_api.storage.reader import ByteSource, ObjectSource
from detect_api.vision.decode import DecodeLimits
from detect_api.vision.pipeline import Engine
from detect_api.vision.types import (
    AnyFrame,
    Box,
    Image,
    Observation,
    Parameters,
    Reading,
    VideoInfo,
)


@dataclass(frozen=True)
class SharedEngine(Engine):
    """An Engine whose users take turns, frame by frame.

    So a still image is read between two frames of a video instead of after it.
    """

    turn: threading.Lock = field(default_factory=threading.Lock)

    def find(self, frame: AnyFrame, *, still: bool = False) -> list[tuple[Observation, Image]]:
        with self.turn:
            return super().find(frame, still=still)

    def suspect(self, frame: AnyFrame) -> list[Box]:
        with self.turn:
            return super().suspect(frame)

    def read(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Reading | None]:
        with self.turn:
            return super().read(crops, region=region, still=still)


@dataclass
class Workshop:
    """The worker's settings, connections and models, shared by its tasks."""

    settings: Settings
    sessions: SessionFactory
    store: ObjectStore
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    stop: threading.Event = field(default_factory=threading.Event)
    _engine: SharedEngine | None = None
    _engine_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def engine(self) -> SharedEngine:
        """The models, loaded on first use, once."""
        with self._engine_lock:
            if self._engine is None:
                loaded = Engine.load(
                    threads=self.settings.worker_threads or 1, device=self.settings.device
                )
                self._engine = SharedEngine(loaded.detector, loaded.reader)
            return self._engine

    @property
    def limits(self) -> DecodeLimits:
        """How much a video may ask of the decoding child."""
        return DecodeLimits.from_settings(self.settings)

    @contextmanager
    def source(self, job: Job) -> Iterator[ByteSource]:
        """The job's video as bytes, held to the version that the plan has seen."""
        assert job.object_key is not None
        assert job.file_size is not None
        source = ObjectSource(self.store, job.object_key, job.file_size, job.object_etag)
        try:
            yield source
        finally:
            self.metrics.read_bytes.inc(source.bytes_read)
            source.close()


def parameters_of(job: Job) -> Parameters:
    """The job's parameters as the pipeline takes them."""
    chosen: dict[str, Any] = job.parameters
    return Parameters(
        frame_skip=chosen.get("frame_skip") or 1,
        start_frame=chosen.get("start_frame"),
        end_frame=chosen.get("end_frame"),
        min_confidence=chosen.get("min_confidence"),
        region=chosen.get("region"),
    )


def video_info_of(job: Job) -> VideoInfo:
    """What the plan found out about the job's video."""
    assert job.video is not None
    return VideoInfo(**{**job.video, "problems": tuple(job.video.get("problems", ()))})


def load_job(shop: Workshop, job_id: uuid.UUID) -> Job | None:
    """The job as it is now, outside any transaction."""
    with shop.sessions() as session:
        return session.get(Job, job_id)
