"""Beginning a job anew: what was found of it goes, and it waits for a worker again."""

from __future__ import annotations

from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from detect_api.db.tables import Event, Job, Plate, Segment, UnreadTrack
from detect_api.jobs import queue, states


def begin_anew(session: Session, job: Job) -> None:
    """Takes a locked processing job back to its beginning, as another attempt.

    Work of the attempt before is void. The job's edition is that of whoever begins it now.
    """
    for table in (Segment, Plate, UnreadTrack, Event):
        session.execute(delete(table).where(table.job_id == job.id))
    job.attempt += 1
    job.status = states.PENDING
    job.message = "Waiting for a worker."
    job.progress = 0.0
    job.started_at = job.completed_at = None
    job.error_code = job.error_detail = None
    job.video = job.merge_state = job.planned_segments = job.edition = None
    job.problems = []
    job.pictures_deleted_at = job.plates_deleted_at = None
    job.merged_segments = job.frames_total = job.frames_done = 0
    job.detections = job.frames_with_detections = job.plates_found = job.unread_found = 0
    job.updated_at = func.now()
    session.flush()
    queue.defer_plan(session, job.id, job.attempt, image=job.type == "image")
    queue.notify(session, job.id)
