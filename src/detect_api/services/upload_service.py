"""Uploads that pass through the API: bytes go on into storage as they come.

Memory stays at about one chunk an upload. Bytes are collected into parts in an unnamed temporary
file (gone with the process) and each part is sent to storage from there, so that a part can be
sent again when storage hiccups.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import structlog
from sqlalchemy import delete, func, update
from sqlalchemy.exc import IntegrityError

from detect_api.core import owner
from detect_api.core.config import Settings
from detect_api.core.errors import Conflict, InvalidRequest, StorageError
from detect_api.core.ids import IMAGE_TYPES, VIDEO_TYPES, extension_of, new_id
from detect_api.core.limits import check_size, megabytes
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Removal
from detect_api.jobs import queue, states
from detect_api.services import idempotency, job_service, quotas, upload_progress
from detect_api.services.s3_service import metadata_value, video_key
from detect_api.storage.base import ObjectInfo, ObjectStore, PartialUpload

log = structlog.get_logger(__name__)

NOT_A_VIDEO = "File must be a video (mp4, avi, mov, mkv, webm, flv)"
NOT_AN_IMAGE = "File must be an image (jpg, png, webp, bmp)"


def check_type(filename: str, content_type: str, *, image: bool) -> str:
    """The media type to store the file with. Raises InvalidRequest unless it fits.

    The extension decides; a type that contradicts it is refused, since the client means
    something else than we do.
    """
    known, kind = (IMAGE_TYPES, "image/") if image else (VIDEO_TYPES, "video/")
    extension = extension_of(filename)
    vague = content_type in ("", "application/octet-stream")
    if extension in known and (vague or content_type.startswith(kind)):
        return content_type if not vague else known[extension]
    raise InvalidRequest(
        NOT_AN_IMAGE if image else NOT_A_VIDEO, code="not_an_image" if image else "not_a_video"
    )


@dataclass
class Upload:
    """One file on its way into storage. Not thread-safe; every method may block on I/O.

    ``start`` → ``write`` … → ``finish``, or ``give_up`` from anywhere.
    """

    settings: Settings
    sessions: SessionFactory
    store: ObjectStore
    job_id: uuid.UUID
    filename: str
    content_type: str
    expected: int | None
    image: bool = False

    received: int = 0
    # Not the job's id: clients choose that, and many of theirs may begin alike.
    _name: uuid.UUID = field(default_factory=new_id)
    _digest: Any = field(default_factory=hashlib.sha256)
    _object: PartialUpload | None = None
    _stored: bool = False
    _spool: IO[bytes] | None = None
    _spooled: int = 0
    _started: float = 0.0
    _begun: float = 0.0

    @property
    def key(self) -> str:
        """Where the file will lie."""
        began = datetime.fromtimestamp(self._started, UTC)
        return video_key(self.settings, began, self._name, extension_of(self.filename))

    def start(self, route: str, idempotency_key: str | None) -> None:
        """Creates the job, visible from now on. Raises Conflict if its id is taken, and TooMany."""
        self._started, self._begun = time.time(), time.monotonic()
        try:
            with self.sessions.begin() as session:
                # What was answered before creates nothing in the end.
                if not idempotency.is_known(session, route, idempotency_key):
                    quotas.take(session, jobs=1, at_once=1, size=self.expected or 0)
                session.add(
                    Job(
                        id=self.job_id,
                        type="image" if self.image else "video",
                        status=states.UPLOADING,
                        message="Uploading: 0.0MB",
                        filename=self.filename,
                        content_type=self.content_type,
                        file_size=self.expected,
                        object_key=self.key,
                        upload={"bytes_received": 0, "bytes_total": self.expected},
                    )
                )
                job_service.check_unused(session, self.job_id)
        except IntegrityError:
            raise job_service.taken(self.job_id) from None
        self._object = self.store.begin(
            self.key,
            self.content_type,
            {
                "original-filename": metadata_value(self.filename),
                "job-id": str(self.job_id),
            },
        )
        with self.sessions.begin() as session:
            session.execute(
                update(Job).where(Job.id == self.job_id).values(multipart_id=self._object.id)
            )

    def write(self, data: bytes | bytearray) -> None:
        """Takes the next bytes. Raises TooLarge at the byte that passes the limit."""
        limit = owner.size_limit(self.settings.max_file_size)
        check_size(self.received + len(data), limit)
        if self._spool is None:
            folder = self.settings.data_dir / "tmp"
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._spool = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        view = memoryview(data)
        self._digest.update(view)
        while view:
            room = self.store.part_size - self._spooled
            try:
                written = self._spool.write(view[:room]) or 0
            except OSError as error:
                raise StorageError(
                    f"The upload cannot be buffered under DATA_DIR ({error.strerror})."
                ) from error
            view = view[written:]
            self.received += written
            self._spooled += written
            if self._spooled == self.store.part_size:
                self._send_part()

    def finish(
        self, parameters: dict[str, Any], route: str, idempotency_key: str | None
    ) -> dict[str, Any]:
        """Completes the object and queues its processing; returns the answer for the client.

        The job becomes ``pending`` and its queue entry appears in one transaction. Raises
        InvalidRequest for an empty file, and TooMany if it is longer than was announced and the
        key may not have so many bytes.
        """
        if self.received == 0:
            raise InvalidRequest(
                "The file is empty: choose a file that has content.", code="empty_file"
            )
        assert self._object is not None
        if self._spooled:
            self._send_part()
        found = self._object.complete()
        self._stored = True
        body = self.fingerprint(parameters)
        with self.sessions.begin() as session:
            answer = idempotency.once(
                session,
                route,
                idempotency_key,
                body,
                lambda: self._queue(session, found, parameters),
            )
        if answer["job_id"] != str(self.job_id):
            # The same request was sent twice at once; the other one came first.
            self.store.delete(self.key)
            self._forget()
        self._close()
        return answer

    def fingerprint(self, parameters: dict[str, Any]) -> str:
        """A digest of what was sent: name, content and parameters."""
        return idempotency.fingerprint(
            {"filename": self.filename, "sha256": self._digest.hexdigest(), **parameters}
        )

    def give_up(self, code: str, detail: str) -> None:
        """Drops what was stored and ends the job as failed with this reason.

        What cannot be dropped now is left to the sweep.
        """
        self._close()
        if self._object is not None and not self._stored:
            try:
                self._object.abort()
            except StorageError as error:
                # The sweep aborts what it finds uploading and silent: leave the row for it.
                log.warning("abort_postponed", job_id=str(self.job_id), detail=error.detail)
                return
        with self.sessions.begin() as session:
            failed = states.fail(
                session,
                self.job_id,
                1,
                code=code,
                detail=detail,
                from_states=(states.UPLOADING,),
            )
            if self._stored:
                # The answer to a commit may be lost although it succeeded: then the job lives.
                job = session.get(Job, self.job_id)
                if failed or job is None or job.status == states.CANCELLED:
                    session.add(Removal(prefix=self.key, keep_until=func.now()))

    def _queue(self, session: Any, found: ObjectInfo, parameters: dict[str, Any]) -> dict[str, Any]:
        job = states.locked(session, self.job_id, 1, (states.UPLOADING,))
        if (more := found.size - (job.file_size or 0)) > 0:
            quotas.take(session, size=more)
        job.status = states.PENDING
        job.progress = 0.0
        job.message = "Waiting for a worker."
        job.parameters = parameters
        job.file_size = found.size
        job.object_etag = found.etag
        job.input_sha256 = self._digest.hexdigest()
        job.multipart_id = None
        job.upload = None
        job.updated_at = func.now()
        session.flush()
        queue.defer_plan(session, self.job_id, attempt=1, image=self.image)
        queue.notify(session, self.job_id)
        kind = "Image" if self.image else "Video"
        return {
            "job_id": str(self.job_id),
            "status": states.PENDING,
            "message": f"{kind} processing job created ({megabytes(found.size)}MB uploaded). "
            "Use the job_id to check status.",
            "status_url": f"/jobs/{self.job_id}",
        }

    def _send_part(self) -> None:
        assert self._object is not None
        assert self._spool is not None
        self._object.add_part(self._spool, self._spooled)  # type: ignore[arg-type]
        self._spool.seek(0)
        self._spool.truncate()
        self._spooled = 0

    def report(self) -> None:
        """Writes to the job how far the upload is, and that it is still alive.

        May be called while another thread is in ``write``. Raises Conflict when the job was
        cancelled or deleted.
        """
        speed = self.received / max(time.monotonic() - self._begun, 1e-3)
        now = upload_progress.arriving(self.received, self.expected, speed)
        with self.sessions.begin() as session:
            changed = session.execute(
                update(Job)
                .where(Job.id == self.job_id, Job.status == states.UPLOADING)
                .values(
                    progress=now.progress,
                    message=now.message,
                    upload=now.upload,
                    updated_at=func.now(),
                )
                .returning(Job.id)
            ).first()
            if changed is None:
                raise Conflict(
                    "The upload was cancelled or its job deleted meanwhile.", code="job_cancelled"
                )
            queue.notify(session, self.job_id)

    def _forget(self) -> None:
        with self.sessions.begin() as session:
            session.execute(delete(Job).where(Job.id == self.job_id))

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
