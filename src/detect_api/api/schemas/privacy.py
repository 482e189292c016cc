"""Bodies about deletion and redaction."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from detect_api.api.schemas.base import Request, Response
from detect_api.api.schemas.video import JOB

_RECEIPT = "0c5de6a2-51a4-4f4e-9d4b-7b1d6c2f9a10"


class Erased(Response):
    """What storage held under a key or prefix, and when it said that nothing is left."""

    prefix: str
    keys: list[str]
    removed: int
    versions_removed: int
    versions_checked: bool
    parts_aborted: bool
    gone_at: str | None


class Receipt(Response):
    """What a deletion removed. ``signature`` is of ``document``, once it is finished."""

    receipt_id: str
    kind: Literal["job", "retention", "forget"]
    status: Literal["open", "finished"]
    subject: dict[str, Any]
    created_at: str
    finished_at: str | None
    rows: dict[str, int]
    objects: list[Erased]
    document: str | None
    signature: str | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "receipt_id": _RECEIPT,
                "kind": "job",
                "status": "open",
                "subject": {"job_id": JOB, "video": "videos/a.mp4"},
                "created_at": "2025-01-13T14:30:40.120Z",
                "finished_at": None,
                "rows": {"jobs": 1, "plates": 5},
                "objects": [
                    {
                        "prefix": "videos/a.mp4",
                        "keys": ["videos/a.mp4"],
                        "removed": 1,
                        "versions_removed": 0,
                        "versions_checked": True,
                        "parts_aborted": False,
                        "gone_at": "2025-01-13T14:30:40.320Z",
                    }
                ],
                "document": None,
                "signature": None,
            }
        }
    )


class ReceiptKey(Response):
    """The public key (Base64, 32 bytes) that checks receipts."""

    algorithm: Literal["Ed25519"]
    public_key: str
    key_id: str


class Kept(Response):
    """How long a kind is kept; None is for ever. ``jobs_due``: whose time is over now."""

    days: int | None
    jobs_due: int


class Retention(Response):
    """What is kept for how long."""

    videos: Kept
    pictures: Kept
    plates: Kept


class Forget(Request):
    """A plate that the service is to forget."""

    text: str = Field(min_length=1, max_length=64)

    model_config = ConfigDict(json_schema_extra={"example": {"text": "AB12CDE"}})


class Redacted(Response):
    """A copy of a video in which no plate can be read, or the wish for one."""

    job_id: str
    status: Literal["pending", "processing", "completed", "failed"]
    progress: float
    frames: dict[str, int]
    content_type: str
    size: int | None
    created_at: str
    completed_at: str | None
    error: dict[str, str] | None
    video_url: str | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB,
                "status": "processing",
                "progress": 0.5,
                "frames": {"done": 1000, "total": 2000, "missing": 0},
                "content_type": "video/webm",
                "size": None,
                "created_at": "2025-01-13T14:30:40.120Z",
                "completed_at": None,
                "error": None,
                "video_url": None,
            }
        }
    )
