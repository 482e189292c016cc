"""Uploads straight to S3 in parts: for large files, and for lines that break."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from detect_api.api.deps import IdempotencyKey, PartsDep
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.uploads import (
    CompleteRequest,
    PartsRequest,
    SignedParts,
    UploadCancelled,
    UploadCompleted,
    UploadCreated,
    UploadRequest,
    UploadState,
)
from detect_api.services import idempotency
from detect_api.webhooks.target import check_webhook

router = APIRouter(prefix="/uploads", tags=["uploads"])

_NONE_NAMED = CompleteRequest(parts=None)


@router.post(
    "",
    response_model=UploadCreated,
    responses=problems(400, 413, 422, 503),
    summary="Begin an upload in parts straight to S3",
)
def create(body: UploadRequest, parts: PartsDep, idempotency_key: IdempotencyKey = None) -> Any:
    service = parts.require_multipart()
    check_webhook(parts.settings, body.webhook_url)
    with parts.sessions.begin() as session:
        answer = idempotency.once(
            session,
            "uploads",
            idempotency_key,
            idempotency.fingerprint(body.model_dump()),
            lambda: service.create(session, **body.upload()),
        )
    return JSONResponse(answer)


@router.post(
    "/{upload_id}/parts",
    response_model=SignedParts,
    responses=problems(404, 409, 422, 503),
    summary="Sign parts of an upload, as often as needed",
)
def sign(upload_id: uuid.UUID, body: PartsRequest, parts: PartsDep) -> Any:
    service = parts.require_multipart()
    return JSONResponse(service.sign(upload_id, body.part_numbers, body.checksums or {}))


@router.get(
    "/{upload_id}",
    response_model=UploadState,
    responses=problems(404, 503),
    summary="Get an upload's state and the parts that storage holds",
)
def view(upload_id: uuid.UUID, parts: PartsDep) -> Any:
    return JSONResponse(parts.require_multipart().view(upload_id))


@router.post(
    "/{upload_id}/complete",
    response_model=UploadCompleted,
    responses=problems(404, 409, 422, 503),
    summary="Make the video out of its parts",
)
def complete(upload_id: uuid.UUID, parts: PartsDep, body: CompleteRequest = _NONE_NAMED) -> Any:
    return JSONResponse(parts.require_multipart().complete(upload_id, body.named()))


@router.delete(
    "/{upload_id}",
    response_model=UploadCancelled,
    responses=problems(404, 409, 503),
    summary="Give an upload up and drop its parts",
)
def cancel(upload_id: uuid.UUID, parts: PartsDep) -> Any:
    return JSONResponse(parts.require_multipart().cancel(upload_id))
