"""Deletion and what it leaves: receipts, retention, plates to be forgotten, redacted videos."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from detect_api.api.deps import PartsDep
from detect_api.api.routes.playback import VIDEO, send
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.privacy import Forget, Receipt, ReceiptKey, Redacted, Retention
from detect_api.services import privacy_service, redaction_service

router = APIRouter(tags=["privacy"])


@router.get("/receipts/key", response_model=ReceiptKey, summary="Get the key that checks receipts")
def receipt_key(parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        return JSONResponse(privacy_service.public_key(session, parts.settings))


@router.get(
    "/receipts/{receipt_id}",
    response_model=Receipt,
    responses=problems(404),
    summary="Get what a deletion removed",
)
def receipt(receipt_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions() as session:
        return JSONResponse(privacy_service.receipt(session, receipt_id))


@router.get("/retention", response_model=Retention, summary="Get what is kept for how long")
def retention(parts: PartsDep) -> Any:
    with parts.sessions() as session:
        return JSONResponse(privacy_service.retention_view(session, parts.settings))


@router.post(
    "/plates/forget",
    response_model=Receipt,
    status_code=202,
    responses=problems(400, 422, 503),
    summary="Forget a plate's text everywhere",
)
def forget(body: Forget, parts: PartsDep) -> Any:
    answer = privacy_service.forget(parts.sessions, parts.store, parts.settings, body.text)
    return JSONResponse(answer, 202, headers={"Location": f"/receipts/{answer['receipt_id']}"})


@router.post(
    "/jobs/{job_id}/redacted",
    response_model=Redacted,
    status_code=202,
    responses=problems(404, 409, 410),
    summary="Have a copy of the video made in which no plate can be read",
)
def redact(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        return JSONResponse(redaction_service.ask(session, job_id), 202)


@router.get(
    "/jobs/{job_id}/redacted",
    response_model=Redacted,
    responses=problems(404),
    summary="Get how far the redacted copy is",
)
def redacted(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions() as session:
        return JSONResponse(redaction_service.status(session, job_id))


@router.head("/jobs/{job_id}/redacted/video", include_in_schema=False)
@router.get(
    "/jobs/{job_id}/redacted/video",
    response_class=Response,
    responses={status: answer for status, answer in VIDEO.items() if status != 410},
    summary="Play or save the redacted copy",
)
def redacted_video(
    job_id: uuid.UUID,
    request: Request,
    parts: PartsDep,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range")] = None,
) -> Response:
    with parts.sessions() as session:
        stored = redaction_service.copy_of(session, parts.store, job_id)
    return send(parts, request, stored, wanted, if_range)
