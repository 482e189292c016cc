"""``Idempotency-Key``: sending a creating request again gives the first answer again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from detect_api.core import owner
from detect_api.core.errors import Unprocessable
from detect_api.db.tables import IdempotencyKey

Answer = dict[str, Any]


def fingerprint(body: dict[str, Any]) -> str:
    """A digest of a request's content, the same for equal content."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def first_answer(session: Session, route: str, key: str | None, body: str) -> Answer | None:
    """The answer that this key had on this route; None if it is new.

    Waits for another request with the same key that is just being answered. Raises
    Unprocessable if the key was used with another body.
    """
    if key is None:
        return None
    route = _of_owner(route)
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"{route} {key}"},
    )
    known = session.get(IdempotencyKey, (route, key))
    if known is None:
        return None
    if known.fingerprint != body:
        raise Unprocessable(
            "This Idempotency-Key was used with another request: choose a new one.",
            code="idempotency_key_reused",
        )
    return known.response


def is_known(session: Session, route: str, key: str | None) -> bool:
    """Whether this key had an answer on this route, to whatever body."""
    return key is not None and session.get(IdempotencyKey, (_of_owner(route), key)) is not None


def once(
    session: Session, route: str, key: str | None, body: str, create: Callable[[], Answer]
) -> Answer:
    """The first answer to this key, or a new one that is remembered with what it created."""
    known = first_answer(session, route, key, body)
    if known is not None:
        return known
    answer = create()
    if key is not None:
        mine = _of_owner(route)
        session.add(IdempotencyKey(route=mine, key=key, fingerprint=body, response=answer))
        session.flush()
    return answer


def _of_owner(route: str) -> str:
    """The route as one owner's: what another one was answered is not for this one."""
    who = owner.current()
    return route if who is None else f"{who.scope}:{route}"
