"""Copies of videos in which no plate can be read: asking for one, and getting it."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Session

from detect_api.core.errors import Conflict, Gone, NotFound
from detect_api.core.ids import new_id
from detect_api.db.tables import Job, Redaction
from detect_api.jobs import queue, states
from detect_api.jobs.views import REDACTED_TYPE, rfc3339
from detect_api.services.playback_service import StoredVideo, video_of
from detect_api.services.result_service import processed_job
from detect_api.storage.base import ObjectStore


def ask(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """Has a copy made, unless there is one or one is being made.

    Raises NotFound, Conflict unless the job is a video that was read to its end, and Gone.
    """
    found = video_of(session, job_id)
    job = session.get(Job, found.id, with_for_update={"key_share": True}, populate_existing=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", code="job_not_found")
    if job.type != "video" or job.status != states.COMPLETED:
        raise Conflict(
            "A redacted copy can be made of a video whose job is completed: this one is a "
            f"{job.type} that is {job.status}.",
            code="not_redactable",
        )
    if job.video_deleted_at is not None:
        raise Gone("The video was deleted after it had been processed.", code="video_deleted")
    row = session.get(Redaction, job.id, populate_existing=True)
    if row is not None and row.status != "failed":
        return view(job, row)
    if row is None:
        row = Redaction(job_id=job.id)
        session.add(row)
    row.export_id = new_id()
    row.status = "pending"
    row.frames_done = row.frames_missing = 0
    row.error_code = row.error_detail = None
    row.created_at = row.updated_at = func.now()
    session.flush()
    session.refresh(row)
    queue.defer_redaction(session, job.id, row.export_id)
    return view(job, row)


def status(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """How far the copy is. Raises NotFound if none was asked for."""
    job = processed_job(session, job_id)
    return view(job, _of(session, job))


def copy_of(session: Session, store: ObjectStore, job_id: uuid.UUID) -> StoredVideo:
    """The finished copy. Raises NotFound, Conflict while it is not finished, StorageError."""
    row = _of(session, processed_job(session, job_id))
    if row.status != "completed" or row.object_key is None:
        raise Conflict(
            f"The redacted copy is {row.status}: see GET /jobs/{job_id}/redacted.",
            code="not_finished",
        )
    return StoredVideo(store.head(row.object_key), REDACTED_TYPE)


def _of(session: Session, job: Job) -> Redaction:
    row = session.get(Redaction, job.id)
    if row is None:
        raise NotFound(
            f"No redacted copy was asked for: do so with POST /jobs/{job.id}/redacted.",
            code="redaction_not_found",
        )
    return row


def view(job: Job, row: Redaction) -> dict[str, Any]:
    """A copy as clients see it."""
    total = (job.video or {}).get("total_frames") or 0
    done = row.status == "completed"
    return {
        "job_id": str(job.id),
        "status": row.status,
        "progress": 1.0 if done else round(min(1.0, row.frames_done / total), 4) if total else 0.0,
        "frames": {"done": row.frames_done, "total": total, "missing": row.frames_missing},
        "content_type": REDACTED_TYPE,
        "size": row.size,
        "created_at": rfc3339(row.created_at),
        "completed_at": rfc3339(row.completed_at),
        "error": {"code": row.error_code, "detail": row.error_detail} if row.error_code else None,
        "video_url": f"/jobs/{job.id}/redacted/video" if done else None,
    }
