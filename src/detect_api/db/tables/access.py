"""Who may come in, and what they did."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from detect_api.db.tables.base import Base


class ApiKey(Base):
    """A secret that opens the API, of which only the SHA-256 is kept.

    ``kind`` is ``key``, ``session`` (of a browser) or ``upload`` (a token for one upload); the
    latter two end with their ``parent_id``. ``prefix`` is the beginning of the secret, by which it
    is found and recognised. ``spent_for`` says for which request an upload token was used.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("api_keys_prefix_idx", "prefix", unique=True),
        Index("api_keys_parent_idx", "parent_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("api_keys.id", ondelete="CASCADE")
    )
    name: Mapped[str]
    tenant: Mapped[str]
    prefix: Mapped[str]
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    requests_per_minute: Mapped[int | None]
    jobs_per_day: Mapped[int | None]
    jobs_at_once: Mapped[int | None]
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger)
    max_file_size: Mapped[int | None] = mapped_column(BigInteger)
    content_type: Mapped[str | None]
    spent_for: Mapped[str | None]


class AuditEntry(Base):
    """That somebody searched, corrected, exported or deleted something. Holds no plate's text."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("audit_log_tenant_idx", "tenant", "id"),
        Index("audit_log_at_idx", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    key_name: Mapped[str | None]
    action: Mapped[str]
    target: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    request_id: Mapped[str | None]
