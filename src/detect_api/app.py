"""Putting the API together. Wiring only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy.exc import SQLAlchemyError

import detect_api
from detect_api.api import problems, tus_protocol
from detect_api.api.access import Access
from detect_api.api.broadcast import Broadcast
from detect_api.api.deps import Parts
from detect_api.api.keyring import Keyring
from detect_api.api.middleware import RequestContext
from detect_api.api.routes import (
    events,
    health,
    jobs,
    keys,
    page,
    plates,
    playback,
    privacy,
    tus,
    uploads,
    video,
    webhooks,
)
from detect_api.api.schemas.base import Problem
from detect_api.api.tus_protocol import TusHeaders
from detect_api.core import tracing
from detect_api.core.cloudwatch import tell_regularly
from detect_api.core.config import Settings
from detect_api.core.metrics import Metrics
from detect_api.db.session import make_engine, make_session_factory
from detect_api.services import service_state
from detect_api.services.key_service import check_keys
from detect_api.services.multipart_service import MultipartService
from detect_api.services.s3_service import S3Service
from detect_api.services.video_links import make_links
from detect_api.storage import make_store, s3_problem
from detect_api.storage.s3_multipart import PartSigner

log = structlog.get_logger(__name__)

LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def make_parts(settings: Settings) -> Parts:
    """The parts that the routes work with. Connects to nothing yet."""
    engine = make_engine(settings.database_url)
    single = make_engine(settings.database_url, pool_size=4, autocommit=True)
    sessions = make_session_factory(engine, webhook_url=settings.webhook_url_for_all)
    store = make_store(settings)
    problem = s3_problem(settings)
    s3, multipart = None, None
    if problem is None:
        from detect_api.storage.s3 import make_client

        assert settings.s3_bucket_name
        public, bucket = make_client(settings, public=True), settings.s3_bucket_name
        s3 = S3Service(settings, public, bucket)
        multipart = MultipartService(
            settings,
            sessions,
            store,
            PartSigner(public, bucket, settings.s3_upload_expiration),
        )
    return Parts(
        settings=settings,
        engines=(engine, single),
        sessions=sessions,
        single=make_session_factory(single),
        store=store,
        s3=s3,
        multipart=multipart,
        s3_problem=problem,
        links=make_links(settings, s3),
        broadcast=Broadcast(settings.database_url or ""),
        metrics=Metrics(),
        keys=Keyring(settings, sessions),
    )


def create_app(settings: Settings) -> FastAPI:
    """The API as an ASGI application. Raises Unavailable when no database is configured."""
    parts = make_parts(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(check_keys, settings, parts.sessions)
        listening = asyncio.create_task(parts.broadcast.run())
        end_telling = _tell_cloudwatch(parts)
        end_tracing = tracing.configure(settings, "api")
        try:
            yield
        finally:
            await asyncio.to_thread(end_telling)
            await asyncio.to_thread(end_tracing)
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            for engine in parts.engines:
                engine.dispose()

    app = FastAPI(
        title="detect-api",
        version=detect_api.__version__,
        summary="Reads the number plates in large traffic videos.",
        lifespan=lifespan,
    )
    app.state.parts = parts
    problems.install(app)
    for module in (
        tus, video, uploads, events, jobs, playback, privacy, webhooks, plates, keys, health,
    ):  # fmt: skip
        app.include_router(module.router)
    app.include_router(video.sample_router)
    app.include_router(page.make_router())
    app.add_middleware(Access, settings=settings, keys=parts.keys, sessions=parts.sessions)
    app.add_middleware(TusHeaders)
    if settings.cors_origin_list:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin_list,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After", *LIMITS, *tus_protocol.EXPOSED],
        )
    app.add_middleware(RequestContext, metrics=parts.metrics, status=parts.broadcast.status)
    _describe_problems(app)
    return app


def _tell_cloudwatch(parts: Parts) -> Callable[[], None]:
    """Starts telling the metrics to CloudWatch, if that is wanted; returns what ends it."""
    seconds = parts.settings.cloudwatch_metrics_seconds
    if not seconds:
        return lambda: None

    def refresh() -> None:
        try:
            with parts.sessions() as session:
                service_state.fill_gauges(session, parts.metrics)
        except SQLAlchemyError as error:
            log.warning("gauges_not_refreshed", error=type(error).__name__)

    return tell_regularly(parts.metrics.registry, "api", seconds, before=refresh)


def _describe_problems(app: FastAPI) -> None:
    """Puts the error document into the OpenAPI description, where every route refers to it."""
    original = app.openapi

    def openapi() -> dict[str, object]:
        description = original()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        definitions = schema.pop("$defs", {})
        description["components"]["schemas"].update({"Problem": schema, **definitions})
        return description

    app.openapi = openapi  # type: ignore[method-assign]
