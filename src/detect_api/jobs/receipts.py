"""Receipts of deletions: opened with the deletion, finished and signed when all is gone.

A deletion writes its receipt, its removals and the rows it takes away in one transaction. Storage
is cleared by whoever comes first, the request or the sweep; each time, what was found is added to
the receipt. A removal ends when its time is over, so that what appears late is found as well, and
only if storage then says that nothing is left. The receipt is finished when no removal of it is
left, and never changes again.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Select, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from detect_api.core import signing
from detect_api.core.config import Settings
from detect_api.core.ids import new_id
from detect_api.db.session import SessionFactory
from detect_api.db.tables import Receipt, Removal, ServiceKey
from detect_api.jobs.views import rfc3339
from detect_api.storage.base import ObjectStore
from detect_api.storage.erase import Erased, erase, is_left

log = structlog.get_logger(__name__)

JOB, RETENTION, FORGET = "job", "retention", "forget"

MOST_KEYS = 1000
"""Keys that a receipt names for each prefix; of more it has the number."""

LONGEST_PAUSE = timedelta(seconds=60)

_KEY = "receipts"
_LIMIT = 200


def open_receipt(
    session: Session,
    kind: str,
    subject: dict[str, Any],
    rows: dict[str, int],
    *,
    tenant: str,
    wanted: str | None = None,
) -> Receipt:
    """A new receipt for this tenant, in the session's transaction."""
    receipt = Receipt(
        id=new_id(), kind=kind, subject=subject, rows=rows, wanted=wanted, tenant=tenant
    )
    receipt.objects = {}
    session.add(receipt)
    session.flush()
    return receipt


def add_rows(receipt: Receipt, rows: dict[str, int]) -> None:
    """Adds deleted rows to what a (locked) receipt counts."""
    receipt.rows = {
        name: receipt.rows.get(name, 0) + rows.get(name, 0) for name in {**receipt.rows, **rows}
    }


def due_removals() -> Select[Any]:
    """Removals that are to be tried now, those first that were not tried for the longest time.

    A pause is as long as all the time before it, ``LONGEST_PAUSE`` at most. When a removal's time
    is over, it is tried once more at once, so that nothing which came until then stays.
    """
    pause = func.least(LONGEST_PAUSE, Removal.tried_at - Removal.created_at)
    return (
        select(Removal)
        .where(
            or_(
                Removal.tried_at.is_(None),
                Removal.tried_at + pause <= func.now(),
                and_(Removal.tried_at < Removal.keep_until, Removal.keep_until <= func.now()),
            )
        )
        .order_by(Removal.tried_at.nulls_first(), Removal.id)
    )


def postpone(sessions: SessionFactory, removal: Removal) -> None:
    """Notes a try that storage did not let come to anything."""
    with sessions.begin() as session:
        session.execute(update(Removal).where(Removal.id == removal.id).values(tried_at=func.now()))


def carry_out(sessions: SessionFactory, store: ObjectStore, removal: Removal) -> None:
    """Does a removal and notes what there was; doing it again is harmless. Raises StorageError.

    It ends, if its time is over and nothing is left.
    """
    erased, gone = clear(store, removal)
    with sessions.begin() as session:
        if removal.receipt_id is not None:
            _note(session, removal, erased, gone=gone)
        over = None
        if gone:
            over = session.scalar(
                delete(Removal)
                .where(Removal.id == removal.id, Removal.keep_until <= func.now())
                .returning(Removal.id)
            )
    if not over:
        postpone(sessions, removal)


def clear(store: ObjectStore, removal: Removal) -> tuple[Erased, bool]:
    """Removes what there is; says what that was and whether it is all. Raises StorageError."""
    if removal.multipart_id is not None:
        store.abort(removal.prefix, removal.multipart_id)
    erased = erase(store, removal.prefix)
    return erased, not is_left(store, removal.prefix, removal.multipart_id)


def _note(session: Session, removal: Removal, erased: Erased, *, gone: bool) -> None:
    receipt = session.get(Receipt, removal.receipt_id, with_for_update=True)
    if receipt is None or receipt.finished_at is not None:
        return
    known = receipt.objects.get(removal.prefix) or {
        "keys": [],
        "removed": 0,
        "versions_removed": 0,
        "versions_checked": True,
        "parts_aborted": False,
        "gone_at": None,
    }
    new = [key for key in erased.keys if key not in known["keys"]]
    now = session.scalar(select(func.clock_timestamp()))
    entry = {
        "keys": [*known["keys"], *new][:MOST_KEYS],
        "removed": known["removed"] + len(erased.keys),
        "versions_removed": known["versions_removed"] + (erased.versions or 0),
        "versions_checked": known["versions_checked"] and erased.versions is not None,
        "parts_aborted": known["parts_aborted"] or removal.multipart_id is not None,
        "gone_at": rfc3339(now) if gone else None,
    }
    receipt.objects = {**receipt.objects, removal.prefix: entry}


def finish_receipts(sessions: SessionFactory, settings: Settings) -> int:
    """Signs the receipts of which nothing is left to do; returns how many."""
    ready = (
        select(Receipt.id)
        .where(
            Receipt.finished_at.is_(None),
            Receipt.wanted.is_(None),
            ~select(Removal.id).where(Removal.receipt_id == Receipt.id).exists(),
        )
        .order_by(Receipt.created_at)
        .limit(_LIMIT)
    )
    with sessions() as session:
        found = session.scalars(ready).all()
    for receipt_id in found:
        with sessions.begin() as session:
            receipt = session.get(Receipt, receipt_id, with_for_update=True)
            if receipt is None or receipt.finished_at is not None:
                continue
            seed = signing_seed(session, settings)
            receipt.finished_at = session.scalar(select(func.clock_timestamp()))
            receipt.document = signing.canonical(_document(receipt, seed))
            receipt.signature = signing.sign(seed, receipt.document)
            log.info("receipt_finished", receipt_id=str(receipt_id), kind=receipt.kind)
    return len(found)


def signing_seed(session: Session, settings: Settings) -> bytes:
    """The key that signs receipts: RECEIPT_KEY, or one that is made once and kept."""
    if settings.receipt_key is not None:
        return base64.b64decode(settings.receipt_key.get_secret_value())
    session.execute(
        insert(ServiceKey)
        .values(name=_KEY, secret=secrets.token_bytes(signing.SEED_BYTES))
        .on_conflict_do_nothing()
    )
    seed = session.scalar(select(ServiceKey.secret).where(ServiceKey.name == _KEY))
    assert seed is not None
    return seed


def view(receipt: Receipt) -> dict[str, Any]:
    """The receipt as ``GET /receipts/{id}`` shows it."""
    content = _content(receipt)
    return {
        **content,
        "status": "open" if receipt.finished_at is None else "finished",
        "document": receipt.document,
        "signature": receipt.signature,
    }


def _content(receipt: Receipt) -> dict[str, Any]:
    return {
        "receipt_id": str(receipt.id),
        "kind": receipt.kind,
        "subject": receipt.subject,
        "created_at": rfc3339(receipt.created_at),
        "finished_at": rfc3339(receipt.finished_at),
        "rows": receipt.rows,
        "objects": [
            {"prefix": prefix, **entry} for prefix, entry in sorted(receipt.objects.items())
        ],
    }


def _document(receipt: Receipt, seed: bytes) -> dict[str, Any]:
    return {**_content(receipt), "key_id": signing.key_id(signing.public_key(seed))}


def removals_of(session: Session, receipt_id: uuid.UUID) -> list[Removal]:
    """What is still to be removed for a receipt."""
    return list(
        session.scalars(
            select(Removal).where(Removal.receipt_id == receipt_id).order_by(Removal.id)
        )
    )
