"""Bodies of the routes under ``/jobs``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from detect_api.api.schemas.base import Response
from detect_api.api.schemas.video import JOB

Status = Literal[
    "awaiting_upload", "uploading", "uploaded", "pending", "processing",
    "completed", "failed", "cancelled", "expired",
]  # fmt: skip


class JobError(Response):
    """Why a job failed."""

    code: str
    detail: str


class FrameCount(Response):
    """Frames looked at, of those to be looked at."""

    done: int
    total: int


class UploadProgress(Response):
    """How far an upload through the API is."""

    bytes_received: int
    bytes_total: int | None = None
    bytes_per_second: int | None = None
    eta_seconds: float | None = None


class Job(Response):
    """A job's state."""

    job_id: str
    type: Literal["upload", "video", "image"]
    status: Status
    progress: float = Field(ge=0, le=1)
    message: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    error: JobError | None
    parameters: dict[str, Any]
    plates_found: int
    frames: FrameCount
    problems: list[str]
    attempt: int
    filename: str | None
    file_size: int | None
    s3_key: str | None
    processing_job_id: str | None = None
    expires_at: str | None = None
    upload: UploadProgress | None = None
    eta_seconds: float | None = None
    result_url: str | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB,
                "type": "video",
                "status": "processing",
                "progress": 0.25,
                "message": "Processed 500/2000 frames (5 unique plates, 47 total detections)",
                "created_at": "2025-01-13T14:30:40.120Z",
                "started_at": "2025-01-13T14:30:40.300Z",
                "completed_at": None,
                "error": None,
                "parameters": {"frame_skip": 2, "min_confidence": 0.3},
                "plates_found": 5,
                "frames": {"done": 500, "total": 2000},
                "problems": [],
                "attempt": 1,
                "filename": "traffic_video.mp4",
                "file_size": 187000000,
                "s3_key": "videos/20250113_143022_550e8400.mp4",
                "eta_seconds": 42.0,
            }
        }
    )


class JobList(Response):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next_cursor: str | None


class Deleted(Response):
    """What a deletion covered. Objects are removed at once or, if storage is down, later; the
    receipt is finished when all is gone."""

    job_id: str
    deleted: dict[str, Any]
    receipt_id: str
    receipt_url: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB,
                "deleted": {
                    "plates": 5,
                    "unread_tracks": 1,
                    "video": "videos/20250113_143022_550e8400.mp4",
                    "pictures": f"videos/evidence/{JOB}/",
                },
                "receipt_id": "0c5de6a2-51a4-4f4e-9d4b-7b1d6c2f9a10",
                "receipt_url": "/receipts/0c5de6a2-51a4-4f4e-9d4b-7b1d6c2f9a10",
            }
        }
    )
