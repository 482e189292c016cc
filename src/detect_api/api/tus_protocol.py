"""The headers of tus 1.0: reading what clients send, and what the service says of itself.

Source: the protocol's text, version 1.0.0 (tus.io), core and extensions.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detect_api.api.schemas.video import ProcessingParameters
from detect_api.core.errors import InvalidRequest, Unprocessable, WrongVersion
from detect_api.core.ids import new_id
from detect_api.services.tus_service import NewUpload
from detect_api.services.tus_writer import Checksum

PATH = "/uploads/tus"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-defer-length,creation-with-upload,checksum,expiration,termination"
BODY_TYPE = "application/offset+octet-stream"
ALGORITHMS = {"sha1": 20, "sha256": 32}
"""Checksums that are taken, with their length in bytes."""

EXPOSED = (
    "Location", "Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable",
    "Tus-Version", "Upload-Defer-Length", "Upload-Expires", "Upload-Length", "Upload-Metadata",
    "Upload-Offset",
)  # fmt: skip
"""Response headers that a page on another origin has to see."""

_NUMBER = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[!-+\--~]+")
_IGNORED = frozenset({"name", "type", "relativePath"})
"""Sent by Uppy beside filename and filetype, whether one wants them or not."""


class TusHeaders:
    """Puts the protocol's version on every answer under ``/uploads/tus``, errors too.

    The connection is closed after an error, since the rest of a refused body may still be coming.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == PATH or path.startswith(f"{PATH}/")):
            await self._app(scope, receive, send)
            return

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(b"tus-resumable", VERSION.encode())]
                if message["status"] >= 400:
                    more.append((b"connection", b"close"))
                if message["status"] == WrongVersion.status:
                    more.append((b"tus-version", VERSION.encode()))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, receive, send_with_version)


def require_version(value: str | None) -> None:
    """Raises WrongVersion unless the client speaks ours."""
    if value != VERSION:
        raise WrongVersion(f"Send the header Tus-Resumable: {VERSION}, the version spoken here.")


def number(name: str, value: str | None) -> int:
    """A header that is a whole number of bytes. Raises InvalidRequest."""
    if value is None or not _NUMBER.fullmatch(value):
        raise InvalidRequest(
            f"The header {name} must be a whole number of bytes.", code="bad_tus_header"
        )
    return int(value)


def length(upload_length: str | None, defer_length: str | None) -> int | None:
    """The file's length, None if it is to be told later. Raises InvalidRequest."""
    if defer_length is None:
        return number("Upload-Length", upload_length)
    if defer_length != "1" or upload_length is not None:
        raise InvalidRequest(
            "Send either Upload-Length or Upload-Defer-Length: 1.", code="bad_tus_header"
        )
    return None


def checksum(value: str | None) -> Checksum | None:
    """What Upload-Checksum says. Raises InvalidRequest for an algorithm that is not taken."""
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(
            f"The checksum must be one of {', '.join(ALGORITHMS)}.", code="bad_tus_header"
        )
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != ALGORITHMS[algorithm]:
        raise InvalidRequest(
            f"The header Upload-Checksum must be '{algorithm}' and its digest in Base64.",
            code="bad_tus_header",
        )
    return Checksum(algorithm, digest)


def metadata(header: str) -> dict[str, str]:
    """The pairs in Upload-Metadata, decoded. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for pair in header.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if not key and len(header.strip()) == 0:
            continue
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            text = "\0"
        if not _KEY.fullmatch(key) or key in found or not text.isprintable():
            raise InvalidRequest(
                "The header Upload-Metadata must hold pairs of a key and its value, printable "
                "UTF-8 in Base64, separated by commas; each key once.",
                code="bad_tus_header",
            )
        found[key] = text
    return found


def new_upload(header: str, file_length: int | None) -> NewUpload:
    """What the client announces. Raises InvalidRequest, Unprocessable or pydantic's
    ValidationError."""
    given = metadata(header)
    names = ("filename", "filetype", "job_id", *ProcessingParameters.model_fields)
    unknown = sorted(set(given) - set(names) - _IGNORED)
    if unknown:
        raise Unprocessable(
            f"Upload-Metadata has an unknown key '{unknown[0]}'; known are: {', '.join(names)}.",
            code="validation_error",
        )
    values: dict[str, Any] = {key: text.strip() for key, text in given.items() if text.strip()}
    wanted = {key: values[key] for key in ProcessingParameters.model_fields if key in values}
    filename = values.get("filename", "").replace("\\", "/").rsplit("/", 1)[-1]
    return NewUpload(
        job_id=_job_id(values.get("job_id")),
        filename=filename[:255],
        content_type=values.get("filetype", "")[:100],
        length=file_length,
        parameters=ProcessingParameters.model_validate(wanted).model_dump(),
        client_metadata=header,
    )


def _job_id(value: str | None) -> uuid.UUID:
    if value is None:
        return new_id()
    try:
        return uuid.UUID(value)
    except ValueError:
        raise Unprocessable("job_id must be a UUID.", code="validation_error") from None


def http_date(moment: datetime) -> str:
    """A time as Upload-Expires writes it."""
    return format_datetime(moment, usegmt=True)
