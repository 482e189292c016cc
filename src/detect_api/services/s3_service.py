"""Uploads that go straight to S3: signing them, and asking for what was uploaded to be processed.

Signing is arithmetic on the configured keys and talks to nobody.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from detect_api.core.config import Settings
from detect_api.core.errors import Forbidden, InvalidRequest, NotFound, ObjectMissing
from detect_api.core.ids import VIDEO_TYPES, extension_of, new_id
from detect_api.db.tables import Job
from detect_api.jobs import queue, states
from detect_api.jobs.arrivals import mark_uploaded
from detect_api.services.limits import check_size, megabytes
from detect_api.storage.base import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VIDEO_TYPE = re.compile(r"video/[A-Za-z0-9!#$&^_.+\-]{1,80}")
LARGEST_FORM = 5 * 1024**3
"""S3 takes no larger body in a single POST."""

# Made once, and without the session's bookkeeping: this is the most frequent write of all.
_ADD_UPLOAD = insert(Job.__table__)  # type: ignore[arg-type]

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
        return min(self.settings.max_file_size, LARGEST_FORM)

    def presign(
        self, session: Session, *, filename: str, file_size: int | None, content_type: str
    ) -> dict[str, Any]:
        """Records an awaited upload and returns the form that uploads it.

        The form holds for one key, type, file name, job and size range, and for
        ``S3_UPLOAD_EXPIRATION`` seconds. Raises InvalidRequest and TooLarge.
        """
        extension = check_video_name(filename, content_type)
        if file_size is not None:
            check_size(file_size, self.max_size)
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
                "message": "Waiting for the file to be uploaded to S3.",
                "filename": filename,
                "content_type": content_type,
                "file_size": file_size,
                "object_key": key,
                "expires_at": now + timedelta(seconds=self.settings.s3_upload_expiration),
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
    pictures = f"{prefix}evidence/"
    if not key.startswith(prefix) or key == prefix or key.startswith(pictures) or ".." in key:
        raise Forbidden(f"The s3_key must lie under '{prefix}'; use the one you were given.")
    try:
        found = store.head(key)
    except ObjectMissing:
        raise NotFound(
            f"There is no video '{key}' in the bucket: upload it first.", code="video_not_found"
        ) from None
    if found.size == 0:
        raise InvalidRequest("The uploaded file is empty: upload it again.", code="empty_file")
    check_size(found.size, *limit)
    if not found.content_type.startswith("video/"):
        raise InvalidRequest(
            f"The uploaded file is of type '{found.content_type}': upload it as video/*.",
            code="not_a_video",
        )
    return found


def create_processing(
    session: Session, found: ObjectInfo, parameters: dict[str, Any]
) -> dict[str, Any]:
    """Creates the job that processes an uploaded video, with its queue entry.

    The upload it came from, if it is one of ours, shows that job's state from then on.
    """
    job_id = new_id()
    upload = session.scalar(
        select(Job).where(Job.object_key == found.key, Job.type == "upload").with_for_update()
    )
    session.add(
        Job(
            id=job_id,
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
    )
    session.flush()
    if upload is not None:
        mark_uploaded(session, upload.id, found)
        session.execute(
            update(Job)
            .where(Job.id == upload.id)
            .values(processing_job_id=job_id, updated_at=func.now())
        )
        queue.notify(session, upload.id)
    queue.defer_plan(session, job_id, attempt=1)
    queue.notify(session, job_id)
    return {
        "job_id": str(job_id),
        "status": states.PENDING,
        "message": f"Video processing job created from S3 ({megabytes(found.size)}MB). "
        "Use the job_id to check status.",
        "status_url": f"/jobs/{job_id}",
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
    return extension
