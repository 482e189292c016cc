"""The tables, one class each. ``migrations/`` creates them; a test compares the two."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from detect_api.core import owner


class Base(DeclarativeBase):
    """Maps Python types to PostgreSQL's once for all tables."""

    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy declares it as an instance attribute)
        str: Text,
        bytes: LargeBinary,
        float: Double,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


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


class Event(Base):
    """What happened to a job, in order, for event streams that resume."""

    __tablename__ = "events"
    __table_args__ = (Index("events_job_idx", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


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


class IdempotencyKey(Base):
    """The first answer to a creating request, so that sending it again changes nothing."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_created_at_idx", "created_at"),)

    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    response: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


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


class Lease(Base):
    """Who may do a thing that one process at a time should do, and until when.

    A lease, unlike a lock, runs out by itself when its holder freezes.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class OldestVersion(Base):
    """The oldest version whose statements this database still understands.

    One row, moved on by migrations that take something away. ``revision`` is the newest one that a
    version brings: a version that brings an older one must not work with this database.
    """

    __tablename__ = "oldest_version"

    revision: Mapped[str] = mapped_column(primary_key=True)
