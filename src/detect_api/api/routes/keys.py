"""A browser's session, tokens for one upload, and the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from detect_api.api.access import COOKIE
from detect_api.api.deps import Parts, PartsDep
from detect_api.api.routes.jobs import Cursor, Limit
from detect_api.api.schemas.base import problems
from detect_api.api.schemas.keys import AuditLog, TokenRequest, UploadToken
from detect_api.core.errors import Conflict, Forbidden
from detect_api.jobs.views import rfc3339
from detect_api.services import audit_service, key_service
from detect_api.services.key_service import KEY, SESSION_SECONDS, Identity

router = APIRouter(tags=["keys"])


def identity_of(request: Request) -> Identity:
    """Who makes the request. Raises Conflict where no keys are needed."""
    who: Identity | None = getattr(request.state, "identity", None)
    if who is None:
        raise Conflict(
            "This service needs no keys: 'detect-api keys create' makes the first one.",
            code="no_keys",
        )
    return who


@router.post(
    "/session",
    status_code=204,
    responses=problems(401, 403, 409),
    summary="Begin a browser's session with a key",
)
def begin(request: Request, parts: PartsDep) -> Response:
    who = identity_of(request)
    if who.kind != KEY:
        raise Forbidden("A session begins with a key: send one.", code="scope_missing")
    with parts.sessions.begin() as session:
        secret = key_service.begin_session(session, who)
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.delete(
    "/session",
    status_code=204,
    responses=problems(401, 403, 409),
    summary="End a browser's session",
)
async def end(request: Request, parts: PartsDep) -> Response:
    who = identity_of(request)
    await run_in_threadpool(_end, parts, who)
    parts.keys.forget(request.state.secret)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _end(parts: Parts, who: Identity) -> None:
    with parts.sessions.begin() as session:
        key_service.end_session(session, who)


@router.post(
    "/upload-tokens",
    response_model=UploadToken,
    responses=problems(401, 403, 409, 422, 429),
    summary="Make a token for one upload",
)
def token(body: TokenRequest, request: Request, parts: PartsDep) -> Any:
    who = identity_of(request)
    with parts.sessions.begin() as session:
        row, secret = key_service.upload_token(
            session,
            who,
            max_file_size=body.max_file_size,
            content_type=body.content_type,
            expires_in_seconds=body.expires_in,
        )
    answer = {
        "token": secret,
        "token_id": str(row.id),
        "expires_at": rfc3339(row.expires_at),
        "max_file_size": row.max_file_size,
        "content_type": row.content_type,
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


@router.get(
    "/audit",
    response_model=AuditLog,
    responses=problems(400, 401, 403, 422),
    summary="List who searched, corrected, exported or deleted what",
)
def audit(
    parts: PartsDep,
    action: Annotated[
        str | None,
        Query(pattern="^(search|correct|export|delete)$", description="One action only."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    with parts.sessions() as session:
        page = audit_service.entries_page(session, action=action, cursor=cursor, limit=limit)
    return JSONResponse(page.as_json("entries"))
