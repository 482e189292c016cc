"""Keys as the API process knows them: whether any are needed, whose one is, how often it may come,
and where wrong ones come from.

What the database said is kept for two seconds, so that a key costs a request next to nothing and
is worth nothing soon after it was revoked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from detect_api.api.buckets import MAX_KEPT, Allowance, Buckets
from detect_api.core.config import Settings
from detect_api.core.owner import acting_for
from detect_api.db.session import SessionFactory
from detect_api.services import key_service
from detect_api.services.key_service import TOKEN, Identity

KEPT_SECONDS = 2.0

WRONG_KEYS_PER_MINUTE = 60
"""So many wrong keys from one address are told that they are wrong."""


class Keyring:
    """For the event loop's thread only."""

    def __init__(self, settings: Settings, sessions: SessionFactory) -> None:
        self._settings = settings
        self._sessions = sessions
        self._needed: bool | None = None
        self._look_at = 0.0
        self._known: OrderedDict[bytes, tuple[Identity | None, float]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Identity | None]] = {}
        self._requests: Buckets[UUID] = Buckets()
        self._wrong: Buckets[str] = Buckets()

    async def needed(self) -> bool:
        """Whether requests need a key: as soon as one was ever made, and from then on.

        Without any, only ALLOW_WITHOUT_KEYS lets a service start that others can reach; should the
        keys of a running one have been dropped by hand, it stays closed. Raises SQLAlchemyError
        when it is not known and the database does not answer.
        """
        if self._needed or (self._needed is not None and time.monotonic() < self._look_at):
            return bool(self._needed)
        self._look_at = time.monotonic() + KEPT_SECONDS
        try:
            found = await run_in_threadpool(self._any_ever)
        except SQLAlchemyError:
            if self._needed is None:
                raise
            return bool(self._needed)
        open_to_all = self._settings.on_loopback or self._settings.allow_without_keys
        self._needed = bool(self._needed) or found or not open_to_all
        return self._needed

    async def identify(self, secret: str) -> Identity | None:
        """Whose secret this is, if it is valid. Raises SQLAlchemyError."""
        name = key_service.digest(secret)
        kept = self._known.get(name)
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        asking = self._asking.get(name)
        if asking is None:
            # One question for all requests that come with the key at this moment.
            asking = asyncio.create_task(self._ask(name, secret))
            self._asking[name] = asking
        return await asyncio.shield(asking)

    async def _ask(self, name: bytes, secret: str) -> Identity | None:
        asked = time.monotonic()
        try:
            found = await run_in_threadpool(self._find, secret)
            self._known[name] = (found, asked + KEPT_SECONDS)
            self._known.move_to_end(name)
            while len(self._known) > MAX_KEPT:
                self._known.popitem(last=False)
            return found
        finally:
            del self._asking[name]

    def forget(self, secret: str) -> None:
        """Asks the database anew about this secret."""
        self._known.pop(key_service.digest(secret), None)

    def take(self, who: Identity) -> Allowance | None:
        """Counts a request of a key, or of one of its upload tokens, which has as many of its own.

        None without a limit.
        """
        limit = who.requests_per_minute
        if limit is None:
            limit = self._settings.rate_limit_per_minute
        # Whoever is given a token must not be able to use up what the key may.
        name = who.id if who.kind == TOKEN else who.key_id
        return self._requests.take(name, limit) if limit else None

    def wrong(self, address: str) -> Allowance:
        """Counts a wrong key that came from this address."""
        return self._wrong.take(_neighbourhood(address), WRONG_KEYS_PER_MINUTE)

    def _any_ever(self) -> bool:
        with acting_for(None), self._sessions() as session:
            return key_service.any_ever(session)

    def _find(self, secret: str) -> Identity | None:
        with acting_for(None), self._sessions.begin() as session:
            return key_service.find(session, secret)


def _neighbourhood(address: str) -> str:
    """What one sender has: an address, of IPv6 a network of 64 bits."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
