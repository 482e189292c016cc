"""What every request passes: an id, its measure and its log line. Plain ASGI, for speed."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detect_api.api.status import StatusCache
from detect_api.core import tracing
from detect_api.core.metrics import Metrics

log = structlog.get_logger(__name__)
_levels = logging.getLogger(__name__)

_USABLE = re.compile(r"[A-Za-z0-9._\-]{1,64}")


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """The id of the request, as the response's ``X-Request-ID`` names it."""
    value: str = scope.get("state", {}).get("request_id", "")
    return value


class RequestContext:
    """Gives each request an id (the client's own if it is a plain word), measures and logs it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, status: StatusCache) -> None:
        self._app = app
        self._metrics = metrics
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        request_id = given if _USABLE.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        header = (b"x-request-id", request_id.encode())
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                    # Whoever gets this answer must see what it changed in the next one.
                    self._status.clear()
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        traced = _traced(scope, request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id), traced as rename:
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                route = scope.get("route")
                path = getattr(route, "path", "(none)")
                seconds = time.perf_counter() - started
                rename(f"{scope['method']} {path}")
                self._metrics.request(scope["method"], path, status, seconds)
                _log_request(scope, path, status, seconds)


def _traced(scope: Scope, request_id: str) -> AbstractContextManager[tracing.Rename]:
    """The request's span, under the client's own if it names one.

    It has the method's name until the route is known: what a path holds is the client's matter.
    """
    if not tracing.wanted():
        return nullcontext(tracing.keep_name)
    given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"traceparent"), None)
    return tracing.span(scope["method"], given, request_id=request_id)


def _log_request(scope: Scope, path: str, status: int, seconds: float) -> None:
    """One line for each request that changed something or was refused.

    What is only read, many times a second while jobs are followed, is logged at level DEBUG. The
    line names the route and its job, never the query: that may be a plate somebody looks for.
    """
    level = logging.INFO
    if status < 400 and scope["method"] in ("GET", "HEAD", "OPTIONS"):
        level = logging.DEBUG
    if not _levels.isEnabledFor(level):
        return
    ids = {k: str(v) for k, v in scope.get("path_params", {}).items() if k.endswith("_id")}
    log.log(
        level,
        "request",
        method=scope["method"],
        route=path,
        status=status,
        seconds=round(seconds, 4),
        **ids,
    )
