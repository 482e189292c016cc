"""Taking in a multipart form while it arrives.

Starlette's own form parser keeps the whole body back until the last byte is there, so nothing
could be refused early and no progress could be shown. Here each piece of the file goes on as
soon as a quarter of CHUNK_SIZE has come together.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from streaming_form_data import StreamingFormDataParser
from streaming_form_data.parser import ParseFailedException, UnexpectedPartException
from streaming_form_data.targets import BaseTarget, ValueTarget
from streaming_form_data.validators import MaxSizeValidator, ValidationError

from detect_api.api.deps import Parts
from detect_api.core import owner
from detect_api.core.errors import (
    Conflict,
    DetectApiError,
    InvalidRequest,
    Unprocessable,
    UploadTimeout,
)
from detect_api.core.limits import check_size, megabytes
from detect_api.jobs.states import Superseded
from detect_api.services.upload_service import Upload, check_type
from detect_api.webhooks.target import check_webhook

_REPORT_SECONDS = 0.5
_BUFFERS = 4
"""A buffer takes up to twice its size while it grows, and so may the one before it: with a quarter
of CHUNK_SIZE, all that an upload holds in memory stays within CHUNK_SIZE."""
_FIELD_LIMIT = 4096
_FORM_OVERHEAD = 65536
_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 256 * 1024 * 1024


class _FileTarget(BaseTarget):  # type: ignore[misc]
    """Collects what has arrived of the file since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self.started = False
        self.finished = False
        self.pending = bytearray()

    def on_start(self) -> None:
        if self.started:
            raise InvalidRequest("Send one file only, in the field 'file'.", code="two_files")
        self.started = True

    def on_data_received(self, chunk: bytes) -> None:
        self.pending += chunk

    def on_finish(self) -> None:
        self.finished = True

    def take(self) -> bytearray:
        """What has arrived, which is forgotten here."""
        taken, self.pending = self.pending, bytearray()
        return taken


class FormUpload:
    """One request that brings a file in a form, from its first byte to its answer."""

    def __init__(
        self,
        request: Request,
        parts: Parts,
        fields: type[BaseModel],
        *,
        job_id: uuid.UUID,
        idempotency_key: str | None,
        image: bool,
    ) -> None:
        self._request = request
        self._parts = parts
        self._fields = fields
        self._key = idempotency_key
        self._job_id = job_id
        self._image = image
        self._file = _FileTarget()
        self._values = {
            name: ValueTarget(validator=MaxSizeValidator(_FIELD_LIMIT))
            for name in fields.model_fields
        }
        self._upload: Upload | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._body_bytes = 0

    async def run(self) -> dict[str, Any]:
        """Stores the file and queues its processing; returns the answer.

        Raises InvalidRequest, TooLarge, UploadTimeout, Conflict or pydantic's ValidationError.
        Whatever goes wrong, no part of the file stays behind, and a job that was visible ends as
        failed with the reason.
        """
        limit = self._parts.settings.upload_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                try:
                    return await self._receive()
                finally:
                    await self._stop_reporting()
        except TimeoutError:
            error = UploadTimeout(
                f"The upload took longer than {limit} seconds (UPLOAD_TIMEOUT_SECONDS): "
                "use a faster line, or upload straight to S3."
            )
            await self._give_up(error.code, error.detail)
            raise error from None
        except ClientDisconnect:
            got = megabytes(self._upload.received if self._upload else 0, 1)
            await self._give_up(
                "upload_broken", f"The connection broke after {got}MB. Upload the file again."
            )
            raise
        except Superseded:
            await self._give_up("upload_cancelled", "The upload was cancelled.")
            raise Conflict(
                "The upload was cancelled or its job deleted meanwhile.", code="job_cancelled"
            ) from None
        except asyncio.CancelledError:
            await asyncio.shield(
                self._give_up("upload_broken", "The service was stopped. Upload the file again.")
            )
            raise
        except Exception as error:
            detail = error.detail if isinstance(error, DetectApiError) else "The upload failed."
            code = error.code if isinstance(error, DetectApiError) else "upload_failed"
            await self._give_up(code, detail)
            await self._drain()
            raise

    async def _receive(self) -> dict[str, Any]:
        parser = self._parser()
        size = self._content_length()
        if size is not None:
            limit = owner.size_limit(self._parts.settings.max_file_size)
            if size > limit + _FORM_OVERHEAD:
                check_size(size - _FORM_OVERHEAD, limit)
        async for chunk in self._body():
            self._body_bytes += len(chunk)
            try:
                parser.data_received(chunk)
            except UnexpectedPartException as error:
                known = ", ".join(("file", *self._values))
                raise Unprocessable(
                    f"The form has an unknown field '{error.part_name}'; known are: {known}.",
                    code="validation_error",
                ) from error
            except (ParseFailedException, ValidationError, UnicodeDecodeError) as error:
                raise InvalidRequest(
                    "The body is not a well-formed multipart form with a field 'file'.",
                    code="bad_form",
                ) from error
            if self._file.started and self._upload is None:
                await self._start(size)
            if len(self._file.pending) >= self._parts.settings.chunk_size // _BUFFERS:
                await self._write()
        if self._upload is None:
            raise InvalidRequest(
                "The form has no file: send the video in the field 'file'.", code="no_file"
            )
        if not self._file.finished:
            raise InvalidRequest(
                "The form ended in the middle of the file: upload it again.", code="bad_form"
            )
        await self._write()
        parameters = self._parameters()
        return await asyncio.to_thread(
            self._upload.finish, parameters, self._request.url.path, self._key
        )

    def _parser(self) -> StreamingFormDataParser:
        content_type = self._request.headers.get("content-type", "")
        if not content_type.startswith("multipart/form-data"):
            raise InvalidRequest(
                "Send the video as multipart/form-data, in the field 'file'.", code="bad_form"
            )
        try:
            parser = StreamingFormDataParser(headers={"Content-Type": content_type}, strict=True)
        except ParseFailedException as error:
            raise InvalidRequest(
                "The Content-Type names no boundary of the form.", code="bad_form"
            ) from error
        parser.register("file", self._file)
        for name, target in self._values.items():
            parser.register(name, target)
        return parser

    async def _body(self) -> AsyncIterator[bytes]:
        async for chunk in self._request.stream():
            if chunk:
                yield chunk

    def _content_length(self) -> int | None:
        value = self._request.headers.get("content-length", "")
        return int(value) if value.isdecimal() else None

    async def _start(self, body_size: int | None) -> None:
        filename = (self._file.multipart_filename or "").replace("\\", "/").rsplit("/", 1)[-1]
        if not filename.isprintable():
            raise InvalidRequest("The file name must not hold control characters.", code="bad_form")
        kind = check_type(filename, self._file.multipart_content_type or "", image=self._image)
        owner.check_content_type(kind)
        if self._complete_fields():
            self._parameters()  # what is wrong already is said before the file is taken in
        expected = len(self._file.pending) if self._file.finished else None
        if body_size is not None and expected is None:
            # What came before the file is known; behind it stands the closing boundary.
            before = self._body_bytes - len(self._file.pending)
            boundary = re.search(
                r'boundary="?([^";]+)', self._request.headers.get("content-type", "")
            )
            expected = max(0, body_size - before - len(boundary[1] if boundary else "") - 8)
        upload = Upload(
            settings=self._parts.settings,
            sessions=self._parts.sessions,
            store=self._parts.store,
            job_id=self._job_id,
            filename=filename[:255],
            content_type=kind,
            expected=expected,
            image=self._image,
        )
        await asyncio.to_thread(upload.start, self._request.url.path, self._key)
        self._upload = upload
        self._reporting = asyncio.create_task(_report_for_ever(upload))

    async def _write(self) -> None:
        assert self._upload is not None
        assert self._reporting is not None
        if self._reporting.done():
            self._reporting.result()  # it ended because the job was cancelled: so do we
        taken = self._file.take()
        if taken:
            self._parts.metrics.uploaded_bytes.inc(len(taken))
            await asyncio.to_thread(self._upload.write, taken)

    def _complete_fields(self) -> bool:
        return any(target.value for target in self._values.values())

    def _parameters(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, target in self._values.items():
            try:
                text = target.value.decode("utf-8").strip()
            except UnicodeDecodeError:
                raise Unprocessable(
                    f"The field {name} is not valid UTF-8.", code="validation_error"
                ) from None
            if text:
                given[name] = text
        parameters = self._fields.model_validate(given).model_dump()
        check_webhook(self._parts.settings, parameters.get("webhook_url"))
        return parameters

    async def _stop_reporting(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
            # Whether it ended by itself, and why, has been heard in ``_write`` or is no matter.
            await asyncio.gather(self._reporting, return_exceptions=True)

    async def _give_up(self, code: str, detail: str) -> None:
        if self._upload is not None:
            await asyncio.to_thread(self._upload.give_up, code, detail)

    async def _drain(self) -> None:
        """Reads on for a moment, so that a client still sending gets to see the answer."""
        left = _DRAIN_BYTES
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for chunk in self._request.stream():
                    left -= len(chunk)
                    if left < 0:
                        return
        except (TimeoutError, ClientDisconnect, RuntimeError):
            return


async def _report_for_ever(upload: Upload) -> None:
    """Reports while bytes come and while they do not: a slow line is not a dead one."""
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        await asyncio.to_thread(upload.report)
