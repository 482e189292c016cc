"""The bytes of one tus request on their way into storage.

Whole parts go to the store's multipart upload. What is left when the request ends, less than a
part, is stored as an object of its own, a piece; the request that completes the part reads the
pieces back. An upload can therefore go on in any process on any machine.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

import structlog
from sqlalchemy.orm import Session

from detect_api.core.config import Settings
from detect_api.core.errors import ChecksumMismatch, ObjectMissing, StorageError, TooLarge
from detect_api.core.limits import check_size
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, TusUpload
from detect_api.jobs import resumable, states
from detect_api.services import tus_service, upload_progress
from detect_api.storage.base import ObjectStore, PartialUpload

log = structlog.get_logger(__name__)

MAX_PIECES = 32
"""More pieces of one part are made into one: clients may send a few bytes a request."""


@dataclass(frozen=True)
class Checksum:
    """What the client says its bytes add up to."""

    algorithm: str
    digest: bytes


class TusWriter:
    """Takes the bytes of the request that holds the lease on ``upload``.

    ``write`` … → ``keep``; then ``close`` in any case. Every method may block on I/O; they may be
    called from several threads, one waits for the other. All but ``close`` raise Superseded once
    the lease is lost or the upload was cancelled, and StorageError.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: SessionFactory,
        store: ObjectStore,
        upload: TusUpload,
        holder: uuid.UUID,
        checksum: Checksum | None = None,
    ) -> None:
        self.position = upload.received
        self._first = upload.received
        self._settings = settings
        self._sessions = sessions
        self._store = store
        self._upload = upload
        self._holder = holder
        self._checksum = checksum
        self._digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self._lock = threading.Lock()
        self._closed = False
        self._spool: IO[bytes] | None = None
        self._object: PartialUpload | None = None
        self._started = time.monotonic()
        # Of the part that is being collected: its pieces in storage, the bytes in them, and
        # whether they have been read back into the spool file.
        self._pieces: list[dict[str, Any]] = list(upload.pieces)
        self._before = sum(piece["size"] for piece in self._pieces)
        self._part_start = upload.received - self._before
        self._loaded = False
        # What is safe in storage and not written down yet.
        self._new_parts: list[tuple[int, str]] = []
        self._obsolete: list[str] = []

    @property
    def length(self) -> int | None:
        """Length of the whole file, if it is known."""
        return self._upload.length

    def write(self, data: bytes | bytearray) -> None:
        """Takes the next bytes. Raises TooLarge where they pass the file's length or the limit."""
        with self._lock:
            self._check_open()
            end = self.position + len(data)
            if self.length is not None and end > self.length:
                raise TooLarge(
                    f"More bytes came than the {self.length} that Upload-Length announced.",
                    code="upload_too_long",
                )
            check_size(end, tus_service.limit(self._settings))
            if self._digest is not None:
                self._digest.update(data)
            view = memoryview(data)
            while view:
                at = self.position - self._part_start
                room = self._upload.part_size - at
                self._buffer(view[:room], at)
                written = min(room, len(view))
                view = view[written:]
                self.position += written
                if written == room:
                    self._send_part(self._upload.part_size)

    def keep(self, *, whole: bool) -> int:
        """Makes safe what was taken and writes it down; returns the offset from now on.

        ``whole`` says that the request's body has arrived to its end. If it has not, bytes with a
        checksum do not count. Raises ChecksumMismatch, and then none of them counts either.
        """
        with self._lock:
            self._check_open()
            if self._checksum is not None and self._digest is not None:
                if not whole:
                    return self._first
                if not hmac.compare_digest(self._digest.digest(), self._checksum.digest):
                    raise ChecksumMismatch(
                        "The bytes do not have the checksum that Upload-Checksum announced: send "
                        f"them again from offset {self._first}."
                    )
            size = self.position - self._part_start
            is_last = self.position == self.length and (self._pieces or size > self._before)
            # A part that is full has not been sent if storage failed.
            if is_last or size == self._upload.part_size:
                self._send_part(size)
            elif size > self._before:
                self._store_piece(size)
            self._record()
            return self.position

    def report(self) -> bool:
        """Keeps the lease and shows the progress on the job; whether another request waits.

        May be called while another thread is in ``write``.
        """
        received = self.position
        speed = (received - self._first) / max(time.monotonic() - self._started, 1e-3)
        shown = upload_progress.arriving(received, self.length, speed)
        with self._sessions.begin() as session:
            return resumable.renew(session, self._upload.job_id, self._holder, **vars(shown))

    def close(self) -> None:
        """Releases the lease and what the writer holds; what was not kept is forgotten."""
        with self._lock:
            self._closed = True
            if self._spool is not None:
                self._spool.close()
            with self._sessions.begin() as session:
                known = session.get(TusUpload, self._upload.job_id)
                shown = upload_progress.paused(known.received if known else 0, self.length)
                resumable.release(session, self._upload.job_id, self._holder, **vars(shown))

    def _check_open(self) -> None:
        if self._closed:
            raise states.Superseded

    def _open_spool(self) -> IO[bytes]:
        if self._spool is None:
            folder = self._settings.data_dir / "tmp"
            folder.mkdir(parents=True, exist_ok=True)
            self._spool = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        return self._spool

    def _buffer(self, data: bytes | memoryview, at: int) -> None:
        """Writes all of it into the spool file. Raises StorageError."""
        spool, left = self._open_spool().fileno(), memoryview(data)
        try:
            while left:  # a disk that is nearly full takes a part of it, and says no word
                written = os.pwrite(spool, left, at)
                left, at = left[written:], at + written
        except OSError as error:
            raise StorageError(
                f"The upload cannot be buffered under DATA_DIR ({error.strerror})."
            ) from error

    def _send_part(self, size: int) -> None:
        """Sends the collected part, with the pieces that it begins with."""
        spool = self._open_spool()
        number = self._part_start // self._upload.part_size + 1
        with self._losing():
            self._load_pieces()
            name = self._multipart(number).add_part(cast("BinaryIO", spool), size)
        spool.truncate(0)
        self._new_parts.append((number, name))
        self._obsolete += [piece["key"] for piece in self._pieces]
        self._pieces, self._before, self._loaded = [], 0, False
        self._part_start += size
        if self._checksum is None:
            self._record()

    def _multipart(self, number: int) -> PartialUpload:
        """The store's upload, ready for the part of this number."""
        if self._object is not None:
            return self._object
        with self._sessions() as session:
            job = session.get(Job, self._upload.job_id)
            names = resumable.part_names(session, self._upload.job_id)[: number - 1]
        if job is None:
            raise states.Superseded
        about = (self._upload.object_key, job.content_type or "", self._upload.object_metadata)
        if self._upload.multipart_id is None:
            # Written down before the first part is sent, so that nothing is left behind.
            begun = self._store.begin(*about)
            try:
                with self._sessions.begin() as session:
                    self._write_down(session, multipart_id=begun.id)
            except BaseException:
                begun.abort()
                raise
            self._upload.multipart_id = begun.id
        size = (number - 1) * self._upload.part_size
        self._object = self._store.resume(*about, self._upload.multipart_id, parts=names, size=size)
        return self._object

    def _store_piece(self, end: int) -> None:
        """Stores what this request brought of a part that is not full yet."""
        if len(self._pieces) >= MAX_PIECES:
            with self._losing():
                self._load_pieces()
            self._obsolete += [piece["key"] for piece in self._pieces]
            self._pieces, self._before = [], 0
        start, size = self._before, end - self._before
        prefix = resumable.piece_prefix(self._upload.object_key, self._upload.job_id)
        # The name is the request's own: one that lost its lease overwrites nothing that counts.
        key = f"{prefix}{self.position - size:016d}-{self._holder.hex}"
        window = cast("BinaryIO", _Window(self._open_spool(), start, size))
        self._store.put_file(key, window, size, "application/octet-stream")
        self._pieces.append({"key": key, "size": size})
        self._before = end

    def _load_pieces(self) -> None:
        """Reads back what earlier requests brought of the part."""
        if self._loaded:
            return
        at = 0
        for piece in self._pieces:
            done = 0
            while done < piece["size"]:
                wanted = min(self._settings.chunk_size, piece["size"] - done)
                data = self._store.read_range(piece["key"], done, wanted)
                if not data:
                    raise ObjectMissing("A piece of the upload is shorter than it was.")
                self._buffer(data, at)
                done += len(data)
                at += len(data)
        self._loaded = True

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """Fails the job where storage says that what it had of the upload is gone."""
        try:
            yield
        except ObjectMissing:
            with self._sessions.begin() as session:
                resumable.lose(session, self._upload.job_id)
            raise states.Superseded from None

    def _record(self) -> None:
        with self._sessions.begin() as session:
            self._write_down(
                session,
                received=self.position,
                pieces=self._pieces,
                expires_at=tus_service.expiry(self._settings),
                parts=self._new_parts,
            )
        self._new_parts = []
        obsolete, self._obsolete = self._obsolete, []
        for key in obsolete:
            try:
                self._store.delete(key)
            except StorageError as error:
                # All pieces go when the upload ends.
                log.warning("removal_postponed", detail=error.detail)

    def _write_down(self, session: Session, **values: Any) -> None:
        resumable.record(session, self._upload.job_id, self._holder, **values)


class _Window:
    """Some bytes in the middle of a file, as a file."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._descriptor = file.fileno()
        self._start = start
        self._size = size
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at
        wanted = left if size < 0 else min(size, left)
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at
