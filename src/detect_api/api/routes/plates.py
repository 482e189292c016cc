"""Plates of all jobs: search, pictures, corrections; and plates in a single picture."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from detect_api.api.deps import IdempotencyKey, Parts, PartsDep
from detect_api.api.receive import FormUpload
from detect_api.api.routes.jobs import Cursor, Limit, Since, Until, picture
from detect_api.api.schemas.base import Request as Body
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.plates import Plate, PlateCorrection, PlateList, Result
from detect_api.api.schemas.video import IMAGE_FORM, Region
from detect_api.core.errors import Unavailable, VideoError
from detect_api.core.ids import new_id
from detect_api.jobs import states
from detect_api.jobs.views import plate_view
from detect_api.services import job_service, result_service

router = APIRouter(tags=["plates"])

IMAGE_SECONDS = 60.0
_LOOK_ANYWAY_SECONDS = 1.0


class ImageParameters(Body):
    """How a picture is to be read."""

    min_confidence: Annotated[float, Query(ge=0, le=1)] | None = None
    region: Region = None


@router.get(
    "/plates",
    response_model=PlateList,
    responses=problems(400, 422),
    summary="Search the plates of all jobs",
)
def search(
    parts: PartsDep,
    text: Annotated[
        str | None,
        Query(max_length=64, description="Part of a plate, or a pattern with ? and *."),
    ] = None,
    fuzzy: Annotated[
        int, Query(ge=0, le=result_service.MAX_FUZZY, description="Wrong characters allowed.")
    ] = 0,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    with parts.sessions() as session:
        page = result_service.search(
            session,
            hashed=parts.settings.plates_are_hashed,
            hash_keys=parts.settings.plate_hash_keys,
            pattern=text,
            fuzzy=fuzzy,
            since=since,
            until=until,
            cursor=cursor,
            limit=limit,
        )
    return JSONResponse(page.as_json("plates"))


@router.get(
    "/plates/{plate_id}", response_model=Plate, responses=problems(404), summary="Get a plate"
)
def get_plate(plate_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions() as session:
        return JSONResponse(plate_view(result_service.plate(session, plate_id)))


@router.patch(
    "/plates/{plate_id}",
    response_model=Plate,
    responses=problems(400, 404, 422),
    summary="Correct a plate's text",
)
def correct(plate_id: uuid.UUID, body: PlateCorrection, parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        hash_key = parts.settings.plate_hash_key
        answer = result_service.correct(session, plate_id, body.text, body.by, hash_key=hash_key)
        return JSONResponse(answer)


JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}},
    **problems(404, 503),
}


@router.get(
    "/plates/{plate_id}/crop.jpg",
    response_class=Response,
    responses=JPEG,
    summary="Get the picture of a plate",
)
def crop(plate_id: uuid.UUID, parts: PartsDep) -> Response:
    with parts.sessions() as session:
        key = result_service.plate(session, plate_id).crop_key
    return picture(parts, key)


@router.get(
    "/plates/{plate_id}/frame.jpg",
    response_class=Response,
    responses=JPEG,
    summary="Get the frame that a plate was read from",
)
def frame(plate_id: uuid.UUID, parts: PartsDep) -> Response:
    with parts.sessions() as session:
        key = result_service.plate(session, plate_id).frame_key
    return picture(parts, key)


@router.post(
    "/detect/upload",
    response_model=Result,
    responses=problems(400, 408, 409, 413, 422, 503),
    openapi_extra=IMAGE_FORM,
    summary="Read the plates in one still image",
)
async def detect_upload(
    request: Request, parts: PartsDep, idempotency_key: IdempotencyKey = None
) -> Any:
    form = FormUpload(
        request,
        parts,
        ImageParameters,
        job_id=new_id(),
        idempotency_key=idempotency_key,
        image=True,
    )
    answer = await form.run()
    return await _result_of_image(parts, uuid.UUID(answer["job_id"]))


async def _result_of_image(parts: Parts, job_id: uuid.UUID) -> JSONResponse:
    """Waits for a worker to read the picture. Raises VideoError if it cannot be read."""
    try:
        async with asyncio.timeout(IMAGE_SECONDS):
            with parts.broadcast.follow(job_id) as changed:
                while True:
                    changed.clear()
                    view = await asyncio.to_thread(_view, parts, job_id)
                    if view["status"] == states.COMPLETED:
                        return JSONResponse(await asyncio.to_thread(_result, parts, job_id))
                    if view["status"] in states.FINISHED:
                        error = view["error"] or {"code": "cancelled", "detail": view["message"]}
                        raise VideoError(error["detail"], code=error["code"])
                    try:
                        async with asyncio.timeout(_LOOK_ANYWAY_SECONDS):
                            await changed.wait()
                    except TimeoutError:
                        continue
    except TimeoutError:
        raise Unavailable(
            f"No worker has read the picture within {IMAGE_SECONDS:.0f} seconds: "
            f"look at GET /jobs/{job_id} later.",
            code="no_worker",
        ) from None


def _view(parts: Parts, job_id: uuid.UUID) -> dict[str, Any]:
    with parts.sessions() as session:
        return job_service.view(session, job_id)


def _result(parts: Parts, job_id: uuid.UUID) -> dict[str, Any]:
    with parts.sessions() as session:
        return result_service.result(session, job_id)
