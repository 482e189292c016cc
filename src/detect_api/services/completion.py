"""How an upload in parts becomes an object, and how its row learns of that.

Completing is no single step: the store may have done it when its answer, or our own process, is
lost. So what the store holds decides, whoever asks and however often.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from detect_api.core.errors import NotFound, ObjectMissing
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, PartChecksum
from detect_api.jobs import multipart, states
from detect_api.jobs.arrivals import mark_uploaded
from detect_api.services import part_checks
from detect_api.storage.base import ObjectInfo, ObjectStore
from detect_api.storage.multipart import Checksum, MultipartStore, PartPlan

MAY_ARRIVE = (states.AWAITING_UPLOAD, states.EXPIRED)
"""States of an upload whose object may still appear."""

_LOOKS, _LOOK_AGAIN_SECONDS = 5, 0.4


def find_upload(sessions: SessionFactory, upload_id: uuid.UUID) -> Job:
    """The upload in parts with this id. Raises NotFound."""
    with sessions() as session:
        job = session.get(Job, upload_id)
    if job is None or not multipart.in_parts(job):
        raise unknown(upload_id)
    return job


def unknown(upload_id: uuid.UUID) -> NotFound:
    """The answer to an id that no upload in parts has."""
    return NotFound(
        f"There is no upload {upload_id}: begin one with POST /uploads.", code="upload_not_found"
    )


def key_of(job: Job) -> str:
    """Where an upload's object will lie."""
    assert job.object_key is not None
    return job.object_key


def plan_of(job: Job) -> PartPlan:
    """How an upload is cut into parts."""
    assert job.file_size is not None
    assert job.part_size is not None
    return PartPlan(job.file_size, job.part_size)


def algorithm_of(job: Job) -> Checksum | None:
    """What guards an upload's parts."""
    return cast("Checksum | None", job.checksum)


@dataclass(frozen=True)
class Completion:
    """Brings row and store together. All methods raise StorageError when it does not answer."""

    sessions: SessionFactory
    store: ObjectStore
    multipart: MultipartStore

    def put_together(self, job: Job, named: Mapping[int, str] | None) -> None:
        """Has the store make the object out of the parts with the ETags ``named``, or the latest.

        Raises Conflict and Unprocessable for parts that are not as they should be, UploadGone and
        PartsRefused.
        """
        plan = plan_of(job)
        stored = self.multipart.parts(key_of(job), job.multipart_id) if job.multipart_id else []
        chosen = part_checks.choose(plan, stored, named)
        assert job.multipart_id is not None
        algorithm = algorithm_of(job)
        if algorithm is not None:
            with self.sessions() as session:
                given = {
                    row.part_number: row.checksum
                    for row in session.scalars(
                        select(PartChecksum).where(PartChecksum.job_id == job.id)
                    )
                }
            # What the store says of the part that it holds is surer than what was signed last.
            chosen = [replace(p, checksum=p.checksum or given.get(p.number)) for p in chosen]
        self.multipart.complete(key_of(job), job.multipart_id, chosen, algorithm)

    def object_soon(self, job: Job) -> ObjectInfo | None:
        """The object, also if it can be seen only in a moment: somebody may just be making it."""
        found = self.object_of(job)
        for _ in range(_LOOKS):
            if found is not None:
                break
            time.sleep(_LOOK_AGAIN_SECONDS)
            found = self.object_of(job)
        return found

    def object_of(self, job: Job) -> ObjectInfo | None:
        """The upload's object, if it is there."""
        try:
            return self.store.head(key_of(job))
        except ObjectMissing:
            return None

    def settle(self, job: Job, *, patient: bool) -> Job:
        """Brings the row to what the store holds, and returns it as it is then.

        With the object, the upload is done, whoever completed it. Without it, it is lost. Be
        ``patient`` where the object may just have been made: a store may forget an upload a moment
        before its object can be seen. Raises NotFound.
        """
        found = self.object_soon(job) if patient else self.object_of(job)
        with self.sessions.begin() as session:
            if found is None:
                multipart.expire(
                    session,
                    job.id,
                    "Storage no longer has the parts of this upload: upload the file again.",
                )
            else:
                self._note_object(session, job, found)
        return find_upload(self.sessions, job.id)

    def _note_object(self, session: Session, job: Job, found: ObjectInfo) -> None:
        row = session.scalar(
            select(Job)
            .where(Job.id == job.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if row is None or row.status == states.CANCELLED:
            # Given up, or deleted, while it was being completed: the object has to go, too.
            multipart.note_removal(session, job if row is None else row)
            return
        mark_uploaded(session, row.id, found)
        session.refresh(row)
        if row.status == states.FAILED and row.multipart_id is not None:
            multipart.note_removal(session, row)
        if row.status == states.UPLOADED:
            row.object_etag = found.etag
            row.multipart_id = None
        session.execute(delete(PartChecksum).where(PartChecksum.job_id == row.id))

    def answer(self, job: Job) -> dict[str, Any]:
        """What is said of a complete upload, each time again."""
        etag = job.object_etag
        if etag is None and (found := self.object_of(job)) is not None:
            etag = found.etag  # somebody else saw the object arrive
        return {
            "upload_id": str(job.id),
            "job_id": str(job.id),
            "s3_key": job.object_key,
            "status": job.status,
            "file_size": job.file_size,
            "etag": etag,
            "processing_job_id": str(job.processing_job_id) if job.processing_job_id else None,
            "status_url": f"/jobs/{job.id}",
        }
