"""What the tests that process videos share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_api.cli.local_run import read_video
from detect_api.client import Client
from detect_api.core.config import Settings
from detect_api.vision.types import Parameters

EVERY_OTHER: dict[str, Any] = {"frame_skip": 2}
"""Enough frames for every plate, in half of the time."""


@dataclass(frozen=True)
class Sample:
    """A clip and the plates that were put into it, in order."""

    path: Path
    plates: list[str]


def ended(client: Client, job_id: str) -> dict[str, Any]:
    """The job, once it has ended."""
    for _ in client.follow(job_id):
        pass
    return client.job(job_id)


def essence(result: dict[str, Any]) -> dict[str, Any]:
    """What must be the same however and wherever a video was read: all but ids, URLs, times."""
    own = ("plate_id", "job_id", "crop_url", "frame_url", "track_id")
    statistics = {
        name: value
        for name, value in result["statistics"].items()
        if name not in ("processing_time_seconds", "average_fps")
    }
    return {
        "plates": [{k: v for k, v in p.items() if k not in own} for p in result["plates"]],
        "unread": [{k: v for k, v in u.items() if k not in own} for u in result["unread"]],
        "statistics": statistics,
        "video": {k: v for k, v in result["video"].items() if k != "filename"},
    }


def read_locally(path: Path, segment_seconds: float, **parameters: Any) -> dict[str, Any]:
    """The result of the pipeline in this process, cut into segments of this length."""
    settings = Settings(_env_file=None, segment_seconds=segment_seconds)
    return read_video(path, Parameters(**parameters), settings, _nothing)


def _nothing(_done: int, _total: int, _words: str) -> None:
    """A progress that nobody looks at."""
