"""The states of a job, and how it gets from one to the next.

    upload:        awaiting_upload → uploaded | expired   (then the state of its processing job)
    video, image:  uploading → pending → processing → completed | failed | cancelled
                   (a resumable upload that stands still: uploading → expired)

A change of state is one statement that names the state it starts from, so that two processes
can never both make it. Whoever loses raises Superseded and leaves everything as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from detect_api.db.tables import Event, Job
from detect_api.jobs import outbox, queue
from detect_api.jobs.status import (
    ACTIVE,
    ALL,
    AWAITING_UPLOAD,
    CANCELLED,
    COMPLETED,
    EXPIRED,
    FAILED,
    FINISHED,
    PENDING,
    PROCESSING,
    UPLOADED,
    UPLOADING,
)

__all__ = [
    "ACTIVE", "ALL", "AWAITING_UPLOAD", "CANCELLED", "COMPLETED", "EXPIRED", "FAILED", "FINISHED",
    "PENDING", "PROCESSING", "UPLOADED", "UPLOADING",
    "Superseded", "add_event", "fail", "locked",
]  # fmt: skip


class Superseded(Exception):
    """The work is void: its job was cancelled, deleted, started anew or has ended."""


def locked(session: Session, job_id: uuid.UUID, attempt: int, status: Iterable[str]) -> Job:
    """The job's row, locked until the transaction ends.

    Raises Superseded unless it is in one of the given states and in this attempt.
    """
    job = session.scalar(
        select(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.status.in_(tuple(status)))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if job is None:
        raise Superseded
    return job


def add_event(session: Session, job_id: uuid.UUID, kind: str, data: dict[str, Any]) -> None:
    """Records an event for the job's followers and wakes them on commit.

    When it is the job's end, its webhooks are written down, too.
    """
    session.add(Event(job_id=job_id, type=kind, data=data))
    session.flush()
    if kind in FINISHED:
        outbox.announce(session, job_id, kind)
    queue.notify(session, job_id)


def fail(
    session: Session,
    job_id: uuid.UUID,
    attempt: int,
    *,
    code: str,
    detail: str,
    from_states: Iterable[str] = ACTIVE,
) -> bool:
    """Ends the job as failed; False if it was not in a state to fail.

    What was found until then stays readable.
    """
    changed = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.status.in_(tuple(from_states)))
        .values(
            status=FAILED,
            error_code=code,
            error_detail=detail,
            message=f"Failed: {detail}",
            completed_at=func.now(),
            updated_at=func.now(),
            merge_state=None,
        )
        .returning(Job.id)
    ).first()
    if changed is None:
        return False
    add_event(session, job_id, FAILED, {"code": code, "detail": detail})
    return True
