"""Task ``redact``: makes a copy of a job's video in which no plate can be read.

One at a time in a worker, and slowly while segments wait or are read: reading comes first. A
copy that broke off is begun again. Its object is put under a key of its own, and becomes the copy
in the transaction that ends the task, if the wish for it still stands.
"""

from __future__ import annotations

import io
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import defer

from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Plate, Redaction, Segment, UnreadTrack
from detect_api.jobs import queue, states
from detect_api.jobs.progress import Interrupted
from detect_api.jobs.segment import plan_of
from detect_api.jobs.views import REDACTED_TYPE, redacted_prefix
from detect_api.jobs.workshop import Workshop, video_info_of
from detect_api.vision import decode
from detect_api.vision.export import Export
from detect_api.vision.redact import HOLD_SECONDS, Course, Redactor
from detect_api.vision.types import Frame, VideoInfo

log = structlog.get_logger(__name__)

_TELL_SECONDS = 1.0
_REST = 3.0
"""While there is something to read, so many times as long as it works it rests."""

_ACTIVE = ("pending", "processing")

_LOST = text("""
    SELECT job_id, export_id FROM redactions
     WHERE status IN ('pending', 'processing') AND updated_at < now() - interval '10 seconds'
       AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs q
                        WHERE q.lock = 'redact:' || redactions.job_id
                          AND q.status IN ('todo', 'doing'))
     LIMIT 200
""")


def redact(shop: Workshop, job_id: uuid.UUID, export_id: uuid.UUID) -> None:
    """Makes the copy that was asked for under ``export_id``.

    Raises Superseded, Interrupted, VideoError, StorageError, OSError if there is no room.
    """
    job = _claim(shop, job_id, export_id)
    info = video_info_of(job)
    with tempfile.TemporaryFile() as file:
        work = _Work(shop, job_id, export_id, info.total_frames)
        with Export(
            file, info.width, info.height, fps=info.fps, threads=shop.settings.worker_threads or 1
        ) as export:
            redactor = Redactor(_courses(shop, job_id), round(HOLD_SECONDS * info.fps))
            for frame in _frames(shop, job, info, work):
                for seconds, picture in redactor.add(frame, shop.engine.suspect(frame)):
                    export.add(picture, seconds)
                work.one_more()
            for seconds, picture in redactor.finish():
                export.add(picture, seconds)
            export.finish()
        work.tell()
        key = f"{redacted_prefix(shop.settings.s3_video_prefix, job_id)}{export_id}.webm"
        size = _store(shop, file, key, work)
    with shop.sessions.begin() as session:
        row = session.get(Redaction, job_id, with_for_update=True)
        if row is not None and row.export_id == export_id and row.status in _ACTIVE:
            row.status, row.object_key, row.size = "completed", key, size
            row.frames_done, row.frames_missing = work.done, info.total_frames - work.done
            row.completed_at = row.updated_at = func.now()
            log.info("redacted", job_id=str(job_id), frames=work.done, bytes=size)
            return
    # Its job was deleted, which looks for late objects for a while; this one is known now.
    shop.store.delete(key)
    raise states.Superseded


def fail(
    sessions: SessionFactory, job_id: uuid.UUID, export_id: uuid.UUID, code: str, detail: str
) -> None:
    """Ends a copy that cannot be made."""
    with sessions.begin() as session:
        session.execute(
            update(Redaction)
            .where(
                Redaction.job_id == job_id,
                Redaction.export_id == export_id,
                Redaction.status.in_(_ACTIVE),
            )
            .values(
                status="failed",
                error_code=code,
                error_detail=detail,
                completed_at=func.now(),
                updated_at=func.now(),
            )
        )


def requeue_lost(sessions: SessionFactory) -> None:
    """Queues again the copies that no queue entry stands for."""
    with sessions.begin() as session:
        for row in session.execute(_LOST).all():
            log.warning("redaction_was_lost", job_id=str(row.job_id))
            queue.defer_redaction(session, row.job_id, row.export_id)


def _claim(shop: Workshop, job_id: uuid.UUID, export_id: uuid.UUID) -> Job:
    with shop.sessions.begin() as session:
        job = session.get(Job, job_id)
        claimed = session.execute(
            update(Redaction)
            .where(
                Redaction.job_id == job_id,
                Redaction.export_id == export_id,
                Redaction.status.in_(_ACTIVE),
            )
            .values(status="processing", frames_done=0, updated_at=func.now())
            .returning(Redaction.job_id)
        ).first()
        if claimed is None or job is None or job.video_deleted_at is not None:
            raise states.Superseded
        return job


def _courses(shop: Workshop, job_id: uuid.UUID) -> list[Course]:
    with shop.sessions() as session:
        paths = [
            path
            for table in (Plate, UnreadTrack)
            for path in session.scalars(
                select(table.path).where(table.job_id == job_id, table.path.is_not(None))
            )
        ]
    return [Course.from_json(path) for path in paths if path]


def _frames(shop: Workshop, job: Job, info: VideoInfo, work: _Work) -> Iterator[Frame]:
    """All frames of the video, also those that were not looked at for reading."""
    with shop.sessions() as session:
        rows = session.scalars(
            select(Segment)
            .options(defer(Segment.result, raiseload=True))
            .where(Segment.job_id == job.id)
            .order_by(Segment.index)
        ).all()
    for row in rows:
        numbers = range(row.first_frame, row.end_frame)
        with shop.source(job) as source:
            reader = decode.frames(source, plan_of(row), numbers, info, shop.limits)
            with closing(reader):
                for frame in reader:
                    yield frame
                    work.give_way()


def _store(shop: Workshop, file: BinaryIO, key: str, work: _Work) -> int:
    size = file.seek(0, io.SEEK_END)
    upload = shop.store.begin(key, REDACTED_TYPE, {})
    try:
        for start in range(0, size, shop.store.part_size):
            file.seek(start)
            part = file.read(shop.store.part_size)
            upload.add_part(io.BytesIO(part), len(part))
            work.tell()
        upload.complete()
    except BaseException:
        upload.abort()
        raise
    return size


class _Work:
    """How far a copy is. Looks once a second whether it is still wanted, and what else is."""

    def __init__(
        self, shop: Workshop, job_id: uuid.UUID, export_id: uuid.UUID, frames: int
    ) -> None:
        self.done = 0
        self._shop = shop
        self._job_id = job_id
        self._export_id = export_id
        self._frames = frames
        self._told = self._began = time.monotonic()
        self._yields = True

    def one_more(self) -> None:
        self.done += 1
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self.tell()

    def give_way(self) -> None:
        """Rests, if somebody else could use the processor. Raises Interrupted."""
        now = time.monotonic()
        if self._yields:
            self._shop.stop.wait(_REST * min(1.0, now - self._began))
        if self._shop.stop.is_set():
            raise Interrupted
        self._began = time.monotonic()

    def tell(self) -> None:
        """Writes the progress down. Raises Superseded if nobody wants the copy any more."""
        if self._shop.stop.is_set():
            raise Interrupted
        with self._shop.sessions.begin() as session:
            known = session.execute(
                update(Redaction)
                .where(
                    Redaction.job_id == self._job_id,
                    Redaction.export_id == self._export_id,
                    Redaction.status == "processing",
                )
                .values(frames_done=min(self.done, self._frames), updated_at=func.now())
                .returning(Redaction.job_id)
            ).first()
            self._yields = queue.reading_goes_on(session)
        if known is None:
            raise states.Superseded
        self._told = time.monotonic()
