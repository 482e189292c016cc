"""The names of a job's states; ``states.py`` has how it gets from one to the next."""

from __future__ import annotations

AWAITING_UPLOAD = "awaiting_upload"
UPLOADED = "uploaded"
EXPIRED = "expired"
UPLOADING = "uploading"
PENDING = "pending"
PROCESSING = "processing"
COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"

ALL = (
    AWAITING_UPLOAD, UPLOADING, UPLOADED, PENDING, PROCESSING,
    COMPLETED, FAILED, CANCELLED, EXPIRED,
)  # fmt: skip
ACTIVE = (PENDING, PROCESSING)
FINISHED = (COMPLETED, FAILED, CANCELLED, EXPIRED)
