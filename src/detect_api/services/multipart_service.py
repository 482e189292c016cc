"""Uploads straight to S3 in parts: signed on demand, resumed from what the store holds.

The upload's own id is its job's, so that everything about it can be asked of the database first;
the store's id stays inside. What both hold is brought together whenever one of them is asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from detect_api.core import owner
from detect_api.core.config import Settings
from detect_api.core.errors import Conflict
from detect_api.core.ids import new_id
from detect_api.core.limits import check_size
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, PartChecksum
from detect_api.jobs import multipart, states
from detect_api.jobs.views import rfc3339
from detect_api.services import job_service, part_checks, quotas
from detect_api.services.completion import (
    MAY_ARRIVE,
    Completion,
    algorithm_of,
    find_upload,
    key_of,
    plan_of,
    unknown,
)
from detect_api.services.s3_service import check_video_name, metadata_value, video_key
from detect_api.storage.base import ObjectStore
from detect_api.storage.multipart import (
    Checksum,
    MultipartStore,
    PartPlan,
    PartsRefused,
    StoredPart,
    UploadGone,
)
from detect_api.storage.s3_multipart import PartSigner, multipart_of


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
        InvalidRequest, TooLarge and TooMany.
        """
        extension = check_video_name(filename, content_type)
        limit = owner.size_limit(self.settings.max_multipart_size)
        check_size(file_size, limit, "MAX_MULTIPART_SIZE")
        quotas.take(session, jobs=1, at_once=1, size=file_size)
        plan = PartPlan.of(file_size)
        job_id = new_id()
        job = Job(
            id=job_id,
            type="upload",
            status=states.AWAITING_UPLOAD,
            message="Waiting for the file to be uploaded to S3 in parts.",
            filename=filename,
            content_type=content_type,
            file_size=file_size,
            object_key=video_key(self.settings, datetime.now(UTC), job_id, extension),
            part_size=plan.part_size,
            checksum=checksum,
            auto_process=processing is not None,
            parameters=processing or {},
            expires_at=func.now() + multipart.lifetime(self.settings),
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
            algorithm = algorithm_of(job)
            plan = plan_of(job)
            part_checks.check_numbers(plan, numbers)
            part_checks.check_checksums(algorithm, numbers, checksums)
            _remember(session, upload_id, checksums)
        known = job.multipart_id or self._begin(job)
        signed = [
            self.signer.sign(
                key_of(job),
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
        job = find_upload(self.sessions, upload_id)
        held: list[StoredPart] = []
        if job.status == states.AWAITING_UPLOAD and job.multipart_id is not None:
            try:
                stored = self.multipart.parts(key_of(job), job.multipart_id)
                held = list(part_checks.latest(stored).values())
                with self.sessions.begin() as session:
                    multipart.note_progress(session, job, multipart.received(held))
            except UploadGone:
                job = self._completion.settle(job, patient=True)
        plan = plan_of(job)
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
        completion = self._completion
        job = find_upload(self.sessions, upload_id)
        awaited = job.status == states.AWAITING_UPLOAD
        if awaited:
            try:
                completion.put_together(job, named)
            except UploadGone:
                pass  # completed by somebody whose answer was lost, or aborted
            except Conflict:
                # Once somebody else has completed it, the store forgets its parts one by one.
                if completion.object_of(job) is None:
                    raise
            except PartsRefused:
                # Somebody else may have completed it meanwhile.
                if completion.object_soon(job) is None:
                    raise Conflict(
                        "Storage did not put the parts together: one of them changed, or is not "
                        "the one that was signed last. Sign and send the parts in question again, "
                        "then complete again.",
                        code="parts_refused",
                    ) from None
        if job.status in MAY_ARRIVE:
            job = completion.settle(job, patient=awaited)
        if job.status != states.UPLOADED:
            raise _over(job)
        return completion.answer(job)

    def cancel(self, upload_id: uuid.UUID) -> dict[str, Any]:
        """Gives an upload up and drops its parts; again without effect.

        Raises NotFound, and Conflict when it has ended in another way.
        """
        with self.sessions.begin() as session:
            job = session.get(Job, upload_id, with_for_update={"key_share": True})
            if job is None or not multipart.in_parts(job):
                raise unknown(upload_id)
            if job.status == states.AWAITING_UPLOAD:
                job_service.cancel(session, upload_id)
            elif job.status != states.CANCELLED:
                raise _over(job)
        multipart.carry_out_now(self.sessions, self.store, key_of(job))
        return {"upload_id": str(job.id), "job_id": str(job.id), "status": states.CANCELLED}

    @property
    def _completion(self) -> Completion:
        return Completion(self.sessions, self.store, self.multipart)

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
            raise _over(find_upload(self.sessions, upload_id))
        return job

    def _begin(self, job: Job) -> str:
        """Makes the upload known to the store, once; of two that try, one drops its own again.

        Should this process die in between, the sweep drops what no row knows.
        """
        begun = self.multipart.create(
            key_of(job),
            job.content_type or "",
            {"original-filename": metadata_value(job.filename or ""), "job-id": str(job.id)},
            algorithm_of(job),
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
        self.store.abort(key_of(job), begun)
        now = find_upload(self.sessions, job.id)
        if now.multipart_id is None:
            raise _over(now)
        return now.multipart_id


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


def _over(job: Job) -> Conflict:
    """Why nothing more can be done with an upload."""
    if job.status == states.UPLOADED:
        what = f"is complete: delete its video with DELETE /jobs/{job.id}"
    elif job.status == states.FAILED:
        what = f"failed ({job.error_detail}): begin another one with POST /uploads"
    else:
        what = f"is {job.status}: begin another one with POST /uploads"
    return Conflict(f"The upload {what}.", code="upload_over")
