"""Noticing that an upload has arrived, and starting its processing if that was asked for.

Whoever learns of it first says so: the call that completes an upload, somebody who looks at the
job, an event from S3, the sweep, or a request for processing. All of them end in
``mark_uploaded``, which holds the upload's row while it decides, so that one upload starts one
processing job whatever comes in together.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from detect_api.core.config import MIB
from detect_api.core.errors import InvalidRequest, ObjectMissing, TooLarge, VideoError
from detect_api.core.ids import new_id
from detect_api.core.limits import check_size
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job
from detect_api.jobs import queue, states
from detect_api.storage.base import ObjectInfo, ObjectStore

log = structlog.get_logger(__name__)

AWAITED = (states.AWAITING_UPLOAD, states.EXPIRED)
"""States of an upload whose object may still come. A form that was being sent when its time was
over ends in an object all the same."""


def check_video(found: ObjectInfo, limit: int | None, setting: str = "MAX_FILE_SIZE") -> None:
    """Raises InvalidRequest for an object that is empty or no video, and TooLarge."""
    if found.size == 0:
        raise InvalidRequest("The uploaded file is empty: upload it again.", code="empty_file")
    if limit is not None:
        check_size(found.size, limit, setting)
    if not found.content_type.startswith("video/"):
        raise InvalidRequest(
            f"The uploaded file is of type '{found.content_type}': upload it as video/*.",
            code="not_a_video",
        )


def look_for_upload(sessions: SessionFactory, store: ObjectStore, job: Job, limit: int) -> bool:
    """Asks storage for an awaited upload; True if its object is there.

    ``limit`` is the largest file that a form takes. Raises StorageError.
    """
    assert job.object_key is not None
    try:
        found = store.head(job.object_key)
    except ObjectMissing:
        with sessions.begin() as session:
            session.execute(update(Job).where(Job.id == job.id).values(checked_at=func.now()))
        return False
    with sessions.begin() as session:
        # The size of an upload in parts was agreed on, and checked, part by part.
        mark_uploaded(session, job.id, found, limit=None if job.part_size else limit)
    return True


def look_for_keys(
    sessions: SessionFactory, store: ObjectStore, keys: Sequence[str], limit: int
) -> int:
    """Looks for the awaited uploads under these keys; returns how many were there.

    Keys that no upload waits for are passed over without asking storage. Raises StorageError.
    """
    if not keys:
        return 0
    with sessions() as session:
        awaited = session.scalars(
            select(Job).where(
                Job.object_key.in_(keys), Job.type == "upload", Job.status.in_(AWAITED)
            )
        ).all()
    return sum(look_for_upload(sessions, store, job, limit) for job in awaited)


def mark_uploaded(
    session: Session, job_id: uuid.UUID, found: ObjectInfo, *, limit: int | None = None
) -> None:
    """Notes that the object of an awaited upload is there; says it again without effect.

    An upload with ``auto_process`` gets its processing job, with the queue entry, in the same
    transaction. An object that cannot be processed (empty, no video, larger than ``limit`` if one
    is given, or of another size than its parts were to make) ends the upload as failed, with the
    reason.
    """
    upload = _locked(session, Job.id == job_id)
    if upload is None or upload.status not in (*AWAITED, states.UPLOADED):
        return
    if upload.status in AWAITED and not _note_arrival(session, upload, found, limit):
        return
    if upload.auto_process and upload.processing_job_id is None:
        start_processing(session, upload, found, upload.parameters)


def locked_upload(session: Session, key: str) -> Job | None:
    """The upload that this key was given out for, locked until the transaction ends."""
    return _locked(session, Job.object_key == key)


def start_processing(
    session: Session, upload: Job | None, found: ObjectInfo, parameters: dict[str, Any]
) -> Job:
    """Adds the job that processes the object, with its queue entry.

    ``upload``, locked, shows that job's state from then on.
    """
    job = Job(
        id=new_id(),
        type="video",
        status=states.PENDING,
        message="Waiting for a worker.",
        filename=upload.filename if upload else found.key.rsplit("/", 1)[-1],
        content_type=found.content_type,
        file_size=found.size,
        object_key=found.key,
        object_etag=found.etag,
        parameters=parameters,
    )
    if upload is not None:
        # A worker or the bucket's event may start it: it is whose the upload is all the same.
        job.tenant, job.key_id, job.upload_token = (
            upload.tenant, upload.key_id, upload.upload_token,
        )  # fmt: skip
    session.add(job)
    session.flush()
    if upload is not None:
        upload.processing_job_id = job.id
        upload.updated_at = func.now()
        session.flush()
        queue.notify(session, upload.id)
    queue.defer_plan(session, job.id, attempt=1)
    queue.notify(session, job.id)
    return job


def _locked(session: Session, condition: Any) -> Job | None:
    return session.scalar(
        select(Job)
        .where(condition, Job.type == "upload")
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def _note_arrival(session: Session, upload: Job, found: ObjectInfo, limit: int | None) -> bool:
    """Moves the upload from awaited to uploaded; False if it failed instead."""
    try:
        check_video(found, limit)
        _check_whole(upload, found)
    except (InvalidRequest, TooLarge, VideoError) as error:
        states.fail(
            session,
            upload.id,
            upload.attempt,
            code=error.code,
            detail=error.detail,
            from_states=AWAITED,
        )
        return False
    upload.status = states.UPLOADED
    upload.progress = 1.0
    upload.file_size = found.size
    upload.message = "Uploaded. Ask for processing with POST /process/video/s3."
    upload.completed_at = None
    upload.updated_at = func.now()
    session.flush()
    queue.notify(session, upload.id)
    # AWS dates an object that came in parts by the beginning of its upload.
    came = upload.updated_at if upload.part_size is not None else found.last_modified
    took = (came - upload.created_at).total_seconds()
    log.info(
        "s3_upload",
        job_id=str(upload.id),
        file_size_mb=round(found.size / MIB, 2),
        upload_time_seconds=round(max(0.0, took), 1),
    )
    return True


def _check_whole(upload: Job, found: ObjectInfo) -> None:
    """Raises VideoError for an object that is not all the parts that were announced."""
    if upload.part_size is not None and found.size != upload.file_size:
        raise VideoError(
            f"The file in storage has {found.size} bytes and not {upload.file_size}: "
            "upload it again.",
            code="upload_damaged",
        )
