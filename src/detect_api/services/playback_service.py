"""What it takes to look at a job's video: its bytes, and where each plate is in which frame."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, null, select, union_all
from sqlalchemy.orm import Session

from detect_api.core.errors import (
    Conflict,
    Gone,
    InvalidRequest,
    ObjectChanged,
    ObjectMissing,
)
from detect_api.core.ids import IMAGE_TYPES, VIDEO_TYPES, extension_of
from detect_api.db.tables import Job, Plate, UnreadTrack
from detect_api.jobs import states
from detect_api.jobs.views import unread_view
from detect_api.services.paging import Page
from detect_api.services.result_service import processed_job
from detect_api.services.s3_service import VIDEO_TYPE
from detect_api.storage.base import ObjectInfo, ObjectStore

MOST_FRAMES = 3000
"""Frames that one answer with tracks covers."""

LAST_FRAME = 2**31 - 2
"""No video has more, and the database counts no further."""

MOST_TRACKS = 1000
"""Tracks that one answer holds."""


@dataclass(frozen=True)
class StoredVideo:
    """A video that can be played, and the type under which browsers are told of it."""

    found: ObjectInfo
    content_type: str


def video_of(session: Session, job_id: uuid.UUID) -> Job:
    """The job whose video it is. Raises NotFound, Conflict while it has not arrived, and Gone."""
    job = processed_job(session, job_id)
    if job.status in (states.AWAITING_UPLOAD, states.UPLOADING):
        raise Conflict(
            "The video is still being uploaded: play it when it is there.", code="not_finished"
        )
    if job.video_deleted_at is not None:
        raise Gone("The video was deleted after it had been processed.", code="video_deleted")
    if job.object_key is None:
        raise _never_came()
    return job


def stored(store: ObjectStore, job: Job) -> StoredVideo:
    """The job's video as it lies in storage.

    Raises Gone or Conflict if it is not there, ObjectChanged if it is no longer the one that was
    read, StorageError.
    """
    assert job.object_key is not None
    try:
        found = store.head(job.object_key)
    except ObjectMissing:
        if job.type == "upload" or job.object_etag is None:
            raise _never_came() from None
        raise Gone("The video was deleted from storage.", code="video_deleted") from None
    if job.object_etag is not None and job.object_etag != found.etag:
        raise ObjectChanged("The video was overwritten after it had been read: process it again.")
    return StoredVideo(found, _shown_as(job.object_key, job.content_type or found.content_type))


def _shown_as(key: str, claimed: str) -> str:
    """The type under which an object is sent, never one that could run scripts on our address.

    What a client called its file counts only where the name does not tell.
    """
    known = {**VIDEO_TYPES, **IMAGE_TYPES}.get(extension_of(key))
    return known or (claimed if VIDEO_TYPE.fullmatch(claimed) else "application/octet-stream")


def _never_came() -> Conflict:
    return Conflict("The video of this job never arrived: upload it again.", code="video_missing")


def tracks(session: Session, job_id: uuid.UUID, first: int, end: int | None) -> dict[str, Any]:
    """Where each plate, read or not, is in the frames from ``first`` up to ``end``.

    Covers ``MOST_FRAMES`` frames and ``MOST_TRACKS`` tracks at most: ``to`` says up to which frame
    the answer goes, and the next one is asked for from there. Raises NotFound, InvalidRequest.
    """
    end = min(LAST_FRAME + 1 if end is None else end, first + MOST_FRAMES, LAST_FRAME + 1)
    if end <= first:
        raise InvalidRequest("'to' must be greater than 'from'.", code="bad_frames")
    job = processed_job(session, job_id)
    rows = session.execute(_tracks_in(job.id, first, end)).all()
    if len(rows) > MOST_TRACKS:
        end = max(first + 1, rows[MOST_TRACKS].first_frame)
        rows = rows[:MOST_TRACKS]
    video = job.video
    return {
        "job_id": str(job.id),
        "video": {name: video.get(name) for name in _SHOWN} if video else None,
        "from": first,
        "to": end,
        "tracks": [_track(row, first, end) for row in rows if row.first_frame < end],
    }


_SHOWN = ("container", "codec", "width", "height", "fps", "duration_seconds", "total_frames")


def _tracks_in(job_id: uuid.UUID, first: int, end: int) -> Any:
    """Plates and unread tracks that are seen in these frames, in order of their first one."""

    def seen(details: Any, name: str) -> Any:
        return details[(name, "frame")].astext.cast(Integer)

    read = select(
        Plate.track_id,
        Plate.first_frame,
        Plate.id,
        Plate.text,
        Plate.confidence,
        Plate.details,
        Plate.path,
    ).where(
        Plate.job_id == job_id,
        Plate.first_frame < end,
        seen(Plate.details, "last_seen") >= first,
    )
    began = seen(UnreadTrack.details, "first_seen")
    unread = select(
        UnreadTrack.track_id,
        began.label("first_frame"),
        null().cast(Plate.id.type).label("id"),
        null().cast(Plate.text.type).label("text"),
        null().cast(Plate.confidence.type).label("confidence"),
        UnreadTrack.details,
        UnreadTrack.path,
    ).where(
        UnreadTrack.job_id == job_id,
        began < end,
        seen(UnreadTrack.details, "last_seen") >= first,
    )
    both = union_all(read, unread).subquery()
    return select(both).order_by(both.c.first_frame, both.c.track_id).limit(MOST_TRACKS + 1)


def _track(row: Any, first: int, end: int) -> dict[str, Any]:
    details = row.details
    path = row.path or _best_alone(details["best"])
    low, high = _around(path["frames"], first, end)
    return {
        "track_id": row.track_id,
        "plate_id": str(row.id) if row.id else None,
        "text": row.text,
        "confidence": row.confidence,
        "reason": details.get("reason"),
        "first_seen": details["first_seen"],
        "last_seen": details["last_seen"],
        "frames": path["frames"][low:high],
        "seconds": path["seconds"][low:high],
        "boxes": path["boxes"][low:high],
        "thinned": path["thinned"],
    }


def _best_alone(best: dict[str, Any]) -> dict[str, Any]:
    """The path of a track from a version that kept none: the one place that is known."""
    box = best["bbox"]
    return {
        "frames": [best["frame"]],
        "seconds": [best["seconds"]],
        "boxes": [[round(box[side], 1) for side in ("x1", "y1", "x2", "y2")]],
        "thinned": False,
    }


def _around(frames: list[int], first: int, end: int) -> tuple[int, int]:
    """The slice of the places in these frames, with a neighbour on either side.

    The neighbours tell where the plate is between the last place before and the first one inside.
    """
    inside = [place for place, frame in enumerate(frames) if first <= frame < end]
    if inside:
        return max(0, inside[0] - 1), min(len(frames), inside[-1] + 2)
    before = sum(frame < first for frame in frames)
    return max(0, before - 1), min(len(frames), before + 1)


def unread_page(session: Session, job_id: uuid.UUID, cursor: str | None, limit: int) -> Page:
    """The plates so far that were seen and not read, in the order in which that was decided.

    Raises NotFound and InvalidRequest.
    """
    job = processed_job(session, job_id)
    query = select(UnreadTrack).where(UnreadTrack.job_id == job.id)
    if cursor is not None:
        if not re.fullmatch(r"t[0-9]{1,9}", cursor):
            raise InvalidRequest(
                "The cursor is not one of ours: pass next_cursor of the page before as it is.",
                code="bad_cursor",
            )
        query = query.where(UnreadTrack.track_id > int(cursor[1:]))
    rows = list(session.scalars(query.order_by(UnreadTrack.track_id).limit(limit + 1)))
    more = len(rows) > limit
    return Page(
        [unread_view(row) for row in rows[:limit]], f"t{rows[limit - 1].track_id}" if more else None
    )
