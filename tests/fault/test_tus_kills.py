"""Resumable uploads outlive the API process that took their bytes, and go on in another one."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from detect_api.core.config import Settings
from detect_api.local.ports import listen
from detect_api.local.serve_api import DESCRIPTOR
from detect_api.storage import make_store

MIB = 2**20
PART = 8 * MIB
SIZE = 2 * PART + 3 * MIB
TUS = {"Tus-Resumable": "1.0.0"}


class Machine:
    """An API process that shares nothing with others but database and storage."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert settings.aws_secret_access_key
        environment = {
            **os.environ,
            "DATABASE_URL": settings.database_url or "",
            "DATA_DIR": str(folder),
            DESCRIPTOR: str(listener.fileno()),
            "S3_BUCKET_NAME": settings.s3_bucket_name or "",
            "S3_ENDPOINT_URL": settings.s3_endpoint_url or "",
            "AWS_ACCESS_KEY_ID": settings.aws_access_key_id or "",
            "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key.get_secret_value(),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "detect_api.local.serve_api"],
            env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )  # fmt: skip
        listener.close()

    def wait_until_ready(self) -> None:
        """Returns once it answers."""
        end = time.monotonic() + 90
        while True:
            try:
                httpx.get(f"{self.url}/health", timeout=5)
            except httpx.TransportError:
                assert time.monotonic() < end, "the API did not start"
                time.sleep(0.1)
            else:
                return

    def end(self) -> None:
        """Ends the process, whatever state it is in."""
        self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def shared(s3: Settings, database_url: str) -> Settings:
    return s3.model_copy(update={"database_url": database_url})


@contextmanager
def two_machines(settings: Settings, folder: Path) -> Iterator[tuple[Machine, Machine]]:
    for name in ("first", "second"):
        (folder / name).mkdir()
    first, second = Machine(settings, folder / "first"), Machine(settings, folder / "second")
    try:
        first.wait_until_ready()
        second.wait_until_ready()
        yield first, second
    finally:
        first.end()
        second.end()


def create(url: str) -> str:
    name = base64.b64encode(b"traffic.mp4").decode()
    headers = {**TUS, "Upload-Length": str(SIZE), "Upload-Metadata": f"filename {name}"}
    answer = httpx.post(f"{url}/uploads/tus", headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    location: str = answer.headers["Location"]
    return location


def patch(url: str, offset: int, content: bytes | Iterator[bytes]) -> httpx.Response:
    headers = {
        **TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream",
    }  # fmt: skip
    return httpx.patch(url, headers=headers, content=content, timeout=90)


def offset_of(url: str) -> int:
    answer = httpx.head(url, headers=TUS, timeout=90)
    assert answer.status_code == 200, answer.status_code
    return int(answer.headers["Upload-Offset"])


def received(url: str, job_id: str) -> int:
    upload = httpx.get(f"{url}/jobs/{job_id}", timeout=60).json().get("upload") or {}
    return int(upload.get("bytes_received", 0))


def test_an_upload_goes_on_elsewhere(shared: Settings, tmp_path: Path) -> None:
    body = os.urandom(SIZE)
    with two_machines(shared, tmp_path) as (first, second):
        location = create(first.url)
        job_id = location.rsplit("/", 1)[1]

        def send_until(start: int, end: int, fault: signal.Signals) -> None:
            """Sends bytes to the first machine, whose process is stopped in the middle."""

            def some() -> Iterator[bytes]:
                yield body[start:end]
                limit = time.monotonic() + 60
                while received(second.url, job_id) < end - MIB:
                    assert time.monotonic() < limit
                    time.sleep(0.1)
                first.process.send_signal(fault)
                raise ConnectionAbortedError

            with pytest.raises((httpx.TransportError, ConnectionAbortedError)):
                patch(first.url + location, start, some())

        # A piece first, so that the part begins with one; then the process freezes.
        assert patch(first.url + location, 0, body[:MIB]).status_code == 204
        send_until(MIB, PART + 2 * MIB, signal.SIGSTOP)
        assert offset_of(second.url + location) == PART, "whole parts, and no piece"
        at = PART + 3 * MIB
        assert patch(second.url + location, PART, body[PART:at]).status_code == 204
        first.process.send_signal(signal.SIGCONT)
        time.sleep(1.5)  # for it to write what it has, if it would
        assert offset_of(second.url + location) == at
        # The same process may go on; and it is killed.
        send_until(at, 2 * PART + 2 * MIB, signal.SIGKILL)
        assert offset_of(second.url + location) == 2 * PART
        answer = patch(second.url + location, 2 * PART, body[2 * PART :])
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(SIZE))
        job = httpx.get(f"{second.url}/jobs/{job_id}", timeout=60).json()
        assert (job["status"], job["file_size"]) == ("pending", SIZE)
        assert make_store(shared).read_range(job["s3_key"], 0, SIZE) == body
