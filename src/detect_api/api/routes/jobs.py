"""Following jobs and getting their results."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from sqlalchemy import select
from sse_starlette.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from detect_api.api.deps import Parts, PartsDep
from detect_api.api.schemas.base import PlainText, problems
from detect_api.api.schemas.jobs import Deleted, Job, JobList, Status
from detect_api.api.schemas.plates import PlateList, Result
from detect_api.core import owner
from detect_api.core.errors import NotFound, Unavailable
from detect_api.db.tables import Event
from detect_api.db.tables import Job as JobRow
from detect_api.jobs import multipart, states
from detect_api.jobs.views import job_view
from detect_api.services import job_service, result_service

router = APIRouter(prefix="/jobs", tags=["jobs"])

Limit = Annotated[int, Query(ge=1, le=1000, description="Entries a page.")]
Cursor = Annotated[str | None, Query(max_length=400, description="next_cursor of the page before.")]
Since = Annotated[datetime | None, Query(alias="from", description="Created at or after.")]
Until = Annotated[datetime | None, Query(alias="to", description="Created before.")]

MAX_STREAMS = 2000
_LOOK_ANYWAY_SECONDS = 5.0
_LEAST_PAUSE_SECONDS = 0.1
_EVENTS_A_ROUND = 200


@router.get(
    "",
    response_model=JobList,
    responses={304: {"description": "As the ETag in If-None-Match says"}, **problems(400, 422)},
    summary="List jobs",
)
def list_jobs(
    parts: PartsDep,
    status: Annotated[list[Status] | None, Query(description="Any of these states.")] = None,
    kind: Annotated[
        str | None, Query(alias="type", pattern="^(upload|video|image)$", description="One type.")
    ] = None,
    name: Annotated[
        PlainText | None,
        Query(max_length=255, description="Part of the file's name, in any case."),
    ] = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 50,
    if_none_match: Annotated[str | None, Header(description="ETag of the answer before.")] = None,
) -> Any:
    with parts.sessions() as session:
        page = job_service.jobs_page(
            session,
            status=list(status or ()),
            kind=kind,
            name=name,
            since=since,
            until=until,
            cursor=cursor,
            limit=limit,
        )
    # Whoever watches the list asks every few seconds and mostly gets the same again.
    answer = JSONResponse(page.as_json("jobs"))
    etag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    answer.headers.update({"ETag": etag, "Cache-Control": "private, no-cache"})
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers={"ETag": etag})
    return answer


@router.get("/{job_id}", response_model=Job, responses=problems(404), summary="Get a job's state")
async def get_job(job_id: uuid.UUID, parts: PartsDep) -> Any:
    kept, who = parts.broadcast.status, owner.current()
    seer = who.scope if who else None
    body = kept.get(job_id, seer)
    if body is None:
        changes = kept.changes
        view = await run_in_threadpool(
            job_service.current_view,
            parts.sessions,
            parts.store,
            job_id,
            max_file_size=parts.settings.max_file_size,
        )
        body = json.dumps(view, separators=(",", ":")).encode()
        processing = view.get("processing_job_id")
        kept.put(job_id, body, changes, uuid.UUID(processing) if processing else None, seer)
    return Response(body, media_type="application/json")


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    responses=problems(404, 503),
    summary="Follow a job (server-sent events)",
    description="Events `progress`, `plate`, `completed`, `failed`, `cancelled` and `expired`; "
    "the stream ends with the job. Send `Last-Event-ID` to go on where a broken stream ended.",
)
def events(
    job_id: uuid.UUID,
    request: Request,
    parts: PartsDep,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> EventSourceResponse:
    with parts.sessions() as session:
        job_service.get(session, job_id)
    if parts.metrics.streams._value.get() >= MAX_STREAMS:
        raise Unavailable("Too many event streams are open: poll GET /jobs/{job_id} instead.")
    given = last_event_id or ""
    secret: str | None = getattr(request.state, "secret", None)
    last = int(given) if re.fullmatch(r"[0-9]{1,18}", given) else 0
    return EventSourceResponse(_stream(parts, job_id, last, secret), ping=15)


async def _stream(
    parts: Parts, job_id: uuid.UUID, last: int, secret: str | None
) -> AsyncIterator[dict[str, str]]:
    with parts.metrics.streams.track_inprogress():
        while True:
            followed = await asyncio.to_thread(_followed, parts, job_id)
            with parts.broadcast.follow(*followed) as changed:
                async for event in _events(parts, job_id, followed, changed, last, secret):
                    last = int(event.get("id", last))
                    yield event
            if len(followed) > 1 or await asyncio.to_thread(_followed, parts, job_id) == followed:
                return
            # The upload has become a processing job meanwhile: follow that one, too.


async def _events(
    parts: Parts,
    job_id: uuid.UUID,
    followed: list[uuid.UUID],
    changed: asyncio.Event,
    last: int,
    secret: str | None,
) -> AsyncIterator[dict[str, str]]:
    """Events after ``last``, until the job has ended, is gone or has got a processing job.

    A stream ends, too, when the key is revoked that it was opened with.
    """
    shown = ""
    while True:
        if secret and await parts.keys.identify(secret) is None:
            return
        changed.clear()
        view, fresh = await asyncio.to_thread(_look, parts, job_id, last)
        if view is None:
            return
        state = json.dumps(view)
        for event in fresh:
            if event.type in states.FINISHED and state != shown:
                shown = state
                yield {"event": "progress", "data": state}
            last = event.id
            yield {"id": str(event.id), "event": event.type, "data": json.dumps(event.data)}
        if len(fresh) == _EVENTS_A_ROUND:
            continue
        if state != shown:
            shown = state
            yield {"event": "progress", "data": state}
        if view["status"] in states.FINISHED:
            return
        if view.get("processing_job_id") and len(followed) == 1:
            return
        await asyncio.sleep(_LEAST_PAUSE_SECONDS)
        try:
            async with asyncio.timeout(_LOOK_ANYWAY_SECONDS):
                await changed.wait()
        except TimeoutError:
            continue


def _followed(parts: Parts, job_id: uuid.UUID) -> list[uuid.UUID]:
    with parts.sessions() as session:
        job = session.get(JobRow, job_id)
    return [job_id, job.processing_job_id] if job and job.processing_job_id else [job_id]


def _look(parts: Parts, job_id: uuid.UUID, last: int) -> tuple[dict[str, Any] | None, list[Event]]:
    """The job as it is and its events after ``last``; (None, []) when it was deleted."""
    with parts.sessions() as session:
        job = session.get(JobRow, job_id)
        if job is None:
            return None, []
        processing = job_service.processing_of(session, job)
        fresh = session.scalars(
            select(Event)
            .where(Event.job_id == (processing or job).id, Event.id > last)
            .order_by(Event.id)
            .limit(_EVENTS_A_ROUND)
        ).all()
        view = job_view(job, processing)
    if job_service.has_just_arrived(
        parts.sessions, parts.store, job, max_file_size=parts.settings.max_file_size
    ):
        return _look(parts, job_id, last)
    return view, list(fresh)


@router.post(
    "/{job_id}/cancel",
    response_model=Job,
    responses=problems(404, 409),
    summary="Cancel a job",
)
def cancel(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        answer = job_service.cancel(session, job_id)
    if answer["status"] == states.CANCELLED and answer["s3_key"] is not None:
        multipart.carry_out_now(parts.sessions, parts.store, answer["s3_key"])
    return JSONResponse(answer)


@router.post(
    "/{job_id}/retry",
    response_model=Job,
    responses=problems(404, 409),
    summary="Start a failed or cancelled job again",
)
def retry(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        return JSONResponse(job_service.retry(session, job_id))


@router.delete(
    "/{job_id}",
    response_model=Deleted,
    responses=problems(404),
    summary="Delete a job, its video, pictures and plates",
)
def delete(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions.begin() as session:
        answer = job_service.remove(session, parts.settings, job_id)
    job_service.remove_objects(parts.sessions, parts.store, answer)
    return JSONResponse(answer)


@router.get(
    "/{job_id}/result",
    response_model=Result,
    responses=problems(404, 409, 410),
    summary="Get a job's whole result",
)
def result(job_id: uuid.UUID, parts: PartsDep) -> Any:
    with parts.sessions() as session:
        return JSONResponse(result_service.result(session, job_id))


@router.get(
    "/{job_id}/plates",
    response_model=PlateList,
    responses=problems(400, 404, 410, 422),
    summary="List a job's plates, also while it runs",
)
def plates(job_id: uuid.UUID, parts: PartsDep, cursor: Cursor = None, limit: Limit = 100) -> Any:
    with parts.sessions() as session:
        page = result_service.plates_page(session, job_id, cursor, limit)
    return JSONResponse(page.as_json("plates"))


@router.get(
    "/{job_id}/plates.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}, **problems(404, 410)},
    summary="Export a job's plates as CSV",
)
def plates_csv(job_id: uuid.UUID, parts: PartsDep) -> StreamingResponse:
    with parts.sessions() as session:
        result_service.refuse_deleted(result_service.processed_job(session, job_id))
    lines = result_service.as_csv(result_service.export_rows(parts.sessions, job_id))
    return StreamingResponse(lines, media_type="text/csv", headers=_attachment(job_id, "csv"))


@router.get(
    "/{job_id}/plates.jsonl",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}}, **problems(404, 410)},
    summary="Export a job's plates as JSON lines",
)
def plates_jsonl(job_id: uuid.UUID, parts: PartsDep) -> StreamingResponse:
    with parts.sessions() as session:
        result_service.refuse_deleted(result_service.processed_job(session, job_id))
    lines = result_service.as_jsonl(result_service.export_rows(parts.sessions, job_id))
    return StreamingResponse(
        lines, media_type="application/jsonl", headers=_attachment(job_id, "jsonl")
    )


@router.get(
    "/{job_id}/unread/{track_id}.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems(404, 503)},
    summary="Get the picture of a plate that was not read",
)
def unread_picture(
    job_id: uuid.UUID, track_id: Annotated[int, Path(ge=0, le=2**31 - 1)], parts: PartsDep
) -> Response:
    with parts.sessions() as session:
        key = result_service.unread_track(session, job_id, track_id).crop_key
    return picture(parts, key)


def picture(parts: Parts, key: str) -> Response:
    """A JPEG from storage. Raises NotFound if it was not kept, StorageError."""
    if not key:
        raise NotFound(
            "Pictures of plates are not kept where texts are hashed (PLATE_HASH_KEY).",
            code="picture_not_kept",
        )
    found = parts.store.head(key)
    body = parts.store.read_range(key, 0, found.size, found.etag)
    return Response(
        body, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
    )


def _attachment(job_id: uuid.UUID, extension: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="plates-{job_id}.{extension}"'}
