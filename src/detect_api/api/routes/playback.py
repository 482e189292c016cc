"""Looking at a job's video: the bytes to play, and what to draw over them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from detect_api.api.deps import Parts, PartsDep
from detect_api.api.problems import problem
from detect_api.api.ranges import Span, Unsatisfiable, http_date, span_of, still_wanted
from detect_api.api.routes.jobs import Cursor, Limit
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.playback import Tracks, UnreadList
from detect_api.core.config import MIB
from detect_api.services import playback_service
from detect_api.services.playback_service import StoredVideo

router = APIRouter(prefix="/jobs", tags=["results"])

_PIECE = MIB

VIDEO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/*": {}}, "description": "The video, where there is no S3"},
    206: {"content": {"video/*": {}}, "description": "The part that Range asks for"},
    307: {"description": "Play it from this signed address"},
    **problems(404, 409, 410, 416, 422, 503),
}


@router.head("/{job_id}/video", include_in_schema=False)
@router.get(
    "/{job_id}/video",
    response_class=Response,
    responses=VIDEO,
    summary="Play a job's video",
    description="With S3, a redirect to a signed address that holds for `S3_DOWNLOAD_EXPIRATION` "
    "seconds, of CloudFront if that is configured. Without, the bytes; `Range` and `If-Range` are "
    "understood.",
)
def video(
    job_id: uuid.UUID,
    request: Request,
    parts: PartsDep,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range")] = None,
) -> Response:
    with parts.sessions() as session:
        job = playback_service.video_of(session, job_id)
    return send(parts, request, playback_service.stored(parts.store, job), wanted, if_range)


def send(
    parts: Parts,
    request: Request,
    stored: StoredVideo,
    wanted: str | None,
    if_range: str | None,
) -> Response:
    """Where a video can be fetched, or its bytes: those that Range asks for."""
    found, head = stored.found, request.method == "HEAD"
    if parts.links is not None:
        url = parts.links.sign(found.key, stored.content_type, head=head)
        return RedirectResponse(url, 307, headers={"Cache-Control": "no-store"})
    etag = f'"{found.etag.strip(chr(34))}"'
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": "inline",
        "ETag": etag,
        "Last-Modified": http_date(found.last_modified),
        "X-Content-Type-Options": "nosniff",
    }
    asked = wanted if still_wanted(if_range, etag, found.last_modified) else None
    try:
        span = span_of(asked, found.size)
    except Unsatisfiable:
        return problem(
            request,
            416,
            "range_not_satisfiable",
            f"The video has {found.size} bytes: ask for some of those.",
            headers={"Content-Range": f"bytes */{found.size}", "Accept-Ranges": "bytes"},
        )
    status = 200
    if span is None:
        span = Span(0, found.size)
    else:
        status = 206
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{found.size}"
    headers["Content-Length"] = str(span.end - span.start)
    if head:
        return Response(None, status, headers, stored.content_type)
    pieces = _pieces(parts, stored, span)
    return StreamingResponse(pieces, status, headers, stored.content_type)


def _pieces(parts: Parts, stored: StoredVideo, span: Span) -> Iterator[bytes]:
    """The bytes of a span, of which one piece at a time is in memory.

    A video that is overwritten meanwhile ends the answer early, so that it counts as broken.
    """
    found = stored.found
    for start in range(span.start, span.end, _PIECE):
        length = min(_PIECE, span.end - start)
        yield parts.store.read_range(found.key, start, length, found.etag)


@router.get(
    "/{job_id}/tracks",
    response_model=Tracks,
    responses=problems(400, 404, 422),
    summary="Get where each plate is in each frame, also while the job runs",
)
def tracks(
    job_id: uuid.UUID,
    parts: PartsDep,
    first: Annotated[
        int,
        Query(alias="from", ge=0, le=playback_service.LAST_FRAME, description="The first frame."),
    ] = 0,
    end: Annotated[
        int | None,
        Query(alias="to", ge=1, description="The first frame that is left out."),
    ] = None,
) -> Any:
    with parts.sessions() as session:
        return JSONResponse(playback_service.tracks(session, job_id, first, end))


@router.get(
    "/{job_id}/unread",
    response_model=UnreadList,
    responses=problems(400, 404, 422),
    summary="List the plates that were seen and not read, also while the job runs",
)
def unread(job_id: uuid.UUID, parts: PartsDep, cursor: Cursor = None, limit: Limit = 100) -> Any:
    with parts.sessions() as session:
        page = playback_service.unread_page(session, job_id, cursor, limit)
    return JSONResponse(page.as_json("unread"))
