"""Who searched, corrected, exported or deleted what."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from detect_api.core.errors import InvalidRequest
from detect_api.db.tables import AuditEntry
from detect_api.jobs.views import rfc3339
from detect_api.services.paging import Page


def note(
    session: Session,
    *,
    tenant: str,
    key_id: uuid.UUID | None,
    key_name: str | None,
    action: str,
    target: str | None,
    request_id: str | None,
    details: dict[str, Any] | None = None,
) -> None:
    """Writes an entry. ``details`` must hold no plate's text."""
    session.add(
        AuditEntry(
            tenant=tenant, key_id=key_id, key_name=key_name, action=action, target=target,
            request_id=request_id, details=details or {},
        )
    )  # fmt: skip
    session.flush()


def entries_page(session: Session, *, action: str | None, cursor: str | None, limit: int) -> Page:
    """Entries, the newest first. Raises InvalidRequest for a cursor that is none of ours."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit + 1)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
            raise InvalidRequest(
                "The cursor is not one that this list gave: begin without.", code="bad_cursor"
            )
        query = query.where(AuditEntry.id < int(cursor))
    rows = list(session.scalars(query))
    return Page(
        items=[
            {
                "entry_id": row.id,
                "at": rfc3339(row.at),
                "key_id": str(row.key_id) if row.key_id else None,
                "key_name": row.key_name,
                "action": row.action,
                "target": row.target,
                "details": row.details,
                "request_id": row.request_id,
            }
            for row in rows[:limit]
        ],
        next_cursor=str(rows[limit - 1].id) if len(rows) > limit else None,
    )
