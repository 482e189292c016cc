"""The queue: Procrastinate's tables in our own database.

Tasks are deferred on the connection of the caller's transaction, so that a row and the work that
it asks for are committed together or not at all.
"""

from __future__ import annotations

import uuid

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from detect_api.core import tracing
from detect_api.db.tables import Job

SEGMENTS = "segments"
"""The long work: decoding and reading."""

CONTROL = "control"
"""The short work that must not wait behind it: planning, merging, still images."""

ANY = ""
"""The edition of work that every version can do: beginning a job."""

CHANNEL = "detect_api_jobs"
"""NOTIFY channel; the payload is the id of a job that changed."""

REDACTIONS = "redactions"
"""Copies of videos without plates: long work that gives way to reading."""

PLAN, SEGMENT, MERGE, REDACT = "plan", "segment", "merge", "redact"

_IMAGE_PRIORITY, _MERGE_PRIORITY = 20, 10

# Deferring goes through the caller's connection; this app's own connector is never opened.
_app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def named(queue: str, edition: str) -> str:
    """The queue of the work that only workers of this edition can do.

    Monitoring and autoscaling count by what stands before the colon.
    """
    return f"{queue}:{edition}" if edition else queue


def _defer(
    session: Session,
    task: str,
    *,
    queue: str,
    priority: int = 0,
    lock: str | None = None,
    queueing_lock: str | None = None,
    **arguments: str | int,
) -> None:
    connection = session.connection().connection.driver_connection
    _app.configure_task(
        task,
        allow_unknown=True,
        queue=queue,
        priority=priority,
        lock=lock,
        queueing_lock=queueing_lock,
        connection=connection,
    ).defer(**arguments)


def defer_plan(
    session: Session,
    job_id: uuid.UUID,
    attempt: int,
    *,
    image: bool = False,
    edition: str | None = ANY,
) -> None:
    """Queues the planning of a job, in the session's transaction.

    The job belongs to the trace of whoever calls. ``edition`` is that of a job that has begun.
    """
    if tracing.wanted():
        session.execute(
            update(Job).where(Job.id == job_id).values(traceparent=tracing.traceparent())
        )
    _defer(
        session,
        PLAN,
        queue=named(CONTROL, edition or ANY),
        priority=_IMAGE_PRIORITY if image else 0,
        lock=f"plan:{job_id}",
        job_id=str(job_id),
        attempt=attempt,
    )


def defer_segment(
    session: Session,
    job_id: uuid.UUID,
    attempt: int,
    index: int,
    *,
    image: bool = False,
    edition: str | None,
) -> None:
    """Queues one segment, in the session's transaction. ``edition`` is the job's.

    The n-th segments of all jobs come before the n+1-th ones, so that a long video does not
    keep short ones waiting.
    """
    _defer(
        session,
        SEGMENT,
        queue=named(CONTROL if image else SEGMENTS, edition or ANY),
        priority=_IMAGE_PRIORITY if image else -index,
        lock=f"segment:{job_id}:{index}",
        job_id=str(job_id),
        attempt=attempt,
        index=index,
    )


def defer_merge(
    session: Session,
    job_id: uuid.UUID,
    attempt: int,
    *,
    image: bool = False,
    edition: str | None,
) -> None:
    """Queues a merge of what is there, unless one is queued already. ``edition`` is the job's.

    Merges of one job never run at the same time.
    """
    try:
        with session.begin_nested():
            _defer(
                session,
                MERGE,
                queue=named(CONTROL, edition or ANY),
                priority=_IMAGE_PRIORITY if image else _MERGE_PRIORITY,
                lock=f"merge:{job_id}",
                queueing_lock=f"merge:{job_id}:{attempt}",
                job_id=str(job_id),
                attempt=attempt,
            )
    except AlreadyEnqueued:
        return


def may_wait_again(session: Session, task_id: int) -> None:
    """Lets a running merge go back to the queue although another one may wait there by then."""
    session.execute(
        text("UPDATE procrastinate_jobs SET queueing_lock = NULL WHERE id = :id"), {"id": task_id}
    )


def move(session: Session, task_id: int, edition: str) -> None:
    """Moves a running task of the short work to an edition's queue, should it have to run again."""
    session.execute(
        text("UPDATE procrastinate_jobs SET queue_name = :name WHERE id = :id"),
        {"name": named(CONTROL, edition), "id": task_id},
    )


def defer_redaction(session: Session, job_id: uuid.UUID, export_id: uuid.UUID) -> None:
    """Queues the making of a copy of the job's video without plates."""
    _defer(
        session,
        REDACT,
        queue=REDACTIONS,
        lock=f"redact:{job_id}",
        job_id=str(job_id),
        export_id=str(export_id),
    )


def reading_goes_on(session: Session) -> bool:
    """Whether a segment waits for a worker, or is being read by one."""
    return (
        session.scalar(
            text(
                "SELECT 1 FROM procrastinate_jobs "
                "WHERE status IN ('todo', 'doing') "
                "AND split_part(queue_name, ':', 1) = :queue LIMIT 1"
            ),
            {"queue": SEGMENTS},
        )
        is not None
    )


def notify(session: Session, job_id: uuid.UUID) -> None:
    """Tells whoever follows the job that it changed, once the transaction commits."""
    session.execute(
        text("SELECT pg_notify(:channel, :id)"), {"channel": CHANNEL, "id": str(job_id)}
    )
