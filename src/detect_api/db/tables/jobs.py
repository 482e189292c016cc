"""Jobs, and the pieces of work they fall into."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from detect_api.core import owner
from detect_api.db.tables.base import Base

_ENDED_AT = text("coalesce(completed_at, updated_at)")
_ENDED = "status IN ('completed', 'failed', 'cancelled', 'expired', 'uploaded') AND "


class Job(Base):
    """An upload that is waited for, or a video or image that is processed.

    ``type`` is ``upload`` (a pre-signed URL was given out), ``video`` or ``image``. ``attempt``
    counts how often processing was started by a person; work of an earlier attempt is void.

    For an upload, ``multipart_id`` names it in the store while it comes in parts of ``part_size``
    bytes; ``checksum`` is the algorithm that guards each part, if one was asked for. With
    ``auto_process`` its processing, with its ``parameters``, starts when the object is there.

    ``edition`` names the versions that can go on with what has been done of it
    (``vision.edition``); None until its processing has begun.

    It is seen by its ``tenant`` only, and counts for the quotas of ``key_id``; one that came with
    an upload token is what that token may see.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_created_at_idx", "created_at", "id"),
        Index("jobs_status_idx", "status", "updated_at"),
        Index("jobs_object_key_idx", "object_key"),
        Index("jobs_tenant_idx", "tenant", "created_at", "id"),
        Index("jobs_key_idx", "key_id", "created_at", postgresql_where=text("key_id IS NOT NULL")),
        Index(
            "jobs_upload_token_idx",
            "upload_token",
            postgresql_where=text("upload_token IS NOT NULL"),
        ),
        # What the sweep looks for: few rows that are due, among all jobs there ever were.
        Index(
            "jobs_videos_kept_idx",
            _ENDED_AT,
            postgresql_where=text(_ENDED + "object_key IS NOT NULL AND video_deleted_at IS NULL"),
        ),
        Index(
            "jobs_pictures_kept_idx",
            _ENDED_AT,
            postgresql_where=text(_ENDED + "type <> 'upload' AND pictures_deleted_at IS NULL"),
        ),
        Index(
            "jobs_plates_kept_idx",
            _ENDED_AT,
            postgresql_where=text(_ENDED + "type <> 'upload' AND plates_deleted_at IS NULL"),
        ),
        Index("jobs_parts_to_go_idx", "id", postgresql_where=text("multipart_id IS NOT NULL")),
        Index(
            "jobs_video_to_go_idx",
            "id",
            postgresql_where=text(
                "status = 'completed' AND video_deleted_at IS NULL "
                "AND parameters->>'delete_after_processing' = 'true'"
            ),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    type: Mapped[str]
    status: Mapped[str]
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    progress: Mapped[float] = mapped_column(server_default=text("0"))
    message: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))

    filename: Mapped[str | None]
    content_type: Mapped[str | None]
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    object_key: Mapped[str | None]
    object_etag: Mapped[str | None]
    input_sha256: Mapped[str | None]
    multipart_id: Mapped[str | None]
    part_size: Mapped[int | None] = mapped_column(BigInteger)
    checksum: Mapped[str | None]
    auto_process: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    upload: Mapped[dict[str, Any] | None]
    checked_at: Mapped[datetime | None]
    processing_job_id: Mapped[uuid.UUID | None]
    traceparent: Mapped[str | None]
    video_deleted_at: Mapped[datetime | None]
    pictures_deleted_at: Mapped[datetime | None]
    plates_deleted_at: Mapped[datetime | None]

    video: Mapped[dict[str, Any] | None]
    problems: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    models: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    software: Mapped[str | None]
    edition: Mapped[str | None]
    planned_segments: Mapped[int | None]
    merged_segments: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    merge_state: Mapped[bytes | None]
    frames_total: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    frames_done: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    frames_with_detections: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    detections: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    plates_found: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    unread_found: Mapped[int] = mapped_column(Integer, server_default=text("0"))

    tenant: Mapped[str] = mapped_column(default=owner.tenant, server_default=text("'default'"))
    key_id: Mapped[uuid.UUID | None] = mapped_column(default=owner.key_id)
    upload_token: Mapped[uuid.UUID | None] = mapped_column(default=owner.token_id)


class Segment(Base):
    """One unit of work of a job. ``result`` is written once, when the segment is done."""

    __tablename__ = "segments"
    __table_args__ = (
        # Few: what ended jobs have read is dropped (``jobs.retention``).
        Index("segments_readings_idx", "job_id", postgresql_where=text("result IS NOT NULL")),
    )

    job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    index: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt: Mapped[int]
    first_frame: Mapped[int]
    end_frame: Mapped[int]
    start_seconds: Mapped[float]
    end_seconds: Mapped[float]
    cursor: Mapped[dict[str, Any]]
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    frames_done: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    detections: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    result: Mapped[bytes | None]


class Event(Base):
    """What happened to a job, in order, for event streams that resume."""

    __tablename__ = "events"
    __table_args__ = (Index("events_job_idx", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Redaction(Base):
    """A copy of a job's video in which no plate can be read, or the wish for one.

    ``status`` is ``pending``, ``processing``, ``completed`` or ``failed``. ``export_id`` names the
    wish: work for another one is void.
    """

    __tablename__ = "redactions"

    job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    export_id: Mapped[uuid.UUID]
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    frames_done: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    frames_missing: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    object_key: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
