"""Noticing that a pre-signed upload has arrived: storage does not tell, so it is asked."""

from __future__ import annotations

import uuid

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from detect_api.core.errors import ObjectMissing
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job
from detect_api.jobs import queue, states
from detect_api.storage.base import ObjectInfo, ObjectStore


def look_for_upload(sessions: SessionFactory, store: ObjectStore, job: Job) -> bool:
    """Notes that a pre-signed upload has arrived, if it has. Raises StorageError."""
    assert job.object_key is not None
    try:
        found = store.head(job.object_key)
    except ObjectMissing:
        with sessions.begin() as session:
            session.execute(update(Job).where(Job.id == job.id).values(checked_at=func.now()))
        return False
    with sessions.begin() as session:
        mark_uploaded(session, job.id, found)
    return True


def mark_uploaded(session: Session, job_id: uuid.UUID, found: ObjectInfo) -> None:
    """Moves an upload from awaited (or expired) to uploaded."""
    changed = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.status.in_((states.AWAITING_UPLOAD, states.EXPIRED)))
        .values(
            status=states.UPLOADED,
            progress=1.0,
            file_size=found.size,
            message="Uploaded. Ask for processing with POST /process/video/s3.",
            completed_at=None,
            updated_at=func.now(),
        )
        .returning(Job.id)
    ).first()
    if changed is not None:
        queue.notify(session, job_id)
