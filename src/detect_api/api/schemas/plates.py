"""Bodies that hold plates."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from detect_api.api.schemas.base import PlainText, Request, Response
from detect_api.api.schemas.video import JOB

PLATE_EXAMPLE: dict[str, Any] = {
    "plate_id": "0a3f8f0e-6a3e-5f0c-9a53-0d2f3c1f7a11",
    "text": "AB12CDE",
    "confidence": 0.97,
    "candidates": [{"text": "AB12CDE", "confidence": 0.97}],
    "characters": [{"char": "A", "confidence": 0.99}],
    "first_seen": {"frame": 120, "seconds": 4.0},
    "last_seen": {"frame": 168, "seconds": 5.6},
    "observations": 25,
    "direction": "down",
    "best": {
        "frame": 150,
        "seconds": 5.0,
        "bbox": {"x1": 812.0, "y1": 540.5, "x2": 934.0, "y2": 572.0},
        "detection_confidence": 0.93,
    },
    "crop_url": "/plates/0a3f8f0e-6a3e-5f0c-9a53-0d2f3c1f7a11/crop.jpg",
    "frame_url": "/plates/0a3f8f0e-6a3e-5f0c-9a53-0d2f3c1f7a11/frame.jpg",
}


class Moment(Response):
    """A frame and the container's presentation time."""

    frame: int
    seconds: float


class Candidate(Response):
    """A text that the plate may bear."""

    text: str
    confidence: float


class Character(Response):
    """One character of the text."""

    char: str
    confidence: float


class BoundingBox(Response):
    """Pixels of the upright frame, from its top left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class Best(Moment):
    """Where the text was read best; the pictures show this frame."""

    bbox: BoundingBox
    detection_confidence: float


class Correction(Response):
    """A person's correction; what the machine read stays."""

    machine_text: str
    by: str | None
    at: str


class Plate(Response):
    """One pass of one vehicle, decided by all its frames."""

    plate_id: str
    job_id: str | None = None
    text: str
    confidence: float
    candidates: list[Candidate]
    characters: list[Character]
    region: str | None = None
    first_seen: Moment
    last_seen: Moment
    observations: int
    direction: str | None = None
    best: Best
    crop_url: str
    frame_url: str
    correction: Correction | None = None

    model_config = ConfigDict(json_schema_extra={"example": PLATE_EXAMPLE})


class PlateList(Response):
    """A page of plates."""

    plates: list[Plate]
    next_cursor: str | None


class Unread(Response):
    """A plate that was seen and not read, and why."""

    track_id: int
    first_seen: Moment
    last_seen: Moment
    observations: int
    reason: str
    best: Best
    crop_url: str


class PlateCorrection(Request):
    """What a person read."""

    text: str = Field(min_length=1, max_length=32)
    by: PlainText | None = Field(None, max_length=200, description="Who corrected it.")

    model_config = ConfigDict(json_schema_extra={"example": {"text": "AB12CDF", "by": "kim"}})


class Video(Response):
    """The video that was read."""

    filename: str | None
    size: int | None
    sha256: str | None
    container: str | None
    codec: str | None
    width: int | None
    height: int | None
    rotation: int | None
    fps: float | None
    duration_seconds: float | None
    total_frames: int | None


class Statistics(Response):
    """What reading it took and gave."""

    processed_frames: int
    frames_with_detections: int
    total_detections: int
    unique_plates: int
    unread_tracks: int
    processing_time_seconds: float | None
    average_fps: float | None


class Result(Response):
    """A job's whole result. ``provenance`` is what is needed to get it again."""

    job_id: str
    video: Video
    statistics: Statistics
    plates: list[Plate]
    unread: list[Unread]
    problems: list[str]
    parameters: dict[str, Any]
    provenance: dict[str, Any]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB,
                "video": {
                    "filename": "traffic_video.mp4",
                    "size": 187000000,
                    "sha256": "9f86d081…",
                    "container": "mov,mp4,m4a,3gp,3g2,mj2",
                    "codec": "h264",
                    "width": 1920,
                    "height": 1080,
                    "rotation": 0,
                    "fps": 29.97,
                    "duration_seconds": 133.5,
                    "total_frames": 4000,
                },
                "statistics": {
                    "processed_frames": 2000,
                    "frames_with_detections": 180,
                    "total_detections": 201,
                    "unique_plates": 1,
                    "unread_tracks": 0,
                    "processing_time_seconds": 61.2,
                    "average_fps": 32.7,
                },
                "plates": [PLATE_EXAMPLE],
                "unread": [],
                "problems": [],
                "parameters": {"frame_skip": 2},
                "provenance": {
                    "software": "detect-api 0.1.0",
                    "models": [{"name": "detector", "sha256": "4d1c…", "precision": "int8"}],
                    "input_sha256": "9f86d081…",
                },
            }
        }
    )
