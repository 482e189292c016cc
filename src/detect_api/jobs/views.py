"""How jobs and plates look from outside: plain JSON values, the same for answers and events."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from detect_api.db.tables import Job, Plate, UnreadTrack
from detect_api.jobs import status as states
from detect_api.webhooks.target import origin_of

REDACTED_TYPE = "video/webm"
"""What a copy without plates is."""


def rfc3339(moment: datetime | None) -> str | None:
    """A time in UTC as RFC 3339, in milliseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_view(job: Job, processing: Job | None = None) -> dict[str, Any]:
    """A job as ``GET /jobs/{id}`` shows it.

    An upload whose video is being processed shows the state of that processing job.
    """
    source = processing or job
    view: dict[str, Any] = {
        "job_id": str(job.id),
        "type": job.type,
        "status": source.status,
        "progress": round(source.progress, 4),
        "message": source.message,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(source.started_at),
        "completed_at": rfc3339(source.completed_at),
        "error": {"code": source.error_code, "detail": source.error_detail}
        if source.error_code
        else None,
        "parameters": _shown(source.parameters),
        "plates_found": source.plates_found,
        "frames": {"done": source.frames_done, "total": source.frames_total},
        "problems": source.problems,
        "attempt": source.attempt,
        "filename": job.filename,
        "file_size": job.file_size,
        "s3_key": job.object_key,
    }
    if processing is not None:
        view["processing_job_id"] = str(processing.id)
    if job.status == states.AWAITING_UPLOAD:
        view["expires_at"] = rfc3339(job.expires_at)
    if source.status in (states.UPLOADING, states.AWAITING_UPLOAD) and job.upload is not None:
        view["upload"] = job.upload
    if source.status == states.PROCESSING:
        eta = _eta_seconds(source)
        if eta is not None:
            view["eta_seconds"] = eta
    if has_result(source):
        view["result_url"] = f"/jobs/{source.id}/result"
    return view


def _shown(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters without what only the receiver of a webhook should know."""
    url = parameters.get("webhook_url")
    return {**parameters, "webhook_url": f"{origin_of(url)}/…"} if url else parameters


def has_result(job: Job) -> bool:
    """Whether ``GET /jobs/{id}/result`` answers: always when completed, and after a failure if
    anything was read before it."""
    if job.status == states.COMPLETED:
        return True
    return job.status == states.FAILED and job.video is not None and job.merged_segments > 0


def _eta_seconds(job: Job) -> float | None:
    if job.started_at is None or job.progress <= 0:
        return None
    # Both times are the database's. This process's clock may be another one.
    elapsed = (job.updated_at - job.started_at).total_seconds()
    return round(elapsed * (1 - job.progress) / job.progress, 1)


def plate_view(plate: Plate) -> dict[str, Any]:
    """A plate as it stands in results, lists, searches and events."""
    view: dict[str, Any] = {
        "plate_id": str(plate.id),
        "job_id": str(plate.job_id),
        "text": plate.text,
        **{key: value for key, value in plate.details.items() if key != "text"},
        "crop_url": f"/plates/{plate.id}/crop.jpg",
        "frame_url": f"/plates/{plate.id}/frame.jpg",
    }
    if plate.corrected_at is not None:
        view["correction"] = {
            "machine_text": plate.read_text,
            "by": plate.corrected_by,
            "at": rfc3339(plate.corrected_at),
        }
    return view


def unread_view(track: UnreadTrack) -> dict[str, Any]:
    """A plate that was seen and not read."""
    return {
        "track_id": track.track_id,
        **track.details,
        "crop_url": f"/jobs/{track.job_id}/unread/{track.track_id}.jpg",
    }


def result_view(job: Job, plates: list[Plate], unread: list[UnreadTrack]) -> dict[str, Any]:
    """A job's whole result, as ``GET /jobs/{id}/result`` gives it."""
    video = dict(job.video or {})
    seconds = None
    if job.started_at and job.completed_at:
        seconds = round((job.completed_at - job.started_at).total_seconds(), 3)
    return {
        "job_id": str(job.id),
        "video": {
            "filename": job.filename,
            "size": job.file_size,
            "sha256": job.input_sha256,
            **{
                name: video.get(name)
                for name in (
                    "container", "codec", "width", "height", "rotation", "fps",
                    "duration_seconds", "total_frames",
                )
            },
        },
        "statistics": {
            "processed_frames": job.frames_done,
            "frames_with_detections": job.frames_with_detections,
            "total_detections": job.detections,
            "unique_plates": len(plates),
            "unread_tracks": len(unread),
            "processing_time_seconds": seconds,
            "average_fps": round(job.frames_done / seconds, 2) if seconds else None,
        },
        "plates": [
            {key: value for key, value in plate_view(plate).items() if key != "job_id"}
            for plate in plates
        ],
        "unread": [unread_view(track) for track in unread],
        "problems": job.problems,
        "parameters": _shown(job.parameters),
        "provenance": {
            "software": job.software,
            "models": job.models,
            "input_sha256": job.input_sha256,
        },
    }  # fmt: skip


def evidence_prefix(video_prefix: str, job_id: uuid.UUID) -> str:
    """Where a job's pictures lie in storage."""
    return f"{video_prefix}evidence/{job_id}/"


def redacted_prefix(video_prefix: str, job_id: uuid.UUID) -> str:
    """Where the copy of a job's video without plates lies in storage."""
    return f"{video_prefix}redacted/{job_id}/"
