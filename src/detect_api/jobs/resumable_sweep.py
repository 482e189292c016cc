"""What becomes of resumable uploads (tus) that nobody sends bytes for any more."""

from __future__ import annotations

import uuid
from datetime import timedelta

import structlog
from sqlalchemy import delete, func, select, update

from detect_api.core.errors import StorageError
from detect_api.core.ids import new_id
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Removal, TusUpload
from detect_api.jobs import resumable, states
from detect_api.jobs.rounds import in_time
from detect_api.storage.base import ObjectStore

log = structlog.get_logger(__name__)

_LIMIT = 200
_LATE_WRITERS = timedelta(minutes=10)


def sweep_resumable(sessions: SessionFactory, store: ObjectStore) -> None:
    """Ends uploads that expired, finishes those that are whole, drops what belongs to no job."""
    _finish(sessions, store)
    _expire(sessions)
    _drop_all(sessions, store)
    with sessions.begin() as session:
        session.execute(
            delete(TusUpload).where(TusUpload.finished.is_(True), TusUpload.expires_at < func.now())
        )


def _finish(sessions: SessionFactory, store: ObjectStore) -> None:
    """Finishes uploads whose last byte is safe and whose process died, or whose storage did.

    The lease is kept after a failure: it keeps the next try away for as long as it runs.
    """
    with sessions() as session:
        whole = session.scalars(
            select(TusUpload.job_id)
            .join(Job, Job.id == TusUpload.job_id)
            .where(
                TusUpload.finished.is_(False),
                TusUpload.received == TusUpload.length,
                TusUpload.expires_at > func.now(),
                Job.status == states.UPLOADING,
                resumable.is_free(),
            )
            .limit(_LIMIT)
        ).all()
    for job_id in in_time(whole):
        holder = new_id()
        with sessions.begin() as session:
            if not resumable.take(session, job_id, holder):
                continue
        try:
            resumable.finish(sessions, store, job_id)
        except StorageError as error:
            log.warning("finish_postponed", job_id=str(job_id), detail=error.detail)
            continue
        except states.Superseded:
            pass
        with sessions.begin() as session:
            resumable.release(session, job_id, holder)


def _expire(sessions: SessionFactory) -> None:
    with sessions() as session:
        late = session.scalars(
            select(TusUpload)
            .where(
                TusUpload.finished.is_(False),
                TusUpload.expires_at < func.now(),
                resumable.is_free(),
            )
            .limit(_LIMIT)
        ).all()
    for upload in late:
        with sessions.begin() as session:
            if upload.received == upload.length:  # storage could not put it together
                resumable.lose(session, upload.job_id)
                continue
            expired = session.execute(
                update(Job)
                .where(
                    Job.id == upload.job_id,
                    Job.status == states.UPLOADING,
                    # No request has begun since that brings the missing bytes.
                    select(TusUpload.job_id)
                    .where(TusUpload.job_id == upload.job_id, resumable.is_free())
                    .exists(),
                )
                .values(
                    status=states.EXPIRED,
                    message="The upload stood still for too long and was dropped. Upload again.",
                    completed_at=func.now(),
                    updated_at=func.now(),
                )
                .returning(Job.id)
            ).first()
            if expired is not None:
                states.add_event(session, upload.job_id, states.EXPIRED, {})


def _drop_all(sessions: SessionFactory, store: ObjectStore) -> None:
    """Drops uploads whose job was cancelled, deleted, expired or failed."""
    with sessions() as session:
        void = session.scalars(
            select(TusUpload.job_id)
            .join(Job, Job.id == TusUpload.job_id, isouter=True)
            .where(
                TusUpload.finished.is_(False),
                Job.status.is_distinct_from(states.UPLOADING),
                resumable.is_free(),
            )
            .limit(_LIMIT)
        ).all()
    for job_id in in_time(void):
        try:
            drop(sessions, store, job_id)
        except StorageError as error:
            log.warning("abort_postponed", job_id=str(job_id), detail=error.detail)


def drop(sessions: SessionFactory, store: ObjectStore, job_id: uuid.UUID) -> None:
    """Removes all that storage has of an upload that never became a video, and then its row.

    Raises StorageError; the sweep tries again.
    """
    with sessions() as session:
        upload = session.get(TusUpload, job_id)
    if upload is None or upload.finished:
        return
    prefix = resumable.piece_prefix(upload.object_key, job_id)
    if upload.multipart_id:
        store.abort(upload.object_key, upload.multipart_id)
        # It may have been completed in its process's last moment.
        store.delete(upload.object_key)
    store.delete_prefix(prefix)
    with sessions.begin() as session:
        session.execute(delete(TusUpload).where(TusUpload.job_id == job_id))
        session.add(Removal(prefix=prefix, keep_until=func.now() + _LATE_WRITERS))
