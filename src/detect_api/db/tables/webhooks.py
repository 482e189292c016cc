"""What receivers are told."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from detect_api.db.tables.base import Base


class WebhookDelivery(Base):
    """A webhook that was, or is to be, sent to one receiver.

    ``body`` is sent byte for byte on every try. ``status`` is ``pending``, ``delivered`` or
    ``failed``; while pending, it is tried at ``next_try_at`` unless somebody who has not run out
    of time (``claimed_until``) is at it under ``claim``. ``tries`` counts since the beginning or
    the last replay; ``log`` keeps what came of the latest ones.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("webhook_deliveries_job_idx", "job_id", "created_at"),
        Index(
            "webhook_deliveries_due_idx",
            "next_try_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("webhook_deliveries_status_idx", "status", "finished_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    event: Mapped[str]
    url: Mapped[str]
    origin: Mapped[str]
    body: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    log: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    next_try_at: Mapped[datetime | None]
    claim: Mapped[uuid.UUID | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
