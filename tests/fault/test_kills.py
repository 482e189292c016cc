"""kill -9 of any part while a video is read: the result is the undisturbed one, once."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from detect_api.client import Client, ClientError
from detect_api.local.stack import Stack
from tests.processing import EVERY_OTHER, Sample, essence

pytestmark = pytest.mark.timeout(400)

PARTS = ("worker-0", "storage", "postgres", "api")


def patiently(client: Client, job_id: str) -> dict[str, Any]:
    """The job, or {} while the service is down."""
    try:
        return client.job(job_id)
    except ClientError as error:
        assert not error.refused, error
        return {}


def wait_for(
    stack: Stack, client: Client, job_id: str, condition: Any, seconds: float = 200
) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while not condition(job := patiently(client, job_id)):
        assert time.monotonic() < end, f"{job}\n{worker_log(stack)}"
        time.sleep(0.1)
    return job


def worker_log(stack: Stack) -> str:
    """The end of what the worker wrote, for a test that failed."""
    return (stack.layout.logs / "worker-0.log").read_text()[-6000:]


def is_over(job: dict[str, Any]) -> bool:
    return job.get("status") in ("completed", "failed", "cancelled")


def whole_result(client: Client, job_id: str) -> dict[str, Any]:
    """The result, once the service answers again."""
    end = time.monotonic() + 60
    while True:
        try:
            return client.result(job_id)
        except ClientError as error:
            assert not error.refused, error
            assert time.monotonic() < end
            time.sleep(0.2)


@pytest.mark.parametrize("part", PARTS)
def test_killing_a_part_in_the_middle_changes_nothing(
    stack: Stack, client: Client, sample: Sample, reference: dict[str, Any], part: str
) -> None:
    created = client.process(sample.path, EVERY_OTHER)
    wait_for(
        stack, client, created["job_id"], lambda job: job.get("frames", {}).get("done", 0) >= 10
    )
    os.kill(stack.pid_of(part), signal.SIGKILL)
    job = wait_for(stack, client, created["job_id"], is_over)
    assert job["status"] == "completed", job
    assert essence(whole_result(client, created["job_id"])) == essence(reference)


def test_many_kills_at_random_moments_change_nothing(
    stack: Stack, client: Client, sample: Sample, reference: dict[str, Any]
) -> None:
    rng = random.Random(20261122)
    created = client.process(sample.path, EVERY_OTHER)
    for _ in range(5):
        time.sleep(rng.uniform(0.3, 4.0))
        part = rng.choice(PARTS)
        try:
            os.kill(stack.pid_of(part), signal.SIGKILL)
        except (KeyError, ProcessLookupError, RuntimeError):
            continue  # it is just being started again
    job = wait_for(stack, client, created["job_id"], is_over)
    assert job["status"] == "completed", job
    assert essence(whole_result(client, created["job_id"])) == essence(reference)


def test_a_frozen_worker_that_comes_back_does_no_harm(
    stack: Stack, client: Client, sample: Sample, reference: dict[str, Any]
) -> None:
    created = client.process(sample.path, EVERY_OTHER)
    wait_for(
        stack, client, created["job_id"], lambda job: job.get("frames", {}).get("done", 0) >= 5
    )
    pid = stack.pid_of("worker-0")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(12)
    os.kill(pid, signal.SIGCONT)
    job = wait_for(stack, client, created["job_id"], is_over)
    assert job["status"] == "completed", job
    assert essence(whole_result(client, created["job_id"])) == essence(reference)


def test_a_killed_worker_takes_its_decoding_child_with_it(
    stack: Stack, client: Client, sample: Sample
) -> None:
    worker = psutil.Process(stack.pid_of("worker-0"))
    created = client.process(sample.path, EVERY_OTHER)
    end = time.monotonic() + 30
    while not (children := worker.children(recursive=True)):
        assert time.monotonic() < end, "a child decodes"
        time.sleep(0.01)
    worker.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    client.cancel(created["job_id"])


def test_a_decoder_that_is_killed_costs_nothing_but_time(
    stack: Stack, client: Client, sample: Sample, reference: dict[str, Any]
) -> None:
    created = client.process(sample.path, EVERY_OTHER)
    wait_for(
        stack, client, created["job_id"], lambda job: job.get("frames", {}).get("done", 0) >= 5
    )
    end = time.monotonic() + 30
    while not kill_a_decoder(stack):
        assert time.monotonic() < end
    job = wait_for(stack, client, created["job_id"], is_over)
    assert job["status"] == "completed", job
    assert essence(whole_result(client, created["job_id"])) == essence(reference)


def kill_a_decoder(stack: Stack) -> bool:
    """Kills a decoding child of the worker; False if there was none just then."""
    for child in psutil.Process(stack.pid_of("worker-0")).children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
        return True
    return False


def test_an_upload_whose_api_dies_ends_as_failed_and_leaves_nothing(
    stack: Stack, client: Client
) -> None:
    address = urlsplit(stack.api_url)
    job_id = str(uuid.uuid4())
    head = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
        b"Content-Type: video/mp4\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as sender:
        sender.sendall(
            "POST /process/video/upload/async HTTP/1.1\r\n"
            f"Host: localhost\r\nX-Job-ID: {job_id}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(head) + 40_000_000}\r\n\r\n".encode()
            + head
            + bytes(18_000_000)
        )
        wait_for(stack, client, job_id, lambda job: job.get("progress", 0) > 0.2)
        os.kill(stack.pid_of("api"), signal.SIGKILL)
    job = wait_for(stack, client, job_id, is_over, seconds=90)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "upload_broken"
    form = httpx.post(
        f"{stack.api_url}/process/video/s3", json={"s3_key": job["s3_key"]}, timeout=30
    )
    assert form.status_code == 404


def test_a_database_that_is_away_is_an_error_that_says_so(stack: Stack, client: Client) -> None:
    os.kill(stack.pid_of("postgres"), signal.SIGKILL)
    seen = set()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = httpx.get(f"{stack.api_url}/jobs", timeout=40)
        seen.add(answer.status_code)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 200:
            break
        assert answer.json()["code"] == "database_unavailable"
        time.sleep(0.05)
    assert 200 in seen
