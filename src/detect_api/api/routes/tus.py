"""tus 1.0: uploads through the API that go on after the line broke."""

from __future__ import annotations

import contextlib
import uuid
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from detect_api.api import tus_protocol as tus
from detect_api.api.deps import IdempotencyKey, Parts, PartsDep
from detect_api.api.schemas.base import problems
from detect_api.api.tus_receive import TusBody, drain, holding
from detect_api.core.errors import DetectApiError, Locked, StorageError, WrongMediaType
from detect_api.db.tables import TusUpload
from detect_api.services import idempotency, tus_service
from detect_api.webhooks.target import check_webhook

log = structlog.get_logger(__name__)

router = APIRouter(prefix=tus.PATH, tags=["tus"])


async def speaks_tus(
    tus_resumable: Annotated[
        str | None, Header(alias="Tus-Resumable", description="The protocol's version: 1.0.0.")
    ] = None,
) -> None:
    """Refuses clients of another version, before anything else of the request is looked at."""
    tus.require_version(tus_resumable)


CHECKED = [Depends(speaks_tus)]
"""What is asked before the first byte of a body is read."""

_BODY = {
    "requestBody": {
        "content": {
            tus.BODY_TYPE: {
                "schema": {"type": "string", "format": "binary"},
                "example": "(bytes of the video)",
            }
        },
    }
}

UploadLength = Annotated[
    str | None, Header(alias="Upload-Length", description="Bytes of the whole file.")
]
UploadOffset = Annotated[
    str | None, Header(alias="Upload-Offset", description="Where in the file the body begins.")
]
UploadChecksum = Annotated[
    str | None,
    Header(alias="Upload-Checksum", description="`sha1` or `sha256`, and the digest in Base64."),
]
MethodOverride = Annotated[
    str | None,
    Header(alias="X-HTTP-Method-Override", description="The method that is meant."),
]


@router.options("", status_code=204, summary="What this server does of tus")
@router.options("/", status_code=204, include_in_schema=False)
@router.options("/{job_id}", status_code=204, include_in_schema=False)
async def options(parts: PartsDep) -> Response:
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(tus_service.limit(parts.settings)),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        },
    )


@router.post(
    "",
    status_code=201,
    dependencies=CHECKED,
    responses=problems(400, 409, 410, 412, 413, 415, 422, 423, 460, 503),
    openapi_extra=_BODY,
    summary="Begin a resumable upload",
)
@router.post("/", status_code=201, dependencies=CHECKED, include_in_schema=False)
async def create(
    request: Request,
    parts: PartsDep,
    upload_length: UploadLength = None,
    upload_defer_length: Annotated[
        str | None,
        Header(alias="Upload-Defer-Length", description="1: the length will be told later."),
    ] = None,
    upload_metadata: Annotated[
        str,
        Header(alias="Upload-Metadata", description="filename, filetype and parameters."),
    ] = "",
    upload_checksum: UploadChecksum = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    try:
        length = tus.length(upload_length, upload_defer_length)
        new = tus.new_upload(upload_metadata, length)
        check_webhook(parts.settings, new.parameters["webhook_url"])
        checksum = tus.checksum(upload_checksum)
        with_body = _is_body(request)
        job_id, is_new = await run_in_threadpool(_create, parts, new, idempotency_key)
        offset = None
        if with_body and is_new:
            offset = await TusBody(request, parts, offset=0, checksum=checksum).receive(job_id)
    except (DetectApiError, ValidationError):
        await drain(request)
        raise
    headers = await run_in_threadpool(_expires, parts, job_id)
    if offset is not None:
        headers["Upload-Offset"] = str(offset)
    return Response(status_code=201, headers={"Location": f"{tus.PATH}/{job_id}", **headers})


def _create(parts: Parts, new: tus_service.NewUpload, key: str | None) -> tuple[uuid.UUID, bool]:
    """The upload's id, and whether it was created for this request and not for an earlier one."""
    created = False

    def create_upload() -> dict[str, str]:
        nonlocal created
        created = True
        return tus_service.create(session, parts.settings, parts.store, new)

    announced = idempotency.fingerprint({"metadata": new.client_metadata, "length": new.length})
    with parts.sessions.begin() as session:
        answer = idempotency.once(
            session,
            "tus",
            key,
            announced,
            create_upload,
        )
    return uuid.UUID(answer["job_id"]), created


@router.head(
    "/{job_id}",
    dependencies=CHECKED,
    responses=problems(404, 410, 412, 423),
    summary="How far a resumable upload is",
)
async def head(job_id: uuid.UUID, parts: PartsDep) -> Response:
    try:
        async with holding(parts, job_id) as upload:
            return _state(upload)
    except (DBAPIError, PoolTimeout) as error:
        # Clients take any answer but 423 for the loss of the upload and begin a new one.
        log.warning("offset_unknown", exc_info=error)
        raise Locked(
            "The database cannot be reached at the moment: try again in a few seconds.",
            code="upload_locked",
        ) from None


def _state(upload: TusUpload) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Upload-Offset": str(upload.received),
        "Upload-Expires": tus.http_date(upload.expires_at),
    }
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    if upload.client_metadata:
        headers["Upload-Metadata"] = upload.client_metadata
    return Response(headers=headers)


@router.patch(
    "/{job_id}",
    status_code=204,
    dependencies=CHECKED,
    responses=problems(400, 404, 409, 410, 412, 413, 415, 423, 460, 503),
    openapi_extra=_BODY,
    summary="Send the next bytes of a resumable upload",
)
async def patch(
    job_id: uuid.UUID,
    request: Request,
    parts: PartsDep,
    upload_offset: UploadOffset = None,
    upload_checksum: UploadChecksum = None,
    upload_length: UploadLength = None,
) -> Response:
    try:
        _check_type(request)
        body = TusBody(
            request,
            parts,
            offset=tus.number("Upload-Offset", upload_offset),
            checksum=tus.checksum(upload_checksum),
            length=None if upload_length is None else tus.number("Upload-Length", upload_length),
        )
        offset = await body.receive(job_id)
    except DetectApiError:
        await drain(request)
        raise
    headers = await run_in_threadpool(_expires, parts, job_id)
    return Response(status_code=204, headers={"Upload-Offset": str(offset), **headers})


@router.delete(
    "/{job_id}",
    status_code=204,
    dependencies=CHECKED,
    responses=problems(404, 409, 410, 412, 423),
    summary="Give up a resumable upload",
)
async def delete(job_id: uuid.UUID, parts: PartsDep) -> Response:
    async with holding(parts, job_id) as upload:
        # If storage does not answer, the upload is cancelled and the sweep drops the bytes.
        with contextlib.suppress(StorageError):
            await run_in_threadpool(tus_service.terminate, parts.sessions, parts.store, upload)
    return Response(status_code=204)


@router.post(
    "/{job_id}",
    status_code=204,
    dependencies=CHECKED,
    responses=problems(400, 404, 405, 409, 410, 412, 413, 415, 423, 460, 503),
    openapi_extra=_BODY,
    summary="PATCH, DELETE or HEAD for clients that can only POST",
)
async def override(
    job_id: uuid.UUID,
    request: Request,
    parts: PartsDep,
    method: MethodOverride = None,
    upload_offset: UploadOffset = None,
    upload_checksum: UploadChecksum = None,
    upload_length: UploadLength = None,
) -> Response:
    meant = (method or "").upper()
    if meant == "PATCH":
        return await patch(job_id, request, parts, upload_offset, upload_checksum, upload_length)
    if meant == "DELETE":
        return await delete(job_id, parts)
    if meant == "HEAD":
        return await head(job_id, parts)
    raise HTTPException(405, headers={"Allow": "HEAD, PATCH, DELETE, OPTIONS"})


def _is_body(request: Request) -> bool:
    """Whether the request that begins an upload brings its first bytes, too."""
    if request.headers.get("content-length", "0") == "0" and (
        "transfer-encoding" not in request.headers
    ):
        return False
    _check_type(request)
    return True


def _check_type(request: Request) -> None:
    if request.headers.get("content-type", "").strip().lower() != tus.BODY_TYPE:
        raise WrongMediaType(f"Send the bytes with the Content-Type {tus.BODY_TYPE}.")


def _expires(parts: Parts, job_id: uuid.UUID) -> dict[str, str]:
    """The header of an upload that still can expire."""
    with parts.sessions() as session:
        upload = session.get(TusUpload, job_id)
    if upload is None or upload.finished:
        return {}
    return {"Upload-Expires": tus.http_date(upload.expires_at)}
