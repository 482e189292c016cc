"""A copy of a video without plates, made by a real worker, also over its death."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from detect_api.cli.local_run import read_video
from detect_api.client import Client
from detect_api.core.config import Settings
from detect_api.local.stack import Stack
from detect_api.vision.types import Parameters
from tests.processing import EVERY_OTHER, Sample, ended

pytestmark = pytest.mark.timeout(400)


def redacted(stack: Stack, job_id: str) -> dict[str, Any]:
    answer = httpx.get(f"{stack.api_url}/jobs/{job_id}/redacted", timeout=30)
    view: dict[str, Any] = answer.raise_for_status().json()
    return view


def test_a_copy_has_all_frames_and_no_plate_and_goes_with_its_job(
    stack: Stack, client: Client, sample: Sample, tmp_path: Path
) -> None:
    job_id = client.process(sample.path, EVERY_OTHER)["job_id"]
    job = ended(client, job_id)
    url = f"{stack.api_url}/jobs/{job_id}/redacted"
    assert httpx.get(url).json()["code"] == "redaction_not_found"
    asked = httpx.post(url)
    assert asked.status_code == 202, asked.text
    end = time.monotonic() + 200
    killed = False
    while (view := redacted(stack, job_id))["status"] not in ("completed", "failed"):
        assert time.monotonic() < end, view
        if view["status"] == "processing" and not killed:
            os.kill(stack.pid_of("worker-0"), signal.SIGKILL)
            killed = True
        time.sleep(0.05)
    assert view["status"] == "completed", view
    assert killed
    total = job["frames"]["total"]
    assert view["frames"]["missing"] == 0
    assert httpx.post(url).json() == view, "asking again changes nothing"

    path = tmp_path / "copy.webm"
    video = httpx.get(f"{stack.api_url}{view['video_url']}", follow_redirects=True, timeout=60)
    path.write_bytes(video.raise_for_status().content)
    assert len(video.content) == view["size"]
    found = read_video(
        path, Parameters(), Settings(_env_file=None), lambda _done, _total, _words: None
    )
    assert found["video"]["codec"] == "vp9"
    assert found["statistics"]["processed_frames"] == view["frames"]["total"] >= total
    assert found["plates"] == []
    assert found["unread"] == []

    assert httpx.delete(f"{stack.api_url}/jobs/{job_id}").status_code == 200
    gone = httpx.get(video.url, timeout=60)
    assert gone.status_code == 404


def test_a_copy_is_made_of_a_video_that_was_read_to_its_end(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.api_url}/process/video/upload/s3/presigned-url",
        json={"filename": "a.mp4", "content_type": "video/mp4", "file_size": 10},
    ).json()
    refused = httpx.post(f"{stack.api_url}/jobs/{answer['job_id']}/redacted")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_finished")
