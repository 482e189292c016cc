"""What is kept for a limited time goes when that time is over: videos, pictures, plates.

Time is counted from a job's end, by the database's clock. Each round of the sweep takes a few jobs
and a limited number of rows, skips jobs that are in work or locked, and writes one receipt for
each job and kind. That something was deleted is written to the job in the same transaction, so
that a round which dies is done again as a whole.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from detect_api.core.config import Settings
from detect_api.db.session import SessionFactory
from detect_api.db.tables import (
    Event,
    Job,
    Plate,
    Redaction,
    Removal,
    UnreadTrack,
    WebhookDelivery,
)
from detect_api.jobs import outbox, queue, receipts, states
from detect_api.jobs.views import evidence_prefix, redacted_prefix

log = structlog.get_logger(__name__)

JOBS_A_ROUND = 50
ROWS_AT_ONCE = 5000
LATE_WRITERS = timedelta(minutes=10)
"""So long after its rows an object may still appear."""

KINDS = ("video", "picture", "plate")

_ENDED = (*states.FINISHED, states.UPLOADED)
_ENDED_AT = func.coalesce(Job.completed_at, Job.updated_at)

_DROP_READINGS = text("""
    UPDATE segments SET result = NULL
     WHERE (job_id, index) IN (
        SELECT segments.job_id, segments.index
          FROM segments JOIN jobs ON jobs.id = segments.job_id
         WHERE segments.result IS NOT NULL
           AND jobs.status IN ('completed', 'failed', 'cancelled')
         LIMIT :limit)
""")


def sweep_retention(sessions: SessionFactory, settings: Settings) -> None:
    """One round: deletes what is due, a limited number of rows."""
    with sessions.begin() as session:
        # What was read frame by frame is in nobody's interest once the job has ended.
        session.execute(_DROP_READINGS, {"limit": ROWS_AT_ONCE})
    for kind, days in days_of(settings).items():
        if days is not None:
            _round(sessions, settings, kind, days)


def days_of(settings: Settings) -> dict[str, int | None]:
    """For how many days each kind is kept; None is for ever. No picture outlives its plate."""
    plate = settings.retention_plate_days
    given = [days for days in (settings.retention_picture_days, plate) if days is not None]
    return {
        "video": settings.retention_video_days,
        "picture": min(given, default=None),
        "plate": plate,
    }


def due(kind: str, days: int) -> ColumnElement[bool]:
    """Whether what a job has of this kind has been kept for so many days."""
    old = func.now() - timedelta(days=days) > _ENDED_AT
    if kind == "video":
        other = aliased(Job)
        needed = exists().where(
            other.object_key == Job.object_key,
            other.id != Job.id,
            or_(
                other.status.not_in(_ENDED),
                func.coalesce(other.completed_at, other.updated_at)
                >= func.now() - timedelta(days=days),
            ),
        )
        copied = exists().where(
            Redaction.job_id == Job.id, Redaction.status.in_(("pending", "processing"))
        )
        has = and_(Job.object_key.is_not(None), Job.video_deleted_at.is_(None), ~needed, ~copied)
    elif kind == "picture":
        has = and_(Job.type != "upload", Job.pictures_deleted_at.is_(None))
    else:
        has = and_(Job.type != "upload", Job.plates_deleted_at.is_(None))
    return and_(Job.status.in_(_ENDED), old, has)


def first_due(kind: str, days: int) -> Select[uuid.UUID]:
    """The jobs of a round: those that ended first."""
    return select(Job.id).where(due(kind, days)).order_by(_ENDED_AT).limit(JOBS_A_ROUND)


def _round(sessions: SessionFactory, settings: Settings, kind: str, days: int) -> None:
    with sessions() as session:
        found = session.scalars(first_due(kind, days)).all()
    for job_id in found:
        with sessions.begin() as session:
            job = session.scalar(
                select(Job)
                .where(Job.id == job_id, due(kind, days))
                .with_for_update(key_share=True, skip_locked=True, of=Job)
            )
            if job is not None and (kind != "video" or _all_locked(session, job)):
                _DELETE[kind](session, settings, job, days)
                queue.notify(session, job_id)


def _all_locked(session: Session, job: Job) -> bool:
    """Whether all jobs with the same video are locked now. Waits for nobody, so that it can never
    be in a circle of those who wait; the next round tries again."""
    same = Job.object_key == job.object_key
    locked = session.scalars(
        select(Job.id).where(same).with_for_update(key_share=True, skip_locked=True)
    ).all()
    return len(locked) == session.scalar(select(func.count(Job.id)).where(same))


def _subject(job: Job, kind: str, days: int) -> dict[str, Any]:
    return {
        "job_id": str(job.id),
        "reason": f"RETENTION_{kind.upper()}_DAYS={days}",
        "what": kind,
        **({"video": job.object_key} if kind == "video" else {}),
    }


def _delete_video(session: Session, settings: Settings, job: Job, days: int) -> None:
    assert job.object_key is not None
    rows = delete(Redaction).where(Redaction.job_id == job.id).returning(Redaction.job_id)
    copies = len(session.scalars(rows).all())
    receipt = receipts.open_receipt(
        session,
        receipts.RETENTION,
        _subject(job, "video", days),
        {"redactions": copies},
        tenant=job.tenant,
    )
    _remove_later(session, receipt.id, job.object_key, job.multipart_id)
    _remove_later(session, receipt.id, redacted_prefix(settings.s3_video_prefix, job.id))
    # All jobs that name the object are due, or this one would not be.
    session.execute(
        update(Job).where(Job.object_key == job.object_key).values(video_deleted_at=func.now())
    )


def _delete_pictures(session: Session, settings: Settings, job: Job, days: int) -> None:
    receipt = receipts.open_receipt(
        session, receipts.RETENTION, _subject(job, "picture", days), {}, tenant=job.tenant
    )
    _remove_later(session, receipt.id, evidence_prefix(settings.s3_video_prefix, job.id))
    job.pictures_deleted_at = func.now()


def _delete_plates(session: Session, settings: Settings, job: Job, days: int) -> None:
    """Deletes the rows that say what was read, and where, of one job; part of them if many."""
    del settings
    rows = {
        "plates": _some_rows(session, Plate, Plate.id, job.id),
        "unread_tracks": _some_rows(session, UnreadTrack, UnreadTrack.track_id, job.id),
        "events": _some_rows(session, Event, Event.id, job.id),
        "webhook_deliveries": _some_rows(
            session,
            WebhookDelivery,
            WebhookDelivery.id,
            job.id,
            WebhookDelivery.status != outbox.PENDING,
        ),
    }
    if any(count == ROWS_AT_ONCE for count in rows.values()):
        # The rest in the next round; a receipt for each slice keeps the sum true.
        log.info("retention_goes_on", job_id=str(job.id))
    else:
        job.plates_deleted_at = func.now()
    job.merge_state = None
    receipts.open_receipt(
        session, receipts.RETENTION, _subject(job, "plate", days), rows, tenant=job.tenant
    )


def _some_rows(
    session: Session, table: Any, key: Any, job_id: uuid.UUID, *more: ColumnElement[bool]
) -> int:
    some = select(key).where(table.job_id == job_id, *more).limit(ROWS_AT_ONCE)
    gone = session.scalars(
        delete(table).where(table.job_id == job_id, key.in_(some)).returning(key)
    )
    return len(gone.all())


def _remove_later(
    session: Session, receipt_id: uuid.UUID, prefix: str, multipart_id: str | None = None
) -> None:
    session.add(
        Removal(
            prefix=prefix,
            multipart_id=multipart_id,
            receipt_id=receipt_id,
            keep_until=func.now() + (LATE_WRITERS if prefix.endswith("/") else timedelta(0)),
        )
    )


_DELETE: dict[str, Callable[[Session, Settings, Job, int], None]] = {
    "video": _delete_video,
    "picture": _delete_pictures,
    "plate": _delete_plates,
}
