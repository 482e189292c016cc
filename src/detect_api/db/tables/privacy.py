"""What goes, and the proof that it went."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from detect_api.db.tables.base import Base


class Removal(Base):
    """Objects to be removed from storage: written with the rows they belonged to, swept later.

    ``prefix`` ending in ``/`` means everything under it, otherwise one object. It is removed
    again until ``keep_until``, since a worker may have been writing there when the job went.
    With ``multipart_id`` the parts of an unfinished upload go, too. What was removed, and that
    it is gone, is written to the receipt ``receipt_id``, if there is one.
    """

    __tablename__ = "removals"
    __table_args__ = (Index("removals_receipt_idx", "receipt_id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    prefix: Mapped[str]
    multipart_id: Mapped[str | None]
    receipt_id: Mapped[uuid.UUID | None]
    tried_at: Mapped[datetime | None]
    keep_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Receipt(Base):
    """What a deletion removed, kept when all that it tells of is gone.

    ``kind`` is ``job``, ``retention`` or ``forget``. ``rows`` counts deleted rows by their kind,
    ``objects`` tells by prefix what storage held and that it is gone. ``wanted`` is the text that
    is being forgotten, until it is: all that may be kept of it, with spaces between.
    ``document`` and ``signature`` are there once it is finished.
    """

    __tablename__ = "receipts"
    __table_args__ = (
        Index("receipts_open_idx", "created_at", postgresql_where=text("finished_at IS NULL")),
        Index(
            "receipts_job_idx",
            text("(subject ->> 'job_id')"),
            postgresql_where=text("kind = 'job'"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(server_default=text("'default'"))
    kind: Mapped[str]
    subject: Mapped[dict[str, Any]]
    rows: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    objects: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    wanted: Mapped[str | None]
    document: Mapped[str | None]
    signature: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class ServiceKey(Base):
    """A key that the service made for itself, for all its processes on all machines."""

    __tablename__ = "service_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
