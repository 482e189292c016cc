"""Bodies for looking at a job's video."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from detect_api.api.schemas.base import Response
from detect_api.api.schemas.plates import Moment, Unread
from detect_api.api.schemas.video import JOB


class Picture(Response):
    """The video as it is shown: upright, its size in pixels."""

    container: str | None
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None
    duration_seconds: float | None
    total_frames: int | None


class Track(Response):
    """Where one plate is. ``frames``, ``seconds`` and ``boxes`` (x1, y1, x2, y2) run in step."""

    track_id: int
    plate_id: str | None
    text: str | None
    confidence: float | None
    reason: str | None
    first_seen: Moment
    last_seen: Moment
    frames: list[int]
    seconds: list[float]
    boxes: list[list[float]]
    thinned: bool


class Tracks(Response):
    """The tracks in the frames ``from`` … ``to - 1``; ask on from ``to``."""

    job_id: str
    video: Picture | None
    first: int = Field(alias="from")
    to: int
    tracks: list[Track]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB,
                "video": {
                    "container": "mov",
                    "codec": "h264",
                    "width": 1920,
                    "height": 1080,
                    "fps": 29.97,
                    "duration_seconds": 133.5,
                    "total_frames": 4000,
                },
                "from": 120,
                "to": 240,
                "tracks": [
                    {
                        "track_id": 1,
                        "plate_id": "0a3f8f0e-6a3e-5f0c-9a53-0d2f3c1f7a11",
                        "text": "AB12CDE",
                        "confidence": 0.97,
                        "reason": None,
                        "first_seen": {"frame": 120, "seconds": 4.0},
                        "last_seen": {"frame": 122, "seconds": 4.07},
                        "frames": [120, 122],
                        "seconds": [4.0, 4.07],
                        "boxes": [[812.0, 540.5, 934.0, 572.0], [811.2, 543.1, 935.0, 575.4]],
                        "thinned": False,
                    }
                ],
            }
        }
    )


class UnreadList(Response):
    """A page of plates that were seen and not read."""

    unread: list[Unread]
    next_cursor: str | None
