"""Keys: making, finding, listing and revoking them.

A secret is ``da_`` and a kind, eight characters that it is found by, and 256 random bits, of which
only the SHA-256 is kept: nothing that can be guessed needs a slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, aliased

from detect_api.core.config import Settings
from detect_api.core.errors import InvalidRequest, NotFound, Unavailable
from detect_api.core.ids import new_id
from detect_api.core.owner import OPERATOR, Owner, Quota
from detect_api.db.narrow import EVERYBODYS
from detect_api.db.session import SessionFactory
from detect_api.db.tables import ApiKey, Job
from detect_api.jobs.views import rfc3339

UPLOAD, READ, METRICS, ADMIN = "upload", "read", "metrics", "admin"
SCOPES = (UPLOAD, READ, METRICS, ADMIN)

KEY, SESSION, TOKEN = "key", "session", "upload"
_LETTER = {KEY: "k", SESSION: "s", TOKEN: "u"}
_SECRET = re.compile(r"(da_[ksu]_[A-Za-z0-9]{8})_[A-Za-z0-9_\-]{43}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_\-]{0,62}")

SESSION_SECONDS = 12 * 3600
_NAME_LENGTH = 100
_LAST_USED_SECONDS = 60


@dataclass(frozen=True)
class Identity:
    """Who makes a request, and what the key allows."""

    id: uuid.UUID
    kind: str
    name: str
    scopes: frozenset[str]
    owner: Owner
    requests_per_minute: int | None = None

    @property
    def key_id(self) -> uuid.UUID:
        """The key itself, also of a session or an upload token."""
        return self.owner.key_id or self.id

    def may(self, *scopes: str) -> bool:
        """Whether it has one of these scopes; ``admin`` has all."""
        return ADMIN in self.scopes or not self.scopes.isdisjoint(scopes)


@dataclass(frozen=True)
class Limits:
    """What a key may at most; None: what the settings say, or no limit."""

    requests_per_minute: int | None = None
    jobs_per_day: int | None = None
    jobs_at_once: int | None = None
    bytes_per_day: int | None = None


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def any_ever(session: Session) -> bool:
    """Whether a key was ever made here. Revoking the last one must not open the door."""
    query = select(ApiKey.id).where(ApiKey.kind == KEY).limit(1)
    return session.scalar(query.execution_options(**{EVERYBODYS: True})) is not None


def check_keys(settings: Settings, sessions: SessionFactory) -> None:
    """Raises Unavailable if others than this machine are let in and there is no key.

    A database that does not answer is no reason: nobody is let in until it does.
    """
    if settings.on_loopback or settings.allow_without_keys:
        return
    try:
        with sessions() as session:
            found = any_ever(session)
    except SQLAlchemyError:
        return
    if not found:
        raise Unavailable(
            f"HOST={settings.host} lets other machines in and there are no keys: make one with "
            "'detect-api keys create NAME', or set ALLOW_WITHOUT_KEYS=true.",
            code="keys_needed",
        )


def create(
    session: Session,
    *,
    name: str,
    tenant: str,
    scopes: list[str],
    expires_in_seconds: int | None,
    limits: Limits | None = None,
) -> tuple[ApiKey, str]:
    """A new key, and its secret, which is never shown again. Raises InvalidRequest."""
    if not name or len(name) > _NAME_LENGTH or not name.isprintable():
        raise InvalidRequest(
            f"A key's name has 1 to {_NAME_LENGTH} printable characters.", code="bad_key"
        )
    if not _TENANT.fullmatch(tenant):
        raise InvalidRequest(
            "A tenant's name has 1 to 63 small letters, digits, - and _, and begins with a letter "
            "or digit.",
            code="bad_key",
        )
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InvalidRequest(f"A key's scopes are some of {', '.join(SCOPES)}.", code="bad_key")
    if METRICS in scopes and tenant != OPERATOR:
        raise InvalidRequest(
            f"The metrics are of all tenants: the scope {METRICS} is for keys of the tenant "
            f"'{OPERATOR}'.",
            code="bad_key",
        )
    limits = limits or Limits()
    row, secret = _new(
        KEY,
        name=name,
        tenant=tenant,
        scopes=[scope for scope in SCOPES if scope in scopes],
        requests_per_minute=limits.requests_per_minute,
        jobs_per_day=limits.jobs_per_day,
        jobs_at_once=limits.jobs_at_once,
        bytes_per_day=limits.bytes_per_day,
    )
    return _added(session, row, expires_in_seconds), secret


def begin_session(session: Session, who: Identity) -> str:
    """A secret for a browser, good for as long as the key and half a day at most."""
    row, secret = _new(
        SESSION, name=who.name, tenant=who.owner.tenant, scopes=sorted(who.scopes),
        parent_id=who.key_id,
    )  # fmt: skip
    _added(session, row, SESSION_SECONDS)
    return secret


def upload_token(
    session: Session,
    who: Identity,
    *,
    max_file_size: int | None,
    content_type: str | None,
    expires_in_seconds: int,
) -> tuple[ApiKey, str]:
    """A token for one upload, and its secret."""
    row, secret = _new(
        TOKEN, name=who.name, tenant=who.owner.tenant, scopes=[], parent_id=who.key_id,
        max_file_size=max_file_size, content_type=content_type,
    )  # fmt: skip
    return _added(session, row, expires_in_seconds), secret


def _new(kind: str, **values: Any) -> tuple[ApiKey, str]:
    alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    prefix = f"da_{_LETTER[kind]}_{''.join(secrets.choice(alphabet) for _ in range(8))}"
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey(id=new_id(), kind=kind, prefix=prefix, secret_hash=digest(secret), **values)
    return row, secret


def _added(session: Session, row: ApiKey, seconds: int | None) -> ApiKey:
    if seconds is not None:
        # The database's clock, by which it will be judged.
        row.expires_at = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    session.add(row)
    session.flush()
    session.refresh(row)
    return row


def _valid(row: Any) -> ColumnElement[bool]:
    valid: ColumnElement[bool] = row.revoked_at.is_(None) & or_(
        row.expires_at.is_(None), row.expires_at > func.now()
    )
    return valid


def find(session: Session, secret: str) -> Identity | None:
    """Whose secret this is; None if it is nobody's (any more). Notes, coarsely, that it was used.

    Call it for no owner: whose it is is the question.
    """
    form = _SECRET.fullmatch(secret)
    if form is None:
        return None
    parent = aliased(ApiKey)
    found = session.execute(
        select(ApiKey, parent)
        .outerjoin(parent, parent.id == ApiKey.parent_id)
        .where(
            ApiKey.prefix == form[1],
            _valid(ApiKey),
            or_(ApiKey.parent_id.is_(None), _valid(parent)),
        )
    ).first()
    if found is None or not hmac.compare_digest(found[0].secret_hash, digest(secret)):
        return None
    row, above = found
    key = above or row
    stale = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, _LAST_USED_SECONDS)
    session.execute(
        update(ApiKey)
        .where(
            ApiKey.id.in_({row.id, key.id}),
            or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < stale),
        )
        .values(last_used_at=func.now())
        .execution_options(synchronize_session=False)
    )
    token = row.kind == TOKEN
    quota = Quota(key.jobs_per_day, key.jobs_at_once, key.bytes_per_day)
    return Identity(
        id=row.id,
        kind=row.kind,
        name=row.name,
        scopes=frozenset(row.scopes),
        owner=Owner(
            tenant=row.tenant,
            key_id=key.id,
            token_id=row.id if token else None,
            max_file_size=row.max_file_size,
            content_type=row.content_type,
            quota=None if quota == Quota() else quota,
        ),
        requests_per_minute=key.requests_per_minute,
    )


def revoke(session: Session, wanted: str) -> list[ApiKey]:
    """Revokes the key with this id or prefix, with its sessions and tokens; returns the key.

    Raises NotFound.
    """
    try:
        condition = ApiKey.id == uuid.UUID(wanted)
    except ValueError:
        condition = ApiKey.prefix == wanted
    rows = list(session.scalars(select(ApiKey).where(condition)))
    if not rows:
        raise NotFound(
            f"There is no key '{wanted}': 'detect-api keys list' names them.", code="key_not_found"
        )
    for row in rows:
        session.execute(
            update(ApiKey)
            .where(or_(ApiKey.id == row.id, ApiKey.parent_id == row.id))
            .where(ApiKey.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .execution_options(synchronize_session=False)
        )
        session.refresh(row)
    return rows


def end_session(session: Session, who: Identity) -> None:
    """Ends a browser's session; a key stays as it is."""
    if who.kind == SESSION:
        session.execute(delete(ApiKey).where(ApiKey.id == who.id, ApiKey.kind == SESSION))


def listed(session: Session, tenant: str | None = None) -> list[dict[str, Any]]:
    """All keys, the oldest first, without sessions and tokens."""
    query = select(ApiKey).where(ApiKey.kind == KEY).order_by(ApiKey.created_at, ApiKey.id)
    if tenant is not None:
        query = query.where(ApiKey.tenant == tenant)
    now = session.scalars(select(func.now())).one()
    return [view(row, now) for row in session.scalars(query)]


def view(row: ApiKey, now: datetime) -> dict[str, Any]:
    """A key as its operator sees it."""
    ended = row.expires_at is not None and row.expires_at <= now
    return {
        "key_id": str(row.id),
        "prefix": row.prefix,
        "name": row.name,
        "tenant": row.tenant,
        "scopes": row.scopes,
        "state": "revoked" if row.revoked_at else "expired" if ended else "valid",
        "created_at": rfc3339(row.created_at),
        "expires_at": rfc3339(row.expires_at),
        "revoked_at": rfc3339(row.revoked_at),
        "last_used_at": rfc3339(row.last_used_at),
        "requests_per_minute": row.requests_per_minute,
        "jobs_per_day": row.jobs_per_day,
        "jobs_at_once": row.jobs_at_once,
        "bytes_per_day": row.bytes_per_day,
    }


def spend(session: Session, token_id: uuid.UUID, request: str) -> bool:
    """Uses an upload token up for this request; False if another one did that before."""
    taken = session.execute(
        update(ApiKey)
        .where(ApiKey.id == token_id, or_(ApiKey.spent_for.is_(None), ApiKey.spent_for == request))
        .values(spent_for=request)
        .returning(ApiKey.id)
        .execution_options(synchronize_session=False)
    ).first()
    return taken is not None


def give_back(session: Session, token_id: uuid.UUID, request: str) -> None:
    """Makes an upload token good again after a request that created nothing."""
    came = select(Job.id).where(Job.upload_token == token_id).exists()
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == token_id, ApiKey.spent_for == request, ~came)
        .values(spent_for=None)
        .execution_options(synchronize_session=False)
    )
