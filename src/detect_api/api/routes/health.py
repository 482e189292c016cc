"""What the service says of itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import detect_api
from detect_api.api import tus_protocol
from detect_api.api.deps import Parts, PartsDep
from detect_api.api.schemas.service import ClientConfig, Health, Readiness
from detect_api.core.errors import StorageError
from detect_api.core.ids import IMAGE_TYPES, VIDEO_TYPES
from detect_api.core.metrics import CONTENT_TYPE_LATEST
from detect_api.services import service_state
from detect_api.storage.multipart import THRESHOLD

router = APIRouter(tags=["service"])


@router.get("/health", response_model=Health, summary="Is the process alive?")
async def health() -> Any:
    return JSONResponse({"status": "ok", "version": detect_api.__version__})


@router.get(
    "/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Some part is missing"}},
    summary="Can requests and jobs be served?",
)
def ready(
    request: Request,
    parts: PartsDep,
    workers: Annotated[
        bool, Query(description="Whether there have to be workers, too, or requests alone count.")
    ] = True,
) -> Any:
    states = {
        "database": _database(parts),
        "storage": _storage(parts),
        "workers": _workers(parts) if workers else None,
    }
    if not getattr(request.state, "insider", True):
        # Strangers learn whether, and not what and how many.
        for state in filter(None, states.values()):
            state["detail"] = "answers" if state["ok"] else "is missing"
    all_there = all(state["ok"] for state in states.values() if state is not None)
    return JSONResponse({"ready": all_there, **states}, 200 if all_there else 503)


def _database(parts: Parts) -> dict[str, Any]:
    try:
        with parts.sessions() as session:
            session.execute(text("SELECT 1 FROM jobs LIMIT 1"))
    except SQLAlchemyError as error:
        return {"ok": False, "detail": f"does not answer ({type(error).__name__})"}
    return {"ok": True, "detail": "answers"}


def _storage(parts: Parts) -> dict[str, Any]:
    try:
        parts.store.check()
    except StorageError as error:
        return {"ok": False, "detail": error.detail}
    return {"ok": True, "detail": "answers"}


def _workers(parts: Parts) -> dict[str, Any]:
    try:
        with parts.sessions() as session:
            alive = service_state.workers_alive(session)
    except SQLAlchemyError:
        return {"ok": False, "detail": "unknown while the database does not answer"}
    if not alive:
        return {"ok": False, "detail": "none is running: start one with 'detect-api worker'"}
    return {"ok": True, "detail": f"{alive} alive"}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    summary="Prometheus metrics",
)
def metrics(parts: PartsDep) -> Response:
    try:
        with parts.sessions() as session:
            service_state.fill_gauges(session, parts.metrics)
    except SQLAlchemyError:
        # The process's own counters are worth having while the database is away.
        parts.metrics.workers.set(0)
    return Response(parts.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/config", response_model=ClientConfig, summary="What a client has to know")
def config(parts: PartsDep) -> Any:
    settings = parts.settings
    return JSONResponse(
        {
            "version": detect_api.__version__,
            "s3_enabled": parts.s3 is not None,
            "s3_detail": parts.s3_problem,
            "upload_methods": [
                *(["s3", "s3-multipart"] if parts.s3 is not None else []),
                "api",
                "tus",
            ],
            "tus_url": tus_protocol.PATH,
            "max_file_size": settings.max_file_size,
            "max_multipart_size": settings.max_multipart_size,
            "multipart_threshold": THRESHOLD,
            "chunk_size": settings.chunk_size,
            "upload_timeout_seconds": settings.upload_timeout_seconds,
            "upload_expiration_seconds": settings.s3_upload_expiration,
            "video_extensions": sorted(name[1:] for name in VIDEO_TYPES),
            "image_extensions": sorted(name[1:] for name in IMAGE_TYPES),
            "sample_available": True,
            "plates_hashed": settings.plates_are_hashed,
        }
    )
