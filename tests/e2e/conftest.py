"""The sample clip, and a client for the running stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detect_api.client import Client
from detect_api.local.sample import make_sample
from detect_api.local.stack import Stack


@dataclass(frozen=True)
class Sample:
    """A clip and the plates that were put into it."""

    path: Path
    plates: list[str]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The clip that the demo shows."""
    path = tmp_path_factory.mktemp("sample") / "sample.mp4"
    return Sample(path, make_sample(path))


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """A client of the whole running service."""
    with Client(stack.api_url) as found:
        yield found


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
