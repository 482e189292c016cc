"""What of uploads is under way, and what was answered to those who asked for them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from detect_api.db.tables.base import Base


class TusUpload(Base):
    """A resumable upload through the API, and what of it is safe in storage.

    ``received`` bytes are: whole parts of ``part_size`` bytes in the store's multipart upload
    ``multipart_id``, and behind them ``pieces``, objects of their own that become part of the
    next one. ``holder`` is the request that may write, until ``held_until``; ``asked`` tells it
    that another one waits. The row outlives its job until storage is clean, and the upload until
    ``expires_at``, so that a client whose last answer was lost can still learn of its success.
    """

    __tablename__ = "tus_uploads"
    __table_args__ = (Index("tus_uploads_expires_at_idx", "expires_at"),)

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    object_key: Mapped[str]
    multipart_id: Mapped[str | None]
    client_metadata: Mapped[str]
    object_metadata: Mapped[dict[str, Any]]
    length: Mapped[int | None] = mapped_column(BigInteger)
    part_size: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    pieces: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    holder: Mapped[uuid.UUID | None]
    held_until: Mapped[datetime | None]
    asked: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    finished: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TusPart(Base):
    """A whole part of a resumable upload that the store has, as ``resume`` wants it named."""

    __tablename__ = "tus_parts"

    job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tus_uploads.job_id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str]


class PartChecksum(Base):
    """The checksum with which a part of an upload was signed last.

    S3 wants all of them again to complete the upload, and not every store tells them.
    """

    __tablename__ = "part_checksums"

    job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    part_number: Mapped[int] = mapped_column(Integer, primary_key=True)
    checksum: Mapped[str]


class IdempotencyKey(Base):
    """The first answer to a creating request, so that sending it again changes nothing."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_created_at_idx", "created_at"),)

    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    response: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
