"""The one place where errors become responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from detect_api.api.middleware import request_id_of
from detect_api.core.errors import DetectApiError, TooMany

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An RFC 9457 problem document."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": "Checksum Mismatch" if status == 460 else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id_of(request.scope),
    }
    if errors is not None:
        body["errors"] = errors
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def of(request: Request, error: DetectApiError) -> JSONResponse:
    """The answer to an error that is ours."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else None
    return problem(request, error.status, error.code, error.detail, headers=headers)


def invalid(request: Request, found: list[Any]) -> JSONResponse:
    """The answer to a body or query whose fields do not fit."""
    errors = [
        {
            "loc": list(error["loc"]),
            "msg": error["msg"].removeprefix("Value error, "),
            "type": error["type"],
        }
        for error in jsonable_encoder(found)
    ]
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    detail = f"{where}: {first['msg']}" if where else first["msg"]
    return problem(request, 422, "validation_error", detail, errors=errors)


def install(app: FastAPI) -> None:
    """Registers the handlers."""

    @app.exception_handler(DetectApiError)
    async def _ours(request: Request, error: DetectApiError) -> JSONResponse:
        return of(request, error)

    @app.exception_handler(RequestValidationError)
    async def _request(request: Request, error: RequestValidationError) -> JSONResponse:
        return invalid(request, list(error.errors()))

    @app.exception_handler(ValidationError)
    async def _form(request: Request, error: ValidationError) -> JSONResponse:
        return invalid(request, error.errors(include_url=False, include_context=False))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        detail = error.detail
        if detail == phrase:
            detail = f"{phrase}: {request.method} {request.url.path}. See /docs for the routes."
        headers = dict(error.headers) if error.headers else None
        return problem(request, error.status_code, code, detail, headers=headers)

    @app.exception_handler(ClientDisconnect)
    async def _gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolTimeout)
    async def _database(request: Request, error: Exception) -> JSONResponse:
        lost = not isinstance(error, DBAPIError) or error.connection_invalidated
        name = type(getattr(error, "orig", error)).__name__
        lost = lost or name in ("OperationalError", "ConnectionTimeout", "AdminShutdown")
        log.error("database_error", error=name, exc_info=None if lost else error)
        if lost:
            return problem(
                request,
                503,
                "database_unavailable",
                "The database cannot be reached at the moment: try again in a few seconds.",
                headers={"Retry-After": "2"},
            )
        return problem(request, 500, "internal_error", _INTERNAL)

    @app.exception_handler(Exception)
    async def _unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("internal_error", path=request.url.path, exc_info=error)
        return problem(request, 500, "internal_error", _INTERNAL)


_INTERNAL = "Something went wrong inside the service: give the request_id to its operator."
