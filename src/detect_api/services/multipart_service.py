"""Uploads straight to S3 in parts: signed on demand, resumed from what the store holds.

The upload's own id is its job's, so that everything about it can be asked of the database first;
the store's id stays inside. What both hold is brought together whenever one of them is asked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from detect_api.core.config import Settings
from detect_api.core.errors import Conflict, NotFound, ObjectMissing
from detect_api.core.ids import new_id
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, PartChecksum
from detect_api.jobs import multipart, states
from detect_api.jobs.arrivals import mark_uploaded
from detect_api.jobs.views import rfc3339
from detect_api.services import job_service, part_checks
from detect_api.services.limits import check_size
from detect_api.services.s3_service import check_video_name, metadata_value, video_key
from detect_api.storage.base import ObjectInfo, ObjectStore
from detect_api.storage.multipart import (
    Checksum,
    MultipartStore,
    PartPlan,
    PartsRefused,
    StoredPart,
    UploadGone,
)
from detect_api.storage.s3_multipart import PartSigner, multipart_of

_MAY_ARRIVE = (states.AWAITING_UPLOAD, states.EXPIRED)
_LOOKS, _LOOK_AGAIN_SECONDS = 3, 0.4
"""A store may forget an upload a moment before the object that it became can be seen."""


@dataclass(frozen=True)
class MultipartService:
    """Everything about uploads in parts. Methods may be called from any thread.

    Those that take no session make transactions of their own, none of which is open while the
    store is asked. All raise StorageError when it does not answer.
    """

    settings: Settings
    sessions: SessionFactory
    store: ObjectStore
    signer: PartSigner

    @property
    def multipart(self) -> MultipartStore:
        """The store as one that takes parts."""
        found = multipart_of(self.store)
        assert found is not None, "made only where the store is S3"
        return found

    def create(
        self,
        session: Session,
        *,
        filename: str,
        file_size: int,
        content_type: str,
        checksum: Checksum | None,
        processing: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Records an upload; the store hears of it when its first part is signed.

        With ``processing``, its parameters, the video is processed as soon as it is there. Raises
        InvalidRequest and TooLarge.
        """
        extension = check_video_name(filename, content_type)
        check_size(file_size, self.settings.max_multipart_size, "MAX_MULTIPART_SIZE")
        plan = PartPlan.of(file_size)
        now = datetime.now(UTC)
        job_id = new_id()
        job = Job(
            id=job_id,
            type="upload",
            status=states.AWAITING_UPLOAD,
            message="Waiting for the file to be uploaded to S3 in parts.",
            filename=filename,
            content_type=content_type,
            file_size=file_size,
            object_key=video_key(self.settings, now, job_id, extension),
            part_size=plan.part_size,
            checksum=checksum,
            auto_process=processing is not None,
            parameters=processing or {},
            expires_at=now + multipart.lifetime(self.settings),
        )
        session.add(job)
        session.flush()
        return {
            "upload_id": str(job_id),
            "job_id": str(job_id),
            "s3_key": job.object_key,
            "bucket": self.signer.bucket,
            "part_size": plan.part_size,
            "parts": plan.count,
            "checksum": checksum,
            "expires_at": rfc3339(job.expires_at),
            "status_url": f"/jobs/{job_id}",
        }

    def sign(
        self, upload_id: uuid.UUID, numbers: Sequence[int], checksums: Mapping[int, str]
    ) -> dict[str, Any]:
        """Signs parts, as often as wanted, and lets the upload live on.

        Raises NotFound, Conflict when the upload is over, and Unprocessable for numbers that it
        does not have and checksums that are missing or none.
        """
        with self.sessions.begin() as session:
            job = self._touched(session, upload_id)
            algorithm = _algorithm(job)
            plan = _plan(job)
            part_checks.check_numbers(plan, numbers)
            part_checks.check_checksums(algorithm, numbers, checksums)
            _remember(session, upload_id, checksums)
        known = job.multipart_id or self._begin(job)
        signed = [
            self.signer.sign(
                _key(job),
                known,
                number,
                plan.size_of(number),
                (algorithm, checksums[number]) if algorithm else None,
            )
            for number in numbers
        ]
        return {
            "parts": [
                {
                    "part_number": part.number,
                    "url": part.url,
                    "headers": part.headers,
                    "size": part.size,
                }
                for part in signed
            ],
            "expires_in": self.signer.expires_in,
        }

    def view(self, upload_id: uuid.UUID) -> dict[str, Any]:
        """The upload with the parts that the store holds. Raises NotFound."""
        job = self._job(upload_id)
        held: list[StoredPart] = []
        if job.status == states.AWAITING_UPLOAD and job.multipart_id is not None:
            try:
                stored = self.multipart.parts(_key(job), job.multipart_id)
                held = list(part_checks.latest(stored).values())
                with self.sessions.begin() as session:
                    multipart.note_progress(session, job, multipart.received(held))
            except UploadGone:
                self._settle(job)
                job = self._job(upload_id)
        plan = _plan(job)
        over = job.status == states.UPLOADED
        return {
            "upload_id": str(job.id),
            "job_id": str(job.id),
            "s3_key": job.object_key,
            "bucket": self.signer.bucket,
            "status": job.status,
            "filename": job.filename,
            "file_size": plan.file_size,
            "content_type": job.content_type,
            "part_size": plan.part_size,
            "parts": plan.count,
            "checksum": job.checksum,
            "received": [
                {"part_number": part.number, "etag": part.etag, "size": part.size} for part in held
            ],
            "bytes_received": plan.file_size if over else multipart.received(held),
            "expires_at": rfc3339(job.expires_at),
            "status_url": f"/jobs/{job.id}",
            "processing_job_id": str(job.processing_job_id) if job.processing_job_id else None,
        }

    def complete(self, upload_id: uuid.UUID, named: Mapping[int, str] | None) -> dict[str, Any]:
        """Makes the video out of its parts; again, and also twice at once, with the same answer.

        ``named`` has the ETag of each part as the client knows it; without it the store's count.
        Raises NotFound, and Conflict when the upload is over, when parts are missing or are not
        the ones named, and when the store does not put them together.
        """
        job = self._job(upload_id)
        if job.status == states.UPLOADED:
            return self._answer(job)
        if job.status == states.AWAITING_UPLOAD:
            try:
                self._put_together(job, named)
            except UploadGone:
                pass  # completed by somebody whose answer was lost, or aborted
            except PartsRefused:
                # Somebody else may have completed it meanwhile.
                if self._object(job) is None:
                    raise Conflict(
                        "Storage did not put the parts together: one of them changed, or is not "
                        "the one that was signed last. Sign and send the parts in question again, "
                        "then complete again.",
                        code="parts_refused",
                    ) from None
        if job.status in _MAY_ARRIVE:
            job = self._settle(job)
        if job.status != states.UPLOADED:
            raise _over(job)
        return self._answer(job)

    def cancel(self, upload_id: uuid.UUID) -> dict[str, Any]:
        """Gives an upload up and drops its parts; again without effect.

        Raises NotFound, and Conflict when it has ended in another way.
        """
        with self.sessions.begin() as session:
            job = session.scalar(
                select(Job)
                .where(Job.id == upload_id, Job.type == "upload", Job.part_size.is_not(None))
                .with_for_update(key_share=True)
            )
            if job is None:
                raise _unknown(upload_id)
            if job.status == states.AWAITING_UPLOAD:
                job_service.cancel(session, upload_id)
            elif job.status != states.CANCELLED:
                raise _over(job)
        multipart.carry_out_now(self.sessions, self.store, _key(job))
        return {"upload_id": str(job.id), "job_id": str(job.id), "status": states.CANCELLED}

    def _job(self, upload_id: uuid.UUID) -> Job:
        with self.sessions() as session:
            job = session.get(Job, upload_id)
        if job is None or not multipart.in_parts(job):
            raise _unknown(upload_id)
        return job

    def _touched(self, session: Session, upload_id: uuid.UUID) -> Job:
        """The upload, locked, with its time moved on. Raises NotFound and Conflict."""
        job: Job | None = session.scalar(
            update(Job)
            .where(
                Job.id == upload_id,
                Job.type == "upload",
                Job.part_size.is_not(None),
                Job.status == states.AWAITING_UPLOAD,
            )
            .values(
                expires_at=func.greatest(
                    Job.expires_at, func.now() + multipart.lifetime(self.settings)
                )
            )
            .returning(Job)
        )
        if job is None:
            raise _over(self._job(upload_id))
        return job

    def _begin(self, job: Job) -> str:
        """Makes the upload known to the store, once; of two that try, one drops its own again.

        Should this process die in between, the sweep drops what no row knows.
        """
        begun = self.multipart.create(
            _key(job),
            job.content_type or "",
            {"original-filename": metadata_value(job.filename or ""), "job-id": str(job.id)},
            _algorithm(job),
        )
        with self.sessions.begin() as session:
            taken = session.execute(
                update(Job)
                .where(
                    Job.id == job.id,
                    Job.status == states.AWAITING_UPLOAD,
                    Job.multipart_id.is_(None),
                )
                .values(multipart_id=begun)
                .returning(Job.id)
            ).first()
        if taken is not None:
            return begun
        self.store.abort(_key(job), begun)
        now = self._job(job.id)
        if now.multipart_id is None:
            raise _over(now)
        return now.multipart_id

    def _put_together(self, job: Job, named: Mapping[int, str] | None) -> None:
        """Raises Conflict, UploadGone and PartsRefused."""
        plan = _plan(job)
        stored = self.multipart.parts(_key(job), job.multipart_id) if job.multipart_id else []
        chosen = part_checks.choose(plan, stored, named)
        assert job.multipart_id is not None
        algorithm = _algorithm(job)
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
        self.multipart.complete(_key(job), job.multipart_id, chosen, algorithm)

    def _object(self, job: Job) -> ObjectInfo | None:
        try:
            return self.store.head(_key(job))
        except ObjectMissing:
            return None

    def _settle(self, job: Job) -> Job:
        """Brings the row to what the store holds, after it said that the upload is over there.

        With the object, the upload is done, whoever completed it. Without it, it is lost. Returns
        the row as it is then. Raises NotFound.
        """
        found = self._object(job)
        for _ in range(_LOOKS):
            if found is None:
                time.sleep(_LOOK_AGAIN_SECONDS)
                found = self._object(job)
        with self.sessions.begin() as session:
            if found is None:
                multipart.expire(
                    session,
                    job.id,
                    "Storage no longer has the parts of this upload: upload the file again.",
                )
            else:
                self._note_object(session, job, found)
        return self._job(job.id)

    def _note_object(self, session: Session, job: Job, found: ObjectInfo) -> None:
        row = session.scalar(
            select(Job)
            .where(Job.id == job.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if row is None or row.status == states.CANCELLED:
            # Given up, or deleted, while it was being completed: the object has to go, too.
            multipart.drop_with(session, job if row is None else row)
            return
        wrong = part_checks.fault_of(_plan(row), found)
        if wrong is not None:
            if states.fail(
                session,
                row.id,
                row.attempt,
                code="upload_damaged",
                detail=wrong,
                from_states=(states.AWAITING_UPLOAD, states.EXPIRED),
            ):
                multipart.drop_with(session, row)
            return
        mark_uploaded(session, row.id, found)
        session.execute(
            update(Job)
            .where(Job.id == row.id, Job.status == states.UPLOADED)
            .values(object_etag=found.etag, multipart_id=None)
        )
        session.execute(delete(PartChecksum).where(PartChecksum.job_id == row.id))

    def _answer(self, job: Job) -> dict[str, Any]:
        etag = job.object_etag
        if etag is None and (found := self._object(job)) is not None:
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


def _key(job: Job) -> str:
    assert job.object_key is not None
    return job.object_key


def _plan(job: Job) -> PartPlan:
    assert job.file_size is not None
    assert job.part_size is not None
    return PartPlan(job.file_size, job.part_size)


def _algorithm(job: Job) -> Checksum | None:
    return cast("Checksum | None", job.checksum)


def _remember(session: Session, job_id: uuid.UUID, checksums: Mapping[int, str]) -> None:
    if not checksums:
        return
    statement = insert(PartChecksum)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["job_id", "part_number"],
            set_={"checksum": statement.excluded.checksum},
        ),
        [
            {"job_id": job_id, "part_number": number, "checksum": value}
            for number, value in checksums.items()
        ],
    )


def _unknown(upload_id: uuid.UUID) -> NotFound:
    return NotFound(
        f"There is no upload {upload_id}: begin one with POST /uploads.", code="upload_not_found"
    )


def _over(job: Job) -> Conflict:
    """Why nothing more can be done with an upload."""
    if job.status == states.UPLOADED:
        what = "is complete: its video is there, and goes with DELETE /jobs/{job_id}"
    elif job.status == states.FAILED:
        what = f"failed ({job.error_detail}): begin another one with POST /uploads"
    else:
        what = f"is {job.status}: begin another one with POST /uploads"
    return Conflict(f"The upload {what}.", code="upload_over")
