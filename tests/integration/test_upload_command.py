"""``detect-api upload`` against a real API and real storage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from detect_api.db.tables import Job
from tests.integration.conftest import Api
from tests.integration.lines import MIB, Line, digest

pytestmark = pytest.mark.timeout(300)

COMMAND = """
import signal
from detect_api.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The tests may inherit an ignored Ctrl-C; a terminal's programs do not."""


def command(to: str, tmp_path: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """The command in a process of its own, with this test's folder for unfinished uploads."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "upload", *map(str, arguments), "--no-wait",
         "--url", to],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def lines_of(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """What it printed, a line for each file by name, and what it said."""
    out, said = process.communicate(timeout=120)
    lines = [json.loads(text) for text in out.splitlines()]
    return {Path(found["file"]).name: found for found in lines}, said


def test_several_videos_go_at_once_and_each_is_a_line(
    line: Line, tmp_path: Path, video: Path
) -> None:
    small = tmp_path / "small.mp4"
    small.write_bytes(os.urandom(MIB))
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    files = (video, small, text, tmp_path / "none.mp4")
    process = command(line.to_api.url, tmp_path, *files, "--json", "--no-auto-process")
    found, _ = lines_of(process)
    assert process.returncode == 1, "two of them failed"
    assert set(found) == {"large.mp4", "small.mp4", "notes.txt", "none.mp4"}
    assert line.stored(found["large.mp4"]["s3_key"]) == digest(video)
    assert line.stored(found["small.mp4"]["s3_key"]) == digest(small)
    assert found["notes.txt"]["error"]["code"] == "not_a_video"
    assert found["none.mp4"]["error"]["code"] == "file"


def test_a_webhook_is_named_to_the_server(telling_api: Api, tmp_path: Path) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(os.urandom(MIB))
    url = "https://example.com/plates-are-there"
    process = command(telling_api.url, tmp_path, video, "--json", "--webhook-url", url)
    found, said = lines_of(process)
    assert process.returncode == 0, said
    with telling_api.parts.sessions() as session:
        job = session.get(Job, uuid.UUID(found["small.mp4"]["job_id"]))
    assert job is not None
    assert job.parameters["webhook_url"] == url


def test_after_ctrl_c_the_same_command_goes_on(line: Line, tmp_path: Path, video: Path) -> None:
    line.to_store.pause = 0.01
    arguments = (video, "--json", "--no-auto-process")
    process = command(line.to_api.url, tmp_path, *arguments)
    end = time.monotonic() + 60
    while line.to_store.received < 4 * MIB:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    found, said = lines_of(process)
    assert process.returncode == 130
    assert "The same command goes on" in said
    assert "Traceback" not in said
    assert found["large.mp4"]["error"]["code"] == "interrupted"
    (state,) = (tmp_path / "home" / "detect-api" / "uploads").glob("*.json")
    upload_id = json.loads(state.read_text())["upload_id"]
    line.to_store.reset()
    process = command(line.to_api.url, tmp_path, *arguments)
    found, _ = lines_of(process)
    assert process.returncode == 0
    assert found["large.mp4"]["job_id"] == upload_id
    assert line.stored(found["large.mp4"]["s3_key"]) == digest(video)
    assert not state.exists()
