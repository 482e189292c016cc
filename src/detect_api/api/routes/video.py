"""Getting a video in: straight to S3, or through the API."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError

from detect_api.api.deps import IdempotencyKey, PartsDep
from detect_api.api.receive import FormUpload
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.video import (
    UPLOAD_FORM,
    JobCreated,
    PresignRequest,
    PresignResponse,
    ProcessingParameters,
    ProcessRequest,
)
from detect_api.core.ids import new_id
from detect_api.services import idempotency, quotas, s3_service, sample_service
from detect_api.webhooks.target import check_webhook

router = APIRouter(prefix="/process/video", tags=["video"])
sample_router = APIRouter(prefix="/process", tags=["video"])

JobIdHeader = Annotated[
    uuid.UUID | None,
    Header(alias="X-Job-ID", description="An id for the job, chosen by the client."),
]


@router.post(
    "/upload/s3/presigned-url",
    response_model=PresignResponse,
    responses=problems(400, 413, 422, 503),
    summary="Get a form that uploads a video straight to S3",
)
def presigned_url(
    body: PresignRequest, parts: PartsDep, idempotency_key: IdempotencyKey = None
) -> Any:
    s3 = parts.require_s3()
    check_webhook(parts.settings, body.webhook_url)
    wanted = body.upload()
    if idempotency_key is None and not quotas.limited():
        try:
            with parts.single() as session:
                return JSONResponse(s3.presign(session, **wanted))
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # The database was restarted since this connection was used last: take a new one.
            with parts.single() as session:
                return JSONResponse(s3.presign(session, **wanted))
    with parts.sessions.begin() as session:
        answer = idempotency.once(
            session,
            "presigned-url",
            idempotency_key,
            idempotency.fingerprint(body.model_dump()),
            lambda: s3.presign(session, **wanted),
        )
    return JSONResponse(answer)


@router.post(
    "/s3",
    response_model=JobCreated,
    responses=problems(400, 403, 404, 409, 413, 422, 503),
    summary="Process a video that was uploaded to S3",
)
def process_s3(
    body: ProcessRequest, parts: PartsDep, idempotency_key: IdempotencyKey = None
) -> Any:
    parts.require_s3()
    check_webhook(parts.settings, body.webhook_url)
    route, print_ = "process-s3", idempotency.fingerprint(body.model_dump())
    parameters = body.model_dump(exclude={"s3_key"})
    named = body.model_fields_set - {"s3_key"}
    with parts.sessions.begin() as session:
        s3_service.check_owned(session, body.s3_key)
        # The answer to a repeated request must not depend on what became of the video since.
        known = idempotency.first_answer(session, route, idempotency_key, print_)
        if known is None:
            # Nor must that to a request for a job that began, and may have ended, by itself.
            begun = s3_service.already_begun(session, body.s3_key, parameters, named)
            if begun is not None:
                known = idempotency.once(session, route, idempotency_key, print_, lambda: begun)
        limit = s3_service.size_limit(session, parts.settings, body.s3_key)
    if known is not None:
        return JSONResponse(known)
    found = s3_service.uploaded_video(parts.settings, parts.store, body.s3_key, limit)
    with parts.sessions.begin() as session:
        answer = idempotency.once(
            session,
            route,
            idempotency_key,
            print_,
            lambda: s3_service.create_processing(session, found, parameters, named),
        )
    return JSONResponse(answer)


@router.post(
    "/upload/async",
    response_model=JobCreated,
    responses=problems(400, 408, 409, 413, 422, 503),
    openapi_extra=UPLOAD_FORM,
    summary="Upload a video through the API and process it",
)
async def upload_async(
    request: Request,
    parts: PartsDep,
    job_id: JobIdHeader = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    form = FormUpload(
        request,
        parts,
        ProcessingParameters,
        job_id=job_id or new_id(),
        idempotency_key=idempotency_key,
        image=False,
    )
    return JSONResponse(await form.run())


@sample_router.post(
    "/sample",
    response_model=JobCreated,
    responses=problems(422, 503),
    summary="Process the sample clip",
)
def process_sample(parts: PartsDep, idempotency_key: IdempotencyKey = None) -> Any:
    return JSONResponse(
        sample_service.process_sample(parts.settings, parts.sessions, parts.store, idempotency_key)
    )
