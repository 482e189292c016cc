"""Resumable uploads (tus): beginning one, looking at it, ending it early."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from detect_api.core import owner
from detect_api.core.config import Settings
from detect_api.core.errors import Conflict, Gone, InvalidRequest, NotFound
from detect_api.core.ids import extension_of, new_id
from detect_api.core.limits import check_size
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, TusUpload
from detect_api.jobs import resumable, states
from detect_api.jobs.resumable_sweep import drop
from detect_api.services import job_service, quotas, upload_progress
from detect_api.services.s3_service import metadata_value, video_key
from detect_api.services.upload_service import check_type
from detect_api.storage.base import ObjectStore


@dataclass(frozen=True)
class NewUpload:
    """What a client says of a file that it is going to send.

    ``length`` is None where the client does not know it yet; ``client_metadata`` is the header
    as it came, for the client to read back.
    """

    job_id: uuid.UUID
    filename: str
    content_type: str
    length: int | None
    parameters: dict[str, Any]
    client_metadata: str


def limit(settings: Settings) -> int:
    """The largest file: what passes through the API is held to MAX_FILE_SIZE in every mode."""
    return owner.size_limit(settings.max_file_size)


def expiry(settings: Settings) -> ColumnElement[datetime]:
    """When an upload expires whose last byte came now, by the clock that it will be judged by."""
    return func.now() + timedelta(seconds=settings.tus_expiration)


def check_length(settings: Settings, length: int) -> None:
    """Raises InvalidRequest for an empty file and TooLarge for one over the limit."""
    if length == 0:
        raise InvalidRequest(
            "The file is empty: choose a file that has content.", code="empty_file"
        )
    check_size(length, limit(settings))


def set_length(session: Session, job_id: uuid.UUID, holder: uuid.UUID, length: int) -> None:
    """Notes the length of a file that was not known before.

    Raises TooMany, and Superseded if the upload is not the holder's any more.
    """
    resumable.record(session, job_id, holder, length=length)
    job = states.locked(session, job_id, 1, (states.UPLOADING,))
    quotas.take_on(session, job, size=length)
    job.file_size = length


def create(
    session: Session, settings: Settings, store: ObjectStore, new: NewUpload
) -> dict[str, str]:
    """Creates the job and the upload, in one transaction; storage is not asked for anything yet.

    Raises InvalidRequest, TooLarge, TooMany, and Conflict if the job's id is taken.
    """
    kind = check_type(new.filename, new.content_type, image=False)
    owner.check_content_type(kind)
    if new.length is not None:
        check_length(settings, new.length)
    quotas.take(session, jobs=1, at_once=1, size=new.length or 0)
    now = datetime.now(UTC)
    # Not the job's id: clients choose that, and many of theirs may begin alike.
    key = video_key(settings, now, new_id(), extension_of(new.filename))
    shown = upload_progress.paused(0, new.length)
    try:
        session.add(
            Job(
                id=new.job_id,
                type="video",
                status=states.UPLOADING,
                message="Waiting for the first byte.",
                filename=new.filename,
                content_type=kind,
                file_size=new.length,
                object_key=key,
                parameters=new.parameters,
                upload=shown.upload,
            )
        )
        session.add(
            TusUpload(
                job_id=new.job_id,
                object_key=key,
                client_metadata=new.client_metadata,
                object_metadata={
                    "original-filename": metadata_value(new.filename),
                    "job-id": str(new.job_id),
                },
                length=new.length,
                part_size=store.part_size,
                expires_at=expiry(settings),
            )
        )
        session.flush()
    except IntegrityError:
        raise job_service.taken(new.job_id) from None
    job_service.check_unused(session, new.job_id)
    return {"job_id": str(new.job_id)}


def find(session: Session, job_id: uuid.UUID) -> TusUpload:
    """The upload, also one that is finished. Raises NotFound, and Gone if it was ended early."""
    upload, job = session.get(TusUpload, job_id), session.get(Job, job_id)
    if upload and job and (upload.finished or job.status == states.UPLOADING):
        return upload
    ended = job is not None and job.object_etag is None and job.status in states.FINISHED
    if upload is None and not ended:
        raise NotFound(f"There is no upload {job_id}: begin a new one.", code="upload_not_found")
    raise Gone(
        f"The upload {job_id} was cancelled, deleted or has expired: begin a new one.",
        code="upload_gone",
    )


def take(sessions: SessionFactory, job_id: uuid.UUID, holder: uuid.UUID) -> TusUpload | None:
    """The upload, for this holder to write to; None while another request holds it.

    That one is asked to let go. A finished upload is returned as it is. Raises NotFound, Gone.
    """
    with sessions.begin() as session:
        upload = find(session, job_id)
        if upload.finished:
            return upload
        if not resumable.take(session, job_id, holder):
            return None
        session.refresh(upload)
        return upload


def release(sessions: SessionFactory, upload: TusUpload, holder: uuid.UUID) -> None:
    """Lets others write to the upload."""
    with sessions.begin() as session:
        resumable.release(session, upload.job_id, holder)


def terminate(sessions: SessionFactory, store: ObjectStore, upload: TusUpload) -> None:
    """Ends an upload that the caller holds: its job is cancelled and its bytes are dropped.

    Raises Conflict for one that is finished, StorageError if the bytes are left to the sweep.
    """
    if upload.finished:
        raise Conflict(
            f"The upload is finished: delete its job with DELETE /jobs/{upload.job_id}.",
            code="upload_finished",
        )
    with sessions.begin() as session:
        job_service.cancel(session, upload.job_id)
    drop(sessions, store, upload.job_id)
