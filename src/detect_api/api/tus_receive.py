"""Taking in the body of a tus request while it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Literal

import structlog
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from detect_api.api.deps import Parts
from detect_api.core.errors import (
    Conflict,
    DetectApiError,
    InvalidRequest,
    Locked,
    StorageError,
    TooLarge,
)
from detect_api.core.ids import new_id
from detect_api.db.tables import TusUpload
from detect_api.jobs import resumable
from detect_api.jobs.states import Superseded
from detect_api.services import tus_service
from detect_api.services.tus_writer import Checksum, TusWriter

log = structlog.get_logger(__name__)

WAIT_SECONDS = 25.0
"""How long a request waits for another one to let go of the upload: longer than the lease of one
whose process died."""

SILENCE_SECONDS = 60.0
"""A client that sends nothing for so long has gone without a word."""

_LOOK_SECONDS = 0.1
_REPORT_SECONDS = 0.5
_BUFFERS = 4
_DRAIN_SECONDS = 5.0
_DRAIN_SILENCE_SECONDS = 0.3
_DRAIN_BYTES = 64 * 1024 * 1024


async def take(parts: Parts, job_id: uuid.UUID, holder: uuid.UUID) -> TusUpload:
    """The upload, held by ``holder`` unless it is finished.

    Raises NotFound, Gone, and Locked if another request does not let go.
    """
    end = time.monotonic() + WAIT_SECONDS
    while True:
        upload = await run_in_threadpool(tus_service.take, parts.sessions, job_id, holder)
        if upload is not None:
            return upload
        if time.monotonic() > end:
            raise Locked(
                "Another request is writing to this upload: try again in a few seconds.",
                code="upload_locked",
            )
        await asyncio.sleep(_LOOK_SECONDS)


@contextlib.asynccontextmanager
async def holding(parts: Parts, job_id: uuid.UUID) -> AsyncIterator[TusUpload]:
    """The upload while no other request writes to it. Raises as ``take`` does."""
    holder = new_id()
    upload = await take(parts, job_id, holder)
    try:
        yield upload
    finally:
        if not upload.finished:
            await run_in_threadpool(tus_service.release, parts.sessions, upload, holder)


class TusBody:
    """The body of one request, which goes into an upload at ``offset``."""

    def __init__(
        self,
        request: Request,
        parts: Parts,
        *,
        offset: int,
        checksum: Checksum | None = None,
        length: int | None = None,
    ) -> None:
        self._request = request
        self._parts = parts
        self._offset = offset
        self._checksum = checksum
        self._length = length
        self._size = self._content_length()
        self._asked = asyncio.Event()
        self._holder = new_id()

    async def receive(self, job_id: uuid.UUID) -> int:
        """Takes in the body and makes it safe; returns the offset after it.

        What arrived before an error or a broken connection is made safe, too, except for bytes
        with a checksum. With the last byte of the file its processing is queued.
        """
        upload = await take(self._parts, job_id, self._holder)
        if upload.finished:
            self._check_place(upload)
            return upload.received
        writer: TusWriter | None = None
        try:
            await run_in_threadpool(self._set_length, upload)
            self._check_place(upload)
            writer = TusWriter(
                self._parts.settings, self._parts.sessions, self._parts.store, upload,
                self._holder, self._checksum,
            )  # fmt: skip
            return await self._write(writer, job_id)
        except Superseded:
            raise await run_in_threadpool(self._why_superseded, job_id) from None
        finally:
            await asyncio.shield(run_in_threadpool(self._let_go, upload, writer))

    def _content_length(self) -> int | None:
        value = self._request.headers.get("content-length", "")
        return int(value) if value.isdecimal() else None

    def _set_length(self, upload: TusUpload) -> None:
        """Notes the length of a file that was not known before."""
        if self._length is None or self._length == upload.length:
            return
        if upload.length is not None or self._length < upload.received:
            raise InvalidRequest(
                "Upload-Length does not fit to what was announced or has arrived before.",
                code="bad_tus_header",
            )
        tus_service.check_length(self._parts.settings, self._length)
        with self._parts.sessions.begin() as session:
            tus_service.set_length(session, upload.job_id, self._holder, self._length)
        upload.length = self._length

    def _check_place(self, upload: TusUpload) -> None:
        if self._offset != upload.received:
            raise Conflict(
                f"The upload stands at offset {upload.received}, not {self._offset}: ask for its "
                "offset with HEAD and go on from there.",
                code="offset_mismatch",
            )
        end = self._offset + (self._size or 0)
        if upload.length is not None and end > upload.length:
            raise TooLarge(
                f"More bytes come than the {upload.length} that Upload-Length announced.",
                code="upload_too_long",
            )
        tus_service.check_length(self._parts.settings, max(1, end))

    async def _write(self, writer: TusWriter, job_id: uuid.UUID) -> int:
        reporting = asyncio.create_task(self._report(writer))
        asked = asyncio.create_task(self._asked.wait())
        try:
            try:
                await self._take_in(writer, reporting, asked)
            except (Superseded, asyncio.CancelledError):
                raise
            except Exception:
                await self._keep_what_came(writer)
                raise
            offset = await asyncio.to_thread(writer.keep, whole=True)
            if offset == writer.length:
                await asyncio.to_thread(self._finish, job_id)
        except asyncio.CancelledError:
            # The service is being stopped.
            await asyncio.shield(self._keep_what_came(writer))
            raise
        finally:
            for task in (reporting, asked):
                task.cancel()
            await asyncio.gather(reporting, asked, return_exceptions=True)
        return offset

    async def _report(self, writer: TusWriter) -> None:
        """Keeps the lease until the request ends, and hears whether another one waits.

        In threads other than those that talk to storage: those may all be waiting.
        """
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            if await run_in_threadpool(writer.report):
                self._asked.set()

    async def _take_in(
        self, writer: TusWriter, reporting: asyncio.Task[None], asked: asyncio.Task[Literal[True]]
    ) -> None:
        pending = bytearray()
        enough = self._parts.settings.chunk_size // _BUFFERS
        more = True
        while more:
            try:
                data, more = await self._next(reporting, asked)
            except (DetectApiError, ClientDisconnect):
                await asyncio.to_thread(writer.write, pending)
                raise
            pending += data
            if len(pending) >= enough or not more:
                taken, pending = pending, bytearray()
                self._parts.metrics.uploaded_bytes.inc(len(taken))
                await asyncio.to_thread(writer.write, taken)

    async def _next(
        self, reporting: asyncio.Task[None], asked: asyncio.Task[Literal[True]]
    ) -> tuple[bytes, bool]:
        """The next bytes of the body, and whether more will come."""
        arriving = asyncio.ensure_future(self._request.receive())
        try:
            await asyncio.wait(
                {arriving, reporting, asked},
                timeout=SILENCE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if reporting.done():
                reporting.result()  # it ended because the lease was lost, or by an error
            if asked.done():
                raise Conflict(
                    "Another request for this upload came and takes over.", code="upload_taken_over"
                )
            if not arriving.done():
                # Not 408: clients take that for a fault of theirs and do not go on.
                raise Conflict(
                    f"No byte came for {SILENCE_SECONDS:.0f} seconds: go on from the offset that "
                    "HEAD tells.",
                    code="upload_silent",
                )
            message = arriving.result()
        finally:
            arriving.cancel()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message.get("body", b""), message.get("more_body", False)

    async def _keep_what_came(self, writer: TusWriter) -> None:
        try:
            await asyncio.to_thread(writer.keep, whole=False)
        except (DetectApiError, Superseded) as error:
            # The client learns from HEAD how far what was written down before goes.
            log.warning("tail_lost", error=type(error).__name__)

    def _finish(self, job_id: uuid.UUID) -> None:
        try:
            resumable.finish(self._parts.sessions, self._parts.store, job_id)
        except StorageError as error:
            # All bytes are safe, which is what the client has to know; the sweep finishes.
            log.warning("finish_postponed", job_id=str(job_id), detail=error.detail)

    def _why_superseded(self, job_id: uuid.UUID) -> DetectApiError:
        try:
            with self._parts.sessions() as session:
                tus_service.find(session, job_id)
        except DetectApiError as error:
            return error
        return Conflict(
            "Another request for this upload came and takes over.", code="upload_taken_over"
        )

    def _let_go(self, upload: TusUpload, writer: TusWriter | None) -> None:
        try:
            if writer is not None:
                writer.close()
            else:
                tus_service.release(self._parts.sessions, upload, self._holder)
        except SQLAlchemyError as error:
            # The lease runs out by itself.
            log.warning("release_failed", job_id=str(upload.job_id), error=type(error).__name__)


async def drain(request: Request) -> None:
    """Reads on for a moment, so that a client still sending gets to see that it was refused."""
    if request.headers.get("expect"):
        return
    end, left = time.monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES
    while left > 0 and time.monotonic() < end:
        try:
            message = await asyncio.wait_for(request.receive(), _DRAIN_SILENCE_SECONDS)
        except (TimeoutError, RuntimeError):
            return
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        left -= len(message.get("body", b""))
