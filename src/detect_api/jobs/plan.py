"""Task ``plan``: finds out what the video is and cuts it into segments.

Segments are queued as they are found, so that reading plates starts while a long video is still
being scanned. Scanning again after a crash finds the same segments and adds the missing ones.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from contextlib import closing
from dataclasses import asdict

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

import detect_api
from detect_api.core.config import MIB
from detect_api.core.errors import VideoError
from detect_api.db.tables import Job, Segment
from detect_api.jobs import editions, queue, states
from detect_api.jobs.progress import Interrupted, counting
from detect_api.jobs.workshop import Workshop, load_job, parameters_of
from detect_api.vision import decode, wire
from detect_api.vision.types import Parameters, SegmentPlan, SegmentResult, VideoInfo

_BATCH_SECONDS = 0.3
_HASH_PIECE = 4 * MIB

NOTHING_TO_DO = SegmentResult(processed_frames=0, frames_with_detections=0, observations=())


def plan(shop: Workshop, job_id: uuid.UUID, attempt: int, task_id: int) -> None:
    """Plans the job. Raises Superseded, VideoError, ObjectMissing or StorageError.

    ``task_id`` is the task's in the queue: with the job's beginning it becomes one that only
    workers of this edition can go on with.
    """
    job = _start(shop, job_id, attempt, task_id)
    if job.planned_segments is None:
        _scan(shop, job, attempt)
    if job.input_sha256 is None:
        digest = _hash(shop, job)
        with shop.sessions.begin() as session:
            row = states.locked(session, job_id, attempt, (states.PROCESSING,))
            row.input_sha256 = digest
            image = row.type == "image"
            queue.defer_merge(session, job_id, attempt, image=image, edition=row.edition)


def _start(shop: Workshop, job_id: uuid.UUID, attempt: int, task_id: int) -> Job:
    """Takes the job from pending to processing and notes which bytes it is about."""
    known = load_job(shop, job_id)
    if known is None or known.attempt != attempt or known.status not in states.ACTIVE:
        raise states.Superseded
    assert known.object_key is not None
    found = shop.store.head(known.object_key)
    if found.size == 0:
        raise VideoError("The file is empty: upload it again.", code="empty_file")
    with shop.sessions.begin() as session:
        job = states.locked(session, job_id, attempt, states.ACTIVE)
        if job.status == states.PENDING:
            job.status = states.PROCESSING
            job.started_at = func.now()
            job.message = "Scanning the video"
            job.software = f"detect-api {detect_api.__version__}"
            job.edition = shop.edition
            job.models = [asdict(model) for model in shop.engine.models]
            if job.object_etag != found.etag:
                job.input_sha256 = None  # of what was there when an earlier attempt read it
            job.object_etag = found.etag
            job.file_size = found.size
            queue.move(session, task_id, shop.edition)
        else:
            editions.require(job, shop.edition)
        job.updated_at = func.now()
        queue.notify(session, job_id)
    return job


def _scan(shop: Workshop, job: Job, attempt: int) -> None:
    parameters = parameters_of(job)
    image = job.type == "image"
    batch: list[SegmentPlan] = []
    count = 0
    info: VideoInfo | None = None
    flush_at = 0.0
    with (
        shop.source(job) as source,
        closing(
            decode.scan(source, shop.limits, shop.settings.segment_seconds, images=image)
        ) as found,
    ):
        for item in found:
            if shop.stop.is_set():
                raise Interrupted
            if isinstance(item, SegmentPlan):
                batch.append(item)
                count += 1
            else:
                info = item
                flush_at = 0.0
            if info is not None and time.monotonic() >= flush_at:
                _store(shop, job, attempt, info, parameters, batch)
                batch = []
                flush_at = time.monotonic() + _BATCH_SECONDS
    if info is None or count == 0:
        raise VideoError("No frame of the video can be read.", code="no_frames")
    parameters.require(info.total_frames)
    _store(shop, job, attempt, info, parameters, batch, planned=count)


def _store(
    shop: Workshop,
    job: Job,
    attempt: int,
    info: VideoInfo,
    parameters: Parameters,
    batch: list[SegmentPlan],
    *,
    planned: int | None = None,
) -> None:
    """Writes what the scan found so far, and queues the new segments, in one transaction."""
    with shop.sessions.begin() as session:
        row = states.locked(session, job.id, attempt, (states.PROCESSING,))
        row.video = asdict(info)
        row.frames_total = len(parameters.wanted(0, info.total_frames))
        row.message = counting(row.plates_found, row.frames_done, row.frames_total, row.detections)
        row.updated_at = func.now()
        image = row.type == "image"
        for segment in batch:
            _add_segment(session, row, segment, parameters)
        if planned is not None:
            row.planned_segments = planned
            row.problems = list(info.problems)
        if planned is not None or any(
            not parameters.wanted(s.first_frame, s.end_frame) for s in batch
        ):
            queue.defer_merge(session, row.id, attempt, image=image, edition=row.edition)
        queue.notify(session, row.id)


def _add_segment(session: Session, job: Job, segment: SegmentPlan, parameters: Parameters) -> None:
    """Adds a segment once; one in which no frame is wanted is done from the start."""
    wanted = parameters.wanted(segment.first_frame, segment.end_frame)
    added = session.execute(
        insert(Segment)
        .values(
            job_id=job.id,
            attempt=job.attempt,
            **asdict(segment),
            result=None if wanted else wire.dump_result(NOTHING_TO_DO),
        )
        .on_conflict_do_nothing()
        .returning(Segment.index)
    ).first()
    if added is not None and wanted:
        image = job.type == "image"
        queue.defer_segment(
            session, job.id, job.attempt, segment.index, image=image, edition=job.edition
        )


def _hash(shop: Workshop, job: Job) -> str:
    """SHA-256 of the video, read once through."""
    digest = hashlib.sha256()
    with shop.source(job) as source:
        for offset in range(0, source.size, _HASH_PIECE):
            if shop.stop.is_set():
                raise Interrupted
            digest.update(source.read_at(offset, _HASH_PIECE))
    return digest.hexdigest()
