"""How far an upload is, as its job shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detect_api.core.limits import megabytes


@dataclass(frozen=True)
class UploadProgress:
    """Values for a job's columns ``progress``, ``message`` and ``upload``."""

    progress: float
    message: str
    upload: dict[str, Any]


def arriving(received: int, expected: int | None, speed: float) -> UploadProgress:
    """The progress of bytes that arrive at ``speed`` bytes a second."""
    message = f"Uploading: {megabytes(received, 1)}MB"
    progress, eta = 0.0, None
    if expected:
        progress = min(1.0, received / expected)
        eta = max(0.0, (expected - received) / speed) if speed else None
        message += f" ({progress:.0%}) at {megabytes(int(speed), 1)}MB/s"
        message += f" - ETA: {eta:.0f}s" if eta is not None else ""
    return UploadProgress(
        progress,
        message,
        {
            "bytes_received": received,
            "bytes_total": expected,
            "bytes_per_second": round(speed),
            "eta_seconds": None if eta is None else round(eta, 1),
        },
    )


def paused(received: int, expected: int | None) -> UploadProgress:
    """The progress of an upload that nobody sends bytes for at the moment."""
    progress = min(1.0, received / expected) if expected else 0.0
    message = f"Upload paused at {megabytes(received, 1)}MB"
    if received == expected:
        message = "Uploaded. Storage is putting the parts together."
    elif expected:
        message += f" ({progress:.0%})"
    return UploadProgress(progress, message, {"bytes_received": received, "bytes_total": expected})
