"""What was read and seen in videos."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from detect_api.db.tables.base import Base


class Plate(Base):
    """One pass of one vehicle. ``text`` is what counts: the person's correction if there is one.

    ``read_text`` stays what the machine read. ``path`` is where it was in each frame
    (``vision.wire.path_json``), None from versions that did not keep it; read only when asked for.
    Texts are keyed hashes where PLATE_HASH_KEY is set; keys of pictures that were not kept are "".
    """

    __tablename__ = "plates"
    __table_args__ = (
        Index("plates_job_track_idx", "job_id", "track_id", unique=True),
        Index("plates_job_order_idx", "job_id", "first_frame", "track_id"),
        Index("plates_created_at_idx", "created_at", "id"),
        Index(
            "plates_text_trgm_idx",
            "text",
            postgresql_using="gin",
            postgresql_ops={"text": "gin_trgm_ops"},
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    track_id: Mapped[int]
    text: Mapped[str]
    read_text: Mapped[str]
    first_frame: Mapped[int] = mapped_column(Integer)
    confidence: Mapped[float]
    details: Mapped[dict[str, Any]]
    path: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    crop_key: Mapped[str]
    frame_key: Mapped[str]
    corrected_by: Mapped[str | None]
    corrected_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UnreadTrack(Base):
    """A plate that was seen and not read, with the reason in ``details``; ``path`` as above."""

    __tablename__ = "unread_tracks"

    job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    track_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    details: Mapped[dict[str, Any]]
    path: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    crop_key: Mapped[str]
