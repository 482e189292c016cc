"""Deletions as clients see them: receipts, what retention does, plates to be forgotten."""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from detect_api.core import plate_text, signing
from detect_api.core.config import Settings
from detect_api.core.errors import InvalidRequest, NotFound
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Job, Receipt
from detect_api.jobs import forgetting, multipart, receipts, retention
from detect_api.storage.base import ObjectStore


def receipt(session: Session, receipt_id: uuid.UUID) -> dict[str, Any]:
    """A receipt as it stands. Raises NotFound."""
    row = session.get(Receipt, receipt_id, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no receipt {receipt_id}.", code="receipt_not_found")
    return receipts.view(row)


def public_key(session: Session, settings: Settings) -> dict[str, str]:
    """What the signatures of receipts are checked with."""
    public = signing.public_key(receipts.signing_seed(session, settings))
    return {"algorithm": "Ed25519", "public_key": public, "key_id": signing.key_id(public)}


def retention_view(session: Session, settings: Settings) -> dict[str, Any]:
    """For how long each kind is kept, and of how many jobs it is due now."""
    answer: dict[str, Any] = {}
    for kind, days in retention.days_of(settings).items():
        due = None
        if days is not None:
            due = session.scalar(select(func.count(Job.id)).where(retention.due(kind, days)))
        answer[f"{kind}s"] = {"days": days, "jobs_due": due or 0}
    return answer


def forget(
    sessions: SessionFactory, store: ObjectStore, settings: Settings, asked: str
) -> dict[str, Any]:
    """Has a plate's text forgotten, as far as a request's time allows; the sweep does the rest.

    Returns the receipt. It names the text by a fingerprint only the service can make. Raises
    InvalidRequest.
    """
    wanted = plate_text.normalised(asked)
    if not plate_text.HASH.fullmatch(wanted) and not re.fullmatch(r"[A-Z0-9]{1,16}", wanted):
        raise InvalidRequest(
            "A plate's text holds 1 to 16 letters A to Z and digits.", code="bad_plate_text"
        )
    ways = plate_text.ways_kept(settings.plate_hash_keys, wanted)
    with sessions.begin() as session:
        seed = receipts.signing_seed(session, settings)
        mark = hmac.new(seed, b"plate:" + wanted.encode(), hashlib.sha256).hexdigest()[:32]
        opened = forgetting.begin(session, ways, {"plate_fingerprint": mark})
        receipt_id = opened.id
    forgetting.go_on_with(sessions, receipt_id)
    with sessions() as session:
        prefixes = {removal.prefix for removal in receipts.removals_of(session, receipt_id)}
    for prefix in sorted(prefixes)[:_OBJECTS_NOW]:
        multipart.carry_out_now(sessions, store, prefix)
    with sessions() as session:
        return receipt(session, receipt_id)


_OBJECTS_NOW = 50
