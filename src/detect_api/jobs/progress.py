"""What a running job says of itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from threading import Event as Flag

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Segment
from detect_api.jobs import queue, states

INTERVAL_SECONDS = 0.4


class Interrupted(Exception):
    """The worker is stopping; the task goes back to the queue as it was."""


def counting(plates: int, done: int, total: int, detections: int) -> str:
    """The specification's progress sentence."""
    return (
        f"Processed {done}/{total} frames ({plates} unique plates, {detections} total detections)"
    )


def refresh(job: Job, done: int, detections: int) -> None:
    """Sets a locked job's counters from what its segments have done.

    They never go back, even when a segment starts again after a crash.
    """
    job.frames_done = max(job.frames_done, min(done, job.frames_total))
    job.detections = max(job.detections, detections)
    if job.frames_total:
        # Complete is only what is merged: the last hundredth is for that.
        job.progress = max(job.progress, min(0.99, job.frames_done / job.frames_total))
    job.message = counting(job.plates_found, job.frames_done, job.frames_total, job.detections)


class SegmentProgress:
    """Writes a segment's progress to its job, a few times a second, and hears of its end.

    Calling it raises Superseded when the job was cancelled or another worker, to whom the segment
    was given meanwhile, has finished it, and Interrupted when this worker is to stop.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        job_id: uuid.UUID,
        attempt: int,
        index: int,
        stop: Flag,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._job_id = job_id
        self._attempt = attempt
        self._index = index
        self._stop = stop
        self._clock = clock
        self._next = clock() + INTERVAL_SECONDS

    def __call__(self, frames_done: int, detections: int) -> None:
        if self._stop.is_set():
            raise Interrupted
        now = self._clock()
        if now < self._next:
            return
        self._next = now + INTERVAL_SECONDS
        with self._sessions.begin() as session:
            job = states.locked(session, self._job_id, self._attempt, (states.PROCESSING,))
            mine = session.execute(
                update(Segment)
                .where(
                    Segment.job_id == self._job_id,
                    Segment.index == self._index,
                    Segment.result.is_(None),
                )
                .values(frames_done=frames_done, detections=detections)
                .returning(Segment.index)
            ).first()
            if mine is None:
                raise states.Superseded
            refresh(job, *totals(session, self._job_id))
            job.updated_at = func.now()
            queue.notify(session, self._job_id)


def totals(session: Session, job_id: uuid.UUID) -> tuple[int, int]:
    """Frames and detections of all segments of a job."""
    done, detections = session.execute(
        select(
            func.coalesce(func.sum(Segment.frames_done), 0),
            func.coalesce(func.sum(Segment.detections), 0),
        ).where(Segment.job_id == job_id)
    ).one()
    return int(done), int(detections)
