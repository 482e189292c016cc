"""Identifiers: what is random, and what follows from something else."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath

_PLATE_NAMESPACE = uuid.UUID("5c6f5a0e-6c1b-4f0e-9a53-0d2f3c1f7a11")

VIDEO_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".flv": "video/x-flv",
    ".ts": "video/mp2t",
    ".m2ts": "video/mp2t",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}
"""File extensions that are taken for video, with their media types."""

IMAGE_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}
"""File extensions that are taken for still images, with their media types."""


def new_id() -> uuid.UUID:
    """A random id that cannot be guessed."""
    return uuid.uuid4()


def plate_id(job_id: uuid.UUID, track_id: int) -> uuid.UUID:
    """The id of a track's plate: always the same for the same job and track.

    A merge that is repeated after a crash therefore writes the same rows and pictures again.
    """
    return uuid.uuid5(_PLATE_NAMESPACE, f"{job_id}/{track_id}")


def extension_of(filename: str) -> str:
    """The lower-case extension of a client's file name, with its dot; "" if there is none."""
    return PurePosixPath(filename.replace("\\", "/")).suffix.lower()
