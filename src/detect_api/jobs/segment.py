"""Task ``segment``: reads the plates in one stretch of the video."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import replace

from sqlalchemy import func, select, update

from detect_api.core.errors import VideoError
from detect_api.db.tables import Job, Segment
from detect_api.jobs import editions, queue, states
from detect_api.jobs.progress import SegmentProgress, refresh, totals
from detect_api.jobs.workshop import Workshop, parameters_of, video_info_of
from detect_api.vision import decode, pipeline, wire
from detect_api.vision.types import SegmentPlan, SegmentResult


def segment(shop: Workshop, job_id: uuid.UUID, attempt: int, index: int) -> None:
    """Reads one segment and writes its result, in one transaction, once.

    A video that the decoder cannot get through costs this segment's frames, not the job: the
    result says what is missing. Raises Superseded, Interrupted, StorageError.
    """
    job, row = _claim(shop, job_id, attempt, index)
    if row.result is None:
        _write(shop, job_id, attempt, index, _read(shop, job, row, attempt))


def plan_of(row: Segment) -> SegmentPlan:
    """The row as the pipeline's value."""
    return SegmentPlan(
        index=row.index,
        first_frame=row.first_frame,
        end_frame=row.end_frame,
        start_seconds=row.start_seconds,
        end_seconds=row.end_seconds,
        cursor=row.cursor,
    )


def _claim(shop: Workshop, job_id: uuid.UUID, attempt: int, index: int) -> tuple[Job, Segment]:
    with shop.sessions.begin() as session:
        job = states.locked(session, job_id, attempt, (states.PROCESSING,))
        editions.require(job, shop.edition)
        row = session.get(Segment, (job_id, index))
        if row is None or row.attempt != attempt:
            raise states.Superseded
        row.tries += 1
        row.started_at = func.clock_timestamp()
        if row.tries == 1 and job.started_at is not None:
            waited = session.scalar(select(func.clock_timestamp() - job.started_at))
            assert waited is not None
            shop.metrics.segment_wait.observe(waited.total_seconds())
        return job, row


def _read(shop: Workshop, job: Job, row: Segment, attempt: int) -> SegmentResult:
    for last_try in (False, True):
        try:
            return _read_once(shop, job, row, attempt)
        except VideoError as error:
            # A child that was killed may have been the victim of somebody else's memory.
            if error.code == "decoder_crashed" and not last_try:
                continue
            return _unreadable(row, len(_numbers(job, row)), error)
    raise AssertionError("unreachable")


def _numbers(job: Job, row: Segment) -> range:
    return parameters_of(job).wanted(row.first_frame, row.end_frame)


def _read_once(shop: Workshop, job: Job, row: Segment, attempt: int) -> SegmentResult:
    numbers = _numbers(job, row)
    progress = SegmentProgress(shop.sessions, job.id, attempt, row.index, shop.stop)
    with shop.source(job) as source:
        reader = decode.lean_frames(source, plan_of(row), numbers, video_info_of(job), shop.limits)
        with closing(reader):
            result = pipeline.observe(
                reader,
                shop.engine,
                expected=len(numbers),
                region=parameters_of(job).region,
                still=job.type == "image",
                on_progress=progress,
            )
        return replace(result, problems=(*result.problems, *reader.problems))


def _unreadable(row: Segment, frames: int, error: VideoError) -> SegmentResult:
    return SegmentResult(
        processed_frames=0,
        frames_with_detections=0,
        observations=(),
        missing_frames=frames,
        problems=(
            f"Frames {row.first_frame} to {row.end_frame - 1} could not be read: {error.detail}",
        ),
    )


def _write(
    shop: Workshop, job_id: uuid.UUID, attempt: int, index: int, result: SegmentResult
) -> None:
    with shop.sessions.begin() as session:
        job = states.locked(session, job_id, attempt, (states.PROCESSING,))
        written = session.execute(
            update(Segment)
            .where(
                Segment.job_id == job_id,
                Segment.index == index,
                Segment.attempt == attempt,
                Segment.result.is_(None),
            )
            .values(
                result=wire.dump_result(result),
                frames_done=result.processed_frames,
                detections=len(result.observations),
                finished_at=func.clock_timestamp(),
            )
            .returning(Segment.index)
        ).first()
        if written is None:
            return
        refresh(job, *totals(session, job_id))
        job.updated_at = func.now()
        image = job.type == "image"
        queue.defer_merge(session, job_id, attempt, image=image, edition=job.edition)
        queue.notify(session, job_id)
    shop.metrics.frames.inc(result.processed_frames)
    shop.metrics.detections.inc(len(result.observations))
