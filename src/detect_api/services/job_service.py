"""Jobs: looking at them, ending them, starting them again, deleting them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from detect_api.core.config import Settings
from detect_api.core.errors import Conflict, NotFound, StorageError
from detect_api.db.narrow import EVERYBODYS
from detect_api.db.session import SessionFactory
from detect_api.db.tables import (
    Event,
    IdempotencyKey,
    Job,
    Plate,
    Receipt,
    Redaction,
    Removal,
    Segment,
    TusUpload,
    UnreadTrack,
    WebhookDelivery,
)
from detect_api.jobs import multipart, queue, receipts, states
from detect_api.jobs.anew import begin_anew
from detect_api.jobs.arrivals import look_for_upload
from detect_api.jobs.views import evidence_prefix, job_view, redacted_prefix
from detect_api.services import quotas
from detect_api.services.paging import Page, decode_cursor, encode_cursor
from detect_api.storage.base import ObjectStore

log = structlog.get_logger(__name__)

_EVIDENCE_GRACE = timedelta(minutes=10)


def get(session: Session, job_id: uuid.UUID) -> Job:
    """The job. Raises NotFound."""
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", code="job_not_found")
    return job


def _locked(session: Session, job_id: uuid.UUID) -> Job:
    """The job, locked until the transaction ends. Raises NotFound.

    Whoever locks an upload and the job that processes it locks the upload first.
    """
    job = session.get(Job, job_id, with_for_update={"key_share": True}, populate_existing=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", code="job_not_found")
    return job


def check_unused(session: Session, job_id: uuid.UUID) -> None:
    """Raises Conflict if the id of a new job is that of a deleted one, of whatever tenant.

    What was at work for that one may still write, and must not write into another one. To be asked
    when the new row is written: its insertion has waited for a deletion that was not finished.
    """
    session.flush()
    deleted = select(Receipt.id).where(
        Receipt.kind == receipts.JOB, Receipt.subject["job_id"].astext == str(job_id)
    )
    if session.scalar(deleted.limit(1).execution_options(**{EVERYBODYS: True})) is not None:
        raise taken(job_id)


def taken(job_id: uuid.UUID) -> Conflict:
    """The answer to a chosen id that a job has, or had."""
    return Conflict(f"There is, or was, a job {job_id}: choose another id.", code="job_id_taken")


def processing_of(session: Session, job: Job) -> Job | None:
    """The job that processes what this upload brought, if there is one."""
    if job.processing_job_id is None:
        return None
    return session.get(Job, job.processing_job_id)


def view(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """The job as clients see it. Raises NotFound."""
    job = get(session, job_id)
    return job_view(job, processing_of(session, job))


def jobs_page(
    session: Session,
    *,
    status: list[str],
    kind: str | None,
    name: str | None,
    since: datetime | None,
    until: datetime | None,
    cursor: str | None,
    limit: int,
) -> Page:
    """Jobs, the newest first. Raises InvalidRequest for a cursor that is none of ours."""
    query = select(Job).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit + 1)
    if status:
        query = query.where(Job.status.in_(status))
    if kind is not None:
        query = query.where(Job.type == kind)
    if name:
        query = query.where(Job.filename.icontains(name, autoescape=True))
    if since is not None:
        query = query.where(Job.created_at >= since)
    if until is not None:
        query = query.where(Job.created_at < until)
    if cursor is not None:
        query = query.where(tuple_(Job.created_at, Job.id) < decode_cursor(cursor))
    rows = list(session.scalars(query))
    more = rows[limit - 1] if len(rows) > limit else None
    wanted = [row.processing_job_id for row in rows if row.processing_job_id is not None]
    processing = {row.id: row for row in session.scalars(select(Job).where(Job.id.in_(wanted)))}
    return Page(
        items=[
            job_view(row, processing.get(row.processing_job_id) if row.processing_job_id else None)
            for row in rows[:limit]
        ],
        next_cursor=encode_cursor(more.created_at, more.id) if more else None,
    )


def cancel(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """Ends a job that has not ended. Raises NotFound and Conflict."""
    asked = _locked(session, job_id)
    target = asked.processing_job_id or job_id
    job = _locked(session, target) if target != job_id else asked
    if job.status in states.FINISHED:
        raise Conflict(f"The job is {job.status} already.", code="job_finished")
    if job.status == states.AWAITING_UPLOAD and multipart.in_parts(job):
        multipart.note_removal(session, job)
    job.status = states.CANCELLED
    job.message = "Cancelled."
    job.merge_state = None
    job.completed_at = job.updated_at = func.now()
    session.flush()
    session.refresh(job)
    states.add_event(session, job.id, states.CANCELLED, {})
    if target != job_id:
        queue.notify(session, job_id)
    return view(session, job_id)


def retry(session: Session, job_id: uuid.UUID) -> dict[str, Any]:
    """Starts a failed or cancelled processing job anew. Raises NotFound, Conflict and TooMany."""
    asked = get(session, job_id)
    target = asked.processing_job_id or job_id
    job = session.get(Job, target, with_for_update=True, populate_existing=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", code="job_not_found")
    if job.status not in (states.FAILED, states.CANCELLED):
        raise Conflict(
            f"The job is {job.status}: only a failed or cancelled job can be started again.",
            code="job_not_retryable",
        )
    if job.type == "upload" or job.object_etag is None:
        raise Conflict(
            "The video of this job never arrived: upload it again.", code="video_missing"
        )
    if job.video_deleted_at is not None:
        raise Conflict("The video of this job was deleted: upload it again.", code="video_missing")
    quotas.take_on(session, job, at_once=1)
    begin_anew(session, job)
    session.refresh(job)
    return view(session, job_id)


def remove(session: Session, settings: Settings, job_id: uuid.UUID) -> dict[str, Any]:
    """Deletes a job with all that belongs to it, and says what that was.

    Rows go at once; objects are written down for removal in the same transaction, so that
    nothing is forgotten, with a receipt that is finished when all is gone. A video that another
    job still names stays. Raises NotFound.
    """
    uploads = select(Job.id).where(Job.processing_job_id == job_id).with_for_update()
    upload_ids = session.scalars(uploads.order_by(Job.id)).all()
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", code="job_not_found")
    rows = {
        name: session.scalar(select(func.count()).where(table.job_id.in_((job_id, *upload_ids))))
        or 0
        for name, table in _COUNTED.items()
    }
    subject = {"job_id": str(job_id), "video": job.object_key, "reason": "DELETE /jobs/{job_id}"}
    receipt = receipts.open_receipt(
        session, receipts.JOB, subject, {"jobs": 1 + len(upload_ids), **rows}, tenant=job.tenant
    )
    objects: list[str] = []
    if job.type != "upload":
        # A worker may be writing pictures, or a copy, at this moment: look again for a while.
        prefixes = [evidence_prefix(settings.s3_video_prefix, job_id)]
        if rows["redactions"]:
            prefixes.append(redacted_prefix(settings.s3_video_prefix, job_id))
        for prefix in prefixes:
            session.add(
                Removal(
                    prefix=prefix, receipt_id=receipt.id, keep_until=func.now() + _EVIDENCE_GRACE
                )
            )
            objects.append(prefix)
    shared = session.scalar(
        select(func.count()).where(
            Job.object_key == job.object_key,
            Job.id != job_id,
            or_(Job.type != "upload", Job.processing_job_id.is_distinct_from(job_id)),
        )
    )
    if job.object_key and not shared and job.video_deleted_at is None:
        if multipart.in_parts(job):
            multipart.note_removal(session, job, receipt.id)
        else:
            until = _last_appearance(session, job)
            session.add(
                Removal(
                    prefix=job.object_key,
                    multipart_id=job.multipart_id,
                    receipt_id=receipt.id,
                    keep_until=until,
                )
            )
        objects.append(job.object_key)
    elif job.object_key and shared:
        receipt.subject = {**subject, "video_stays": "another job has the same video"}
    _forget_requests(session, (job_id, *upload_ids))
    session.execute(delete(Job).where(or_(Job.id == job_id, Job.processing_job_id == job_id)))
    queue.notify(session, job_id)
    return {
        "job_id": str(job_id),
        "deleted": {
            "plates": rows["plates"],
            "unread_tracks": rows["unread_tracks"],
            "video": job.object_key if job.object_key in objects else None,
            "pictures": next((name for name in objects if name.endswith("/")), None),
        },
        "receipt_id": str(receipt.id),
        "receipt_url": f"/receipts/{receipt.id}",
    }


def _forget_requests(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Takes away what was kept so that a request can be sent again: it has the names of files.

    The row of a resumable upload stays without them: by it, its client learns that it is gone. The
    sweep drops it, that of an unfinished one when storage is clean.
    """
    named = IdempotencyKey.response["job_id"].astext
    session.execute(delete(IdempotencyKey).where(named.in_([str(job_id) for job_id in job_ids])))
    session.execute(
        update(TusUpload)
        .where(TusUpload.job_id.in_(job_ids))
        .values(client_metadata="", object_metadata={})
    )


_COUNTED: dict[str, Any] = {
    "plates": Plate,
    "unread_tracks": UnreadTrack,
    "events": Event,
    "segments": Segment,
    "webhook_deliveries": WebhookDelivery,
    "redactions": Redaction,
}


def _last_appearance(session: Session, job: Job) -> datetime:
    """Until when an object may appear: a form works until it expires, job or no job."""
    now: datetime | None = session.scalar(select(func.now()))
    assert now is not None
    if job.type == "upload" and job.expires_at is not None and job.expires_at > now:
        return job.expires_at + _EVIDENCE_GRACE
    return now + _EVIDENCE_GRACE if job.status == states.UPLOADING else now


_LOOK_AGAIN = timedelta(seconds=1)
_LOOK_AGAIN_AT_PARTS = timedelta(seconds=5)


def current_view(
    sessions: SessionFactory, store: ObjectStore, job_id: uuid.UUID, *, max_file_size: int
) -> dict[str, Any]:
    """The job as clients see it; looks, at most once a second, whether an awaited upload came.

    How far an upload in parts is, is looked up every five seconds at most. Raises NotFound. Storage
    that does not answer only means that it is not known yet.
    """
    with sessions() as session:
        job = get(session, job_id)
        processing = processing_of(session, job)
    if not has_just_arrived(sessions, store, job, max_file_size=max_file_size):
        return job_view(job, processing)
    with sessions() as session:
        return view(session, job_id)


def has_just_arrived(
    sessions: SessionFactory, store: ObjectStore, job: Job, *, max_file_size: int
) -> bool:
    """Whether the job is an awaited upload whose object, or another part, has come; notes it then.

    Asks storage at most once a second a job, for an upload in parts every five seconds.
    """
    if job.status != states.AWAITING_UPLOAD or not _is_due(sessions, job):
        return False
    try:
        return look_for_upload(sessions, store, job, max_file_size) or (
            multipart.in_parts(job) and multipart.look_at_parts(sessions, store, job)
        )
    except StorageError as error:
        log.warning("upload_not_checked", job_id=str(job.id), detail=error.detail)
        return False


def _is_due(sessions: SessionFactory, job: Job) -> bool:
    """Whether storage was not asked for this upload just before."""
    if job.checked_at is None:
        return True
    pause = _LOOK_AGAIN_AT_PARTS if multipart.in_parts(job) else _LOOK_AGAIN
    with sessions() as session:
        # Whose clock the time was written by, that one says how long ago it is.
        return bool(session.scalar(select(func.now() - job.checked_at > pause)))


def remove_objects(sessions: SessionFactory, store: ObjectStore, answer: dict[str, Any]) -> None:
    """Removes now what ``remove`` wrote down; what storage does not let go is left to the sweep."""
    with sessions() as session:
        removals = receipts.removals_of(session, uuid.UUID(answer["receipt_id"]))
    for prefix in {removal.prefix for removal in removals}:
        multipart.carry_out_now(sessions, store, prefix)
