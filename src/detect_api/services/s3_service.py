"""Uploads that go straight to S3: signing them, and asking for what was uploaded to be processed.

Signing is arithmetic on the configured keys and talks to nobody.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Interval, bindparam, func, insert, select
from sqlalchemy.orm import Session

from detect_api.core import owner
from detect_api.core.config import Settings
from detect_api.core.errors import Conflict, Forbidden, InvalidRequest, NotFound, ObjectMissing
from detect_api.core.ids import VIDEO_TYPES, extension_of, new_id
from detect_api.core.limits import check_size, megabytes
from detect_api.db.narrow import EVERYBODYS
from detect_api.db.tables import Job
from detect_api.jobs import states
from detect_api.jobs.arrivals import (
    check_video,
    locked_upload,
    mark_uploaded,
    start_processing,
)
from detect_api.services import quotas
from detect_api.storage.base import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VIDEO_TYPE = re.compile(r"video/[A-Za-z0-9!#$&^_.+\-]{1,80}")
LARGEST_FORM = 5 * 1024**3
"""S3 takes no larger body in a single POST."""

# Made once, and without the session's bookkeeping: this is the most frequent write of all.
_ADD_UPLOAD = insert(Job.__table__).values(  # type: ignore[arg-type]
    expires_at=func.now() + bindparam("lifetime", type_=Interval)
)

_PLAIN = " !#$&'()+,-.;=@[]^_`{}~"


@dataclass(frozen=True)
class S3Service:
    """Signs uploads for clients. ``client`` signs for the endpoint that clients see."""

    settings: Settings
    client: S3Client
    bucket: str

    @property
    def max_size(self) -> int:
        """The largest file that a form takes: MAX_FILE_SIZE, or what S3 takes in one POST."""
        return owner.size_limit(min(self.settings.max_file_size, LARGEST_FORM))

    def presign(
        self,
        session: Session,
        *,
        filename: str,
        file_size: int | None,
        content_type: str,
        processing: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Records an awaited upload and returns the form that uploads it.

        The form holds for one key, type, file name, job and size range, and for
        ``S3_UPLOAD_EXPIRATION`` seconds. With ``processing``, its parameters, the video is
        processed as soon as it is there. Raises InvalidRequest, TooLarge and TooMany.
        """
        extension = check_video_name(filename, content_type)
        if file_size is not None:
            check_size(file_size, self.max_size)
        quotas.take(session, jobs=1, at_once=1, size=file_size or 0)
        if file_size is None:
            quotas.need_size()
        now = datetime.now(UTC)
        job_id = new_id()
        key = video_key(self.settings, now, job_id, extension)
        fields = {
            "key": key,
            "Content-Type": content_type,
            "x-amz-meta-original-filename": metadata_value(filename),
            "x-amz-meta-job-id": str(job_id),
        }
        least, most = (file_size, file_size) if file_size else (1, self.max_size)
        # A field is bound by the signature only if it is a condition, too. The client adds its
        # own condition for the key and the bucket.
        form = self.client.generate_presigned_post(
            Bucket=self.bucket,
            Key=key,
            Fields={name: value for name, value in fields.items() if name != "key"},
            Conditions=[
                *({name: value} for name, value in fields.items() if name != "key"),
                ["content-length-range", least, most],
            ],
            ExpiresIn=self.settings.s3_upload_expiration,
        )
        session.execute(
            _ADD_UPLOAD,
            {
                "id": job_id,
                "type": "upload",
                "status": states.AWAITING_UPLOAD,
                "message": "Waiting for the file to be uploaded to S3."
                + ("" if processing is None else " Processing then starts by itself."),
                "filename": filename,
                "content_type": content_type,
                "file_size": file_size,
                "object_key": key,
                "lifetime": timedelta(seconds=self.settings.s3_upload_expiration),
                "auto_process": processing is not None,
                "parameters": processing or {},
            },
        )
        # A browser's preflight to the bare bucket path is not answered by the bucket's CORS rules
        # on every store; to the path with a slash it is.
        url = form["url"] if form["url"].endswith("/") else form["url"] + "/"
        signed = form["fields"]
        order = [*fields, *(name for name in signed if name not in fields)]
        return {
            "job_id": str(job_id),
            "upload_url": url,
            "upload_fields": {name: signed[name] for name in order},
            "s3_key": key,
            "bucket": self.bucket,
            "expires_in": self.settings.s3_upload_expiration,
            "max_file_size": self.max_size,
            "status_url": f"/jobs/{job_id}",
        }


def size_limit(session: Session, settings: Settings, key: str) -> tuple[int, str]:
    """The largest video that is processed from this key, and the setting that says so."""
    in_parts = session.scalar(
        select(Job.part_size).where(Job.object_key == key, Job.type == "upload")
    )
    if in_parts is not None and settings.max_multipart_size > settings.max_file_size:
        return settings.max_multipart_size, "MAX_MULTIPART_SIZE"
    return settings.max_file_size, "MAX_FILE_SIZE"


def uploaded_video(
    settings: Settings, store: ObjectStore, key: str, limit: tuple[int, str]
) -> ObjectInfo:
    """The uploaded video under ``key``, found by one HEAD and fit to be processed.

    ``limit`` is what ``size_limit`` says of the key. Raises Forbidden for keys outside the video
    prefix, NotFound, InvalidRequest for what is empty or no video, and TooLarge.
    """
    prefix = settings.s3_video_prefix
    ours = tuple(f"{prefix}{folder}/" for folder in ("evidence", "redacted", "tus"))
    # A key that ends in a slash stands for all under it wherever something is deleted.
    if not key.startswith(prefix) or key.endswith("/") or key.startswith(ours) or ".." in key:
        raise Forbidden(f"The s3_key must lie under '{prefix}'; use the one you were given.")
    try:
        found = store.head(key)
    except ObjectMissing:
        raise _no_video(key) from None
    check_video(found, *limit)
    return found


def check_owned(session: Session, key: str) -> None:
    """Raises NotFound for another tenant's video, as if there were none.

    What lies in the bucket and was not uploaded through the service is the operator's.
    """
    who = owner.current()
    if who is None:
        return
    named = select(Job.tenant).where(Job.object_key == key).distinct()
    tenants = set(session.scalars(named.execution_options(**{EVERYBODYS: True})))
    if (tenants or {owner.OPERATOR}) != {who.tenant}:
        raise _no_video(key)


def _no_video(key: str) -> NotFound:
    return NotFound(
        f"There is no video '{key}' in the bucket: upload it first.", code="video_not_found"
    )


def create_processing(
    session: Session,
    found: ObjectInfo,
    parameters: dict[str, Any],
    named: Collection[str] | None = None,
) -> dict[str, Any]:
    """Creates the job that processes an uploaded video, with its queue entry.

    The upload it came from, if it is one of ours, shows that job's state from then on. An upload
    with ``auto_process`` has such a job as soon as its object is there: see ``already_begun`` for
    ``named``, and for Conflict. Raises TooMany.
    """
    upload = locked_upload(session, found.key)
    key_id = owner.key_id()
    counted = False
    if upload is not None:
        mark_uploaded(session, upload.id, found)
        begun = already_begun(session, found.key, parameters, named)
        if begun is not None:
            return begun
        counted = upload.processing_job_id is None and upload.key_id == key_id
    if counted:
        quotas.take(session, at_once=1)
    else:
        quotas.take(session, jobs=1, at_once=1, size=found.size)
    job = start_processing(session, upload, found, parameters)
    if key_id is not None:
        job.key_id = key_id
    return _created(
        job,
        f"Video processing job created from S3 ({megabytes(found.size)}MB). "
        "Use the job_id to check status.",
    )


def already_begun(
    session: Session, key: str, parameters: dict[str, Any], named: Collection[str] | None = None
) -> dict[str, Any] | None:
    """The answer that names the job which ``auto_process`` started for this key.

    None if there is none, or if it has ended and was given other ``parameters`` than these. Only
    parameters that the client has ``named`` are compared (without it, all). Raises Conflict if
    they differ while the job has not ended: one upload is not read twice at a time.
    """
    upload = session.scalar(select(Job).where(Job.object_key == key, Job.type == "upload"))
    if upload is None or not upload.auto_process or upload.processing_job_id is None:
        return None
    job = session.get(Job, upload.processing_job_id)
    if job is None:
        return None
    chosen = parameters if named is None else named
    if any(parameters[name] != job.parameters.get(name) for name in chosen):
        if job.status in states.FINISHED:
            return None
        raise Conflict(
            f"The video is being processed already, with other parameters, as job {job.id}: leave "
            "the parameters out to get that job, or ask again when it has ended.",
            code="already_processing",
        )
    return _created(
        job,
        "The video was taken for processing when it arrived. Use the job_id to check status.",
    )


def _created(job: Job, message: str) -> dict[str, Any]:
    return {
        "job_id": str(job.id),
        "status": job.status,
        "message": message,
        "status_url": f"/jobs/{job.id}",
    }


def video_key(settings: Settings, now: datetime, job_id: uuid.UUID, extension: str) -> str:
    """Where an upload's object will lie; nothing of a client's file name but a known extension."""
    return f"{settings.s3_video_prefix}{now:%Y%m%d_%H%M%S}_{str(job_id)[:8]}{extension}"


def metadata_value(filename: str) -> str:
    """A file name as S3 metadata carries it: percent-encoded where it is not plain ASCII."""
    return quote(filename, safe=_PLAIN)


def check_video_name(filename: str, content_type: str) -> str:
    """The extension for the key. Raises InvalidRequest unless name and type are a video's."""
    extension = extension_of(filename)
    if extension not in VIDEO_TYPES:
        known = ", ".join(sorted(name[1:] for name in VIDEO_TYPES))
        raise InvalidRequest(
            f"The file name must end in a video extension ({known}).", code="not_a_video"
        )
    if not VIDEO_TYPE.fullmatch(content_type):
        raise InvalidRequest(
            f"The content_type must be video/*, not '{content_type}'.", code="not_a_video"
        )
    owner.check_content_type(content_type)
    return extension
