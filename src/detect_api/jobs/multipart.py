"""Uploads to S3 in parts, as far as they outlive a request: progress, the end of the abandoned.

Such an upload is a job of type ``upload`` with a part size. Its row is there, with its key, before
the store hears of it, and says at every moment what the store has to forget: ``multipart_id`` of
an upload that has ended, or a removal where the row itself is gone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.orm import Session

from detect_api.core.config import MIB, Settings
from detect_api.core.errors import StorageError
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Removal, TusUpload
from detect_api.jobs import queue, receipts, states
from detect_api.jobs.rounds import in_time
from detect_api.storage.base import ObjectStore
from detect_api.storage.directory import DirectoryStore
from detect_api.storage.multipart import OpenUpload, StoredPart, UploadGone
from detect_api.storage.s3_multipart import multipart_of

log = structlog.get_logger(__name__)

REMOVAL_GRACE = timedelta(minutes=10)
"""So long after a cancellation an object may still appear: somebody was just completing it."""

_ORPHAN_GRACE = timedelta(days=1)
_ORPHANS_EVERY = timedelta(hours=1)
_LIMIT = 200


def in_parts(job: Job) -> bool:
    """Whether this is an upload that comes straight to S3 in parts."""
    return job.type == "upload" and job.part_size is not None


def lifetime(settings: Settings) -> timedelta:
    """How long an upload lives after a part of it was signed: never less than what was signed."""
    return timedelta(seconds=max(settings.multipart_expiration, settings.s3_upload_expiration))


def received(parts: Iterable[StoredPart]) -> int:
    """Bytes that the store holds; a part that was sent twice counts once."""
    return sum({part.number: part.size for part in parts}.values())


def note_progress(session: Session, job: Job, bytes_received: int) -> bool:
    """Writes to an upload on its way how much of it the store holds; True if that is new."""
    known = (job.upload or {}).get("bytes_received")
    if job.file_size is None or known == bytes_received:
        return False
    share = min(1.0, bytes_received / job.file_size)
    changed = session.execute(
        update(Job)
        .where(Job.id == job.id, Job.status == states.AWAITING_UPLOAD)
        .values(
            progress=share,
            message=f"Uploading: {bytes_received / MIB:.1f}MB ({share:.0%})",
            upload={"bytes_received": bytes_received, "bytes_total": job.file_size},
            updated_at=func.now(),
        )
        .returning(Job.id)
    ).first()
    if changed is None:
        return False
    queue.notify(session, job.id)
    return True


def look_at_parts(sessions: SessionFactory, store: ObjectStore, job: Job) -> bool:
    """Asks the store how far an upload is; True if that is new. Raises StorageError."""
    multipart = multipart_of(store)
    if multipart is None or job.multipart_id is None or job.object_key is None:
        return False
    try:
        held = received(multipart.parts(job.object_key, job.multipart_id))
    except UploadGone:
        return False  # completed a moment ago, or lost; whoever uploads will be told
    with sessions.begin() as session:
        return note_progress(session, job, held)


def expire(
    session: Session,
    job_id: uuid.UUID,
    message: str,
    *,
    before: ColumnElement[datetime] | None = None,
) -> bool:
    """Ends an upload, if ``before`` is given only one whose time was over then.

    False if it has ended already or goes on. An object that turns up nevertheless still counts
    (``mark_uploaded``).
    """
    query = update(Job).where(Job.id == job_id, Job.status == states.AWAITING_UPLOAD)
    if before is not None:
        query = query.where(Job.expires_at < before)
    expired = session.execute(
        query.values(
            status=states.EXPIRED,
            message=message,
            completed_at=func.now(),
            updated_at=func.now(),
        ).returning(Job.id)
    ).first()
    if expired is None:
        return False
    states.add_event(session, job_id, states.EXPIRED, {})
    return True


def note_removal(session: Session, job: Job, receipt_id: uuid.UUID | None = None) -> None:
    """Writes down that the parts of an upload, and its object if it appears, have to go."""
    assert job.object_key is not None
    session.add(
        Removal(
            prefix=job.object_key,
            multipart_id=job.multipart_id,
            receipt_id=receipt_id,
            keep_until=func.now() + REMOVAL_GRACE,
        )
    )
    job.multipart_id = None


def carry_out_now(sessions: SessionFactory, store: ObjectStore, prefix: str) -> None:
    """Does the removals of one object or prefix at once, as far as storage lets it.

    What is left is done by the sweep.
    """
    with sessions() as session:
        removals = session.scalars(select(Removal).where(Removal.prefix == prefix)).all()
    try:
        for removal in removals:
            receipts.carry_out(sessions, store, removal)
    except StorageError as error:
        log.warning("removal_postponed", detail=error.detail)


def with_parts_to_go() -> Select[Job]:
    """Uploads that expired or failed, of which storage may still hold parts."""
    return select(Job).where(
        Job.type == "upload",
        Job.status.in_((states.EXPIRED, states.FAILED)),
        Job.multipart_id.is_not(None),
    )


def abort_ended(sessions: SessionFactory, store: ObjectStore) -> None:
    """Drops the parts of uploads that expired or failed.

    A part that is on its way while its upload is aborted may stay: then it is aborted again.
    """
    multipart = multipart_of(store)
    with sessions() as session:
        ended = session.scalars(with_parts_to_go().limit(_LIMIT)).all()
    for job in in_time(ended):
        assert job.object_key is not None
        assert job.multipart_id is not None
        try:
            store.abort(job.object_key, job.multipart_id)
            if multipart is not None and multipart.parts(job.object_key, job.multipart_id):
                continue
        except UploadGone:
            pass
        except StorageError as error:
            log.warning("abort_postponed", job_id=str(job.id), detail=error.detail)
            return
        with sessions.begin() as session:
            session.execute(
                update(Job)
                .where(Job.id == job.id, Job.multipart_id == job.multipart_id)
                .values(multipart_id=None)
            )


def abort_orphans(sessions: SessionFactory, store: ObjectStore, settings: Settings) -> None:
    """Drops unfinished uploads in the store that no living upload stands for, once an hour.

    A process that dies between the store's answer and its own commit leaves one. They are older
    than anything that may yet be written down.
    """
    if not _due(sessions):
        return
    oldest = datetime.now(UTC) - lifetime(settings) - _ORPHAN_GRACE
    if isinstance(store, DirectoryStore):
        for upload_id in _unnamed(sessions, store.unfinished(oldest)):
            log.warning("orphan_aborted", upload_id=upload_id)
            store.abort("", upload_id)
    multipart = multipart_of(store)
    if multipart is None:
        return
    try:
        old = (
            upload
            for upload in multipart.open_uploads(settings.s3_video_prefix)
            if upload.initiated < oldest
        )
        while some := list(islice(old, _LIMIT)):
            for upload in _without_row(sessions, some):
                log.warning("orphan_aborted", key=upload.key)
                store.abort(upload.key, upload.upload_id)
    except StorageError as error:
        log.warning("orphans_not_aborted", detail=error.detail)


def _unnamed(sessions: SessionFactory, ids: list[str]) -> list[str]:
    """Those that no upload through the API goes by."""
    with sessions() as session:
        named = {
            *session.scalars(select(Job.multipart_id).where(Job.multipart_id.in_(ids))),
            *session.scalars(select(TusUpload.multipart_id).where(TusUpload.multipart_id.in_(ids))),
        }
    return [upload_id for upload_id in ids if upload_id not in named]


def _without_row(sessions: SessionFactory, uploads: list[OpenUpload]) -> list[OpenUpload]:
    """Those whose key no living upload has, on whichever way it comes."""
    with sessions() as session:
        alive = set(
            session.scalars(
                select(Job.object_key).where(
                    Job.object_key.in_([upload.key for upload in uploads]),
                    Job.status.in_((states.AWAITING_UPLOAD, states.UPLOADING)),
                )
            )
        )
    return [upload for upload in uploads if upload.key not in alive]


def _due(sessions: SessionFactory) -> bool:
    with sessions.begin() as session:
        taken = session.execute(
            text(
                "INSERT INTO leases (name, until) VALUES ('orphans', now() + :every) "
                "ON CONFLICT (name) DO UPDATE SET until = excluded.until "
                "WHERE leases.until < now() RETURNING name"
            ),
            {"every": _ORPHANS_EVERY},
        ).first()
    return taken is not None
