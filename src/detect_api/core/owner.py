"""On whose behalf the program works at this moment.

The API sets it once for each request; threads and tasks that are started for the request inherit
it. Workers and sweeps work for everybody: there it stays None. ``db/narrow.py`` lets a session see
no more than its owner may.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from detect_api.core.errors import InvalidRequest

OPERATOR = "default"
"""The tenant of whoever runs the service, and of all that came before there were keys."""


@dataclass(frozen=True)
class Quota:
    """What a key may create at most (``services/quotas.py`` counts it); None: without limit."""

    jobs_per_day: int | None = None
    jobs_at_once: int | None = None
    bytes_per_day: int | None = None


@dataclass(frozen=True)
class Owner:
    """A tenant, and the key with which it came. ``quota`` is None if nothing limits the key.

    A request with an upload token reaches only what was created with that token, and may send a
    video of ``max_file_size`` bytes and of ``content_type`` at most; None there means: as settings
    allow.
    """

    tenant: str
    key_id: uuid.UUID | None = None
    token_id: uuid.UUID | None = None
    max_file_size: int | None = None
    content_type: str | None = None
    quota: Quota | None = None

    @property
    def scope(self) -> str:
        """A word that is the same for all who see the same things."""
        return f"{self.tenant}/{self.token_id}" if self.token_id else self.tenant


_owner: ContextVar[Owner | None] = ContextVar("owner", default=None)


def current() -> Owner | None:
    """The owner; None for the service itself, which sees everything."""
    return _owner.get()


@contextmanager
def acting_for(owner: Owner | None) -> Iterator[None]:
    """Works for this owner within a ``with`` block."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)


def tenant() -> str:
    """The tenant that what is created now belongs to."""
    owner = current()
    return owner.tenant if owner else OPERATOR


def key_id() -> uuid.UUID | None:
    """The key with which what is created now is created."""
    owner = current()
    return owner.key_id if owner else None


def token_id() -> uuid.UUID | None:
    """The upload token with which what is created now is created."""
    owner = current()
    return owner.token_id if owner else None


def size_limit(configured: int) -> int:
    """The largest file in bytes, for this owner, where ``configured`` is the largest for all."""
    owner = current()
    allowed = owner.max_file_size if owner else None
    return configured if allowed is None else min(configured, allowed)


def check_content_type(content_type: str) -> None:
    """Raises InvalidRequest for a type that the upload token does not allow."""
    owner = current()
    if owner and owner.content_type and owner.content_type != content_type:
        raise InvalidRequest(
            f"The upload token is for {owner.content_type} only, not '{content_type}'.",
            code="not_allowed_by_token",
        )
