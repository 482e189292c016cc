"""Who may come in: before a byte of a request's body is read, and before any route is looked at."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detect_api.api import problems, tus_protocol
from detect_api.api.buckets import Allowance
from detect_api.api.keyring import Keyring
from detect_api.api.middleware import request_id_of
from detect_api.api.rules import Rule, rule_for
from detect_api.api.tus_receive import drain
from detect_api.core.config import Settings
from detect_api.core.errors import (
    Conflict,
    DetectApiError,
    Forbidden,
    Locked,
    TooMany,
    Unauthorized,
    Unavailable,
)
from detect_api.core.network import is_loopback
from detect_api.core.owner import OPERATOR, acting_for
from detect_api.db.session import SessionFactory
from detect_api.services import audit_service, key_service
from detect_api.services.key_service import SESSION, TOKEN, Identity

log = structlog.get_logger(__name__)

COOKIE = "detect_api_session"
_SAFE = ("GET", "HEAD", "OPTIONS")


class Access:
    """Lets requests in that have a key which allows what they ask, and works for its tenant then.

    Where no keys are needed, everything is allowed, as everybody's.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Keyring, sessions: SessionFactory
    ) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        rule, target = rule_for(scope["method"], path)
        request = Request(scope, receive)
        try:
            visit = await self._admit(request, rule, target, path)
        except DetectApiError as error:
            await drain(request)
            await _refusal(request, error)(scope, receive, send)
            return
        await visit.run(self._app, receive, send)

    async def _admit(self, request: Request, rule: Rule, target: str | None, path: str) -> _Visit:
        """Raises Unauthorized, Forbidden, TooMany and Conflict for those who may not come in."""
        visit = _Visit(self._sessions, request, rule, target)
        state: dict[str, Any] = request.scope.setdefault("state", {})
        state["insider"] = True
        if rule.public and path != "/ready":
            return visit
        try:
            if not await self._keys.needed():
                if not rule.public and not self._settings.allow_without_keys:
                    _check_page(request, self._settings.cors_origin_list)
                return visit
            who, by_cookie = await self._identify(request)
        except SQLAlchemyError as error:
            log.warning("key_not_checked", error=type(error).__name__)
            if rule.public:
                state["insider"] = False
                return visit
            raise _away(path) from None
        state["insider"] = who is not None and _is_operator(who)
        if rule.public:
            return visit
        if who is None:
            self._count_wrong(request)
            raise Unauthorized(
                "This needs a key that is valid: send it as 'Authorization: Bearer …'. "
                "'detect-api keys create' makes one."
            )
        if by_cookie and request.method not in _SAFE:
            _check_origin(request)
        visit.who = who
        visit.allowance = state["allowance"] = self._keys.take(who)
        _check_rate(visit.allowance)
        _check_scope(who, rule)
        if not rule.operator:
            visit.owner = who.owner
        state["identity"] = who
        state["secret"] = _secret_of(request)[0]
        if rule.creates and who.kind == TOKEN:
            try:
                await self._spend(visit)
            except SQLAlchemyError as error:
                log.warning("token_not_spent", error=type(error).__name__)
                raise _away(path) from None
        return visit

    async def _identify(self, request: Request) -> tuple[Identity | None, bool]:
        secret, by_cookie = _secret_of(request)
        who = await self._keys.identify(secret) if secret else None
        if who is not None and by_cookie != (who.kind == SESSION):
            return None, by_cookie  # a cookie holds a session, and a session comes by cookie only
        return who, by_cookie

    def _count_wrong(self, request: Request) -> None:
        """Raises TooMany if too many wrong keys came from where this one comes from.

        A right key never gets here, whatever else comes from its address. Nor is a browser counted
        whose session has ended: its page has to learn that it needs a key.
        """
        secret, by_cookie = _secret_of(request)
        if not secret or by_cookie:
            return
        allowance = self._keys.wrong(request.client.host if request.client else "")
        if allowance.retry_after is not None:
            raise TooMany(
                f"More than {allowance.limit} wrong keys a minute came from this address: send one "
                "that is valid.",
                retry_after=allowance.retry_after,
                code="wrong_keys",
            )

    async def _spend(self, visit: _Visit) -> None:
        """Uses an upload token up. Raises Conflict."""
        who = visit.who
        assert who is not None

        def spend() -> bool:
            with acting_for(None), self._sessions.begin() as session:
                return key_service.spend(session, who.id, visit.purpose)

        if not await run_in_threadpool(spend):
            raise Conflict(
                "The upload token was used for an upload already: ask for another one.",
                code="upload_token_used",
            )


class _Visit:
    """One request that was let in."""

    def __init__(
        self, sessions: SessionFactory, request: Request, rule: Rule, target: str | None
    ) -> None:
        self.who: Identity | None = None
        self.owner: Any = None
        self.allowance: Allowance | None = None
        self._sessions = sessions
        self._request = request
        self._rule = rule
        self._target = target
        key = request.headers.get("idempotency-key")
        # Sent again with the same key it is the same upload, also when the answer was lost.
        self.purpose = f"{request.url.path} {key if key else secrets.token_hex(16)}"

    async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        """Has the request answered."""
        if self.who is None and self._rule.audited is None:
            with acting_for(None):
                await app(self._request.scope, receive, send)
            return
        spends = self.who is not None and self.who.kind == TOKEN and self._rule.creates
        good = replaced = False

        async def send_on(message: Message) -> None:
            nonlocal good, replaced, spends
            if message["type"] == "http.response.start":
                good = message["status"] < 400
                if spends and not good:
                    # Before the client hears of it, since it may come again at once.
                    await run_in_threadpool(self._give_back)
                    spends = False
                if good and self._rule.audited is not None and not await self._audit():
                    replaced = True
                    await _refusal(self._request, _NOT_AUDITED)(self._request.scope, receive, send)
                if self.allowance is not None:
                    more = self.allowance.headers()
                    message = {**message, "headers": [*message["headers"], *more]}
            if not replaced:
                await send(message)

        try:
            with acting_for(self.owner):
                await app(self._request.scope, receive, send_on)
        finally:
            if spends and not good:
                await asyncio.shield(run_in_threadpool(self._give_back))

    async def _audit(self) -> bool:
        """Writes down what was done before its outcome is told; False if that failed."""
        try:
            await run_in_threadpool(self._note)
        except SQLAlchemyError as error:
            log.warning("audit_failed", action=self._rule.audited, error=type(error).__name__)
            return False
        return True

    def _note(self) -> None:
        assert self._rule.audited is not None
        who = self.who
        with acting_for(None), self._sessions.begin() as session:
            audit_service.note(
                session,
                tenant=who.owner.tenant if who else OPERATOR,
                key_id=who.key_id if who else None,
                key_name=who.name if who else None,
                action=self._rule.audited,
                target=self._target,
                request_id=request_id_of(self._request.scope),
                details=_details(self._rule.audited, self._request),
            )

    def _give_back(self) -> None:
        assert self.who is not None
        try:
            with acting_for(None), self._sessions.begin() as session:
                key_service.give_back(session, self.who.id, self.purpose)
        except SQLAlchemyError as error:
            log.warning("token_not_given_back", error=type(error).__name__)


_NOT_AUDITED = Unavailable(
    "The audit log cannot be written, so that this was not told: try again in a few seconds.",
    code="audit_unavailable",
)


def _secret_of(request: Request) -> tuple[str, bool]:
    """The secret that the request carries, and whether it came by cookie."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip(), False
    if given := request.headers.get("x-api-key", ""):
        return given.strip(), False
    return request.cookies.get(COOKIE, ""), True


def _is_operator(who: Identity) -> bool:
    return who.owner.tenant == OPERATOR and who.may(key_service.ADMIN)


def _check_scope(who: Identity, rule: Rule) -> None:
    if rule.operator and who.owner.tenant != OPERATOR:
        raise Forbidden(f"Only a key of the tenant '{OPERATOR}' may do this.", code="scope_missing")
    if who.kind == TOKEN:
        if not rule.token:
            raise Forbidden(
                "An upload token is for one upload and its state only.", code="scope_missing"
            )
    elif rule.scopes and not who.may(*rule.scopes):
        wanted = " or ".join(rule.scopes)
        raise Forbidden(f"The key lacks the scope {wanted} for this.", code="scope_missing")


def _check_rate(allowance: Allowance | None) -> None:
    if allowance is not None and allowance.retry_after is not None:
        raise TooMany(
            f"The key may make {allowance.limit} requests a minute: go on in "
            f"{allowance.retry_after} s.",
            retry_after=allowance.retry_after,
        )


def _check_page(request: Request, origins: list[str]) -> None:
    """Raises Forbidden for what a stranger's page has a browser on this machine ask without a key.

    Whoever has a name can let it stand for 127.0.0.1, and their page is then taken for our own. And
    any page may send forms here, although it is not shown the answer.
    """
    host = request.headers.get("host", "")
    if host and not is_loopback(re.sub(r":[0-9]+$", "", host)):
        raise Forbidden(
            "Without keys the service answers as localhost or 127.0.0.1 only: make a key with "
            "'detect-api keys create', or set ALLOW_WITHOUT_KEYS=true.",
            code="foreign_host",
        )
    origin = request.headers.get("origin")
    known = origin is None or urlsplit(origin).netloc == host or origin in origins
    if request.method not in _SAFE and not known and "*" not in origins:
        raise Forbidden(
            "Without keys only the own page and those of CORS_ORIGINS may change anything.",
            code="foreign_origin",
        )


def _check_origin(request: Request) -> None:
    """Raises Forbidden unless the service's own page sends the request.

    A cookie goes along with what any page on the same host sends, on whatever port.
    """
    origin = request.headers.get("origin", "")
    site = request.headers.get("sec-fetch-site", "")
    own = bool(origin) and urlsplit(origin).netloc == request.headers.get("host", "")
    if site == "same-origin" or (not site and own):
        return
    raise Forbidden(
        "A browser's session is for the service's own page: send the key as "
        "'Authorization: Bearer …'.",
        code="foreign_origin",
    )


def _away(path: str) -> DetectApiError:
    detail = "The database cannot be reached at the moment: try again in a few seconds."
    if path.startswith(f"{tus_protocol.PATH}/"):
        # Clients take any answer but this for the loss of the upload and begin a new one.
        return Locked(detail, code="upload_locked")
    return Unavailable(detail, code="database_unavailable")


def _refusal(request: Request, error: DetectApiError) -> JSONResponse:
    answer = problems.of(request, error)
    if isinstance(error, Unauthorized):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="detect-api"'
    allowance: Allowance | None = request.scope["state"].get("allowance")
    if allowance is not None:
        answer.raw_headers.extend(allowance.headers())
    return answer


def _details(action: str, request: Request) -> dict[str, Any]:
    """What else is written down. Never what was searched for: that is a plate."""
    if action == "search":
        given = parse_qs(request.url.query)
        shown: dict[str, Any] = {
            name: given[name][0][:40] for name in ("from", "to", "fuzzy") if name in given
        }
        return {"with_text": "text" in given, **shown}
    if action == "export":
        return {"format": request.url.path.rsplit(".", 1)[-1]}
    return {}
