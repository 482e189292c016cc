"""Where a bucket's events come in."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from detect_api.api.deps import Parts, PartsDep
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.video import EVENT_BODY, EventTaken
from detect_api.core.errors import NotFound, TooLarge
from detect_api.jobs import arrivals
from detect_api.jobs.s3_events import MAX_MESSAGE_BYTES, created_keys

router = APIRouter(prefix="/events", tags=["video"])


@router.post(
    "/s3",
    response_model=EventTaken,
    responses=problems(400, 404, 413, 503),
    openapi_extra=EVENT_BODY,
    summary="Tell that objects were created in the bucket",
)
async def s3_event(
    request: Request,
    parts: PartsDep,
    authorization: Annotated[
        str | None, Header(description="`Bearer` and the S3_EVENTS_TOKEN.")
    ] = None,
    token: Annotated[
        str | None, Query(description="The S3_EVENTS_TOKEN, for senders that set no headers.")
    ] = None,
) -> Any:
    _check_token(parts, authorization, token)
    bucket = parts.require_s3().bucket
    keys = created_keys(await _body(request), bucket)
    found = await run_in_threadpool(
        arrivals.look_for_keys,
        parts.sessions,
        parts.store,
        keys,
        parts.settings.max_file_size,
    )
    return JSONResponse({"arrived": found})


def _check_token(parts: Parts, authorization: str | None, token: str | None) -> None:
    """Raises NotFound, the same whether there is no token or another one."""
    expected = parts.settings.s3_events_token
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        given = token or ""
    known = expected.get_secret_value() if expected else ""
    same = hmac.compare_digest(given.strip().encode(), known.encode())
    if not known or not same:
        raise NotFound(
            "Events are taken only with the token that S3_EVENTS_TOKEN sets: send it as "
            "'Authorization: Bearer …'."
        )


async def _body(request: Request) -> bytes:
    """The request's body. Raises TooLarge as soon as it is longer than a message can be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_MESSAGE_BYTES:
            raise TooLarge(
                f"The event is longer than {MAX_MESSAGE_BYTES} bytes: send one message a request."
            )
    return bytes(body)
