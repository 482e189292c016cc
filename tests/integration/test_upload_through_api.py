"""Method 2: the video streams through the API into storage."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import Api

URL = "/process/video/upload/async"


def send(
    api: Api, body: bytes, name: str = "traffic.mp4", headers: dict[str, str] | None = None,
    **fields: str,
) -> httpx.Response:  # fmt: skip
    return httpx.post(
        api.url + URL,
        files={"file": (name, body, "video/mp4")},
        data=fields,
        headers=headers,
        timeout=60,
    )


def stored(api: Api, job: dict[str, Any]) -> bytes:
    return api.parts.store.read_range(job["s3_key"], 0, job["file_size"])


@pytest.mark.parametrize("size", [1, 65536, 8 * 2**20, 8 * 2**20 + 1, 17_000_003])
def test_every_byte_arrives_whatever_the_size(api: Api, size: int) -> None:
    body = os.urandom(size)
    answer = send(api, body, frame_skip="2", start_frame="5")
    assert answer.status_code == 200, answer.text
    created = answer.json()
    assert created["message"] == (
        f"Video processing job created ({size / 2**20:.2f}MB uploaded). "
        "Use the job_id to check status."
    )
    job = api.job(created["job_id"])
    assert job["status"] == "pending"
    assert job["parameters"]["frame_skip"] == 2
    assert job["parameters"]["start_frame"] == 5
    assert stored(api, job) == body
    assert api.queued(created["job_id"]) == ["plan"]


def test_without_s3_the_file_lies_in_the_data_directory(api_without_s3: Api) -> None:
    body = os.urandom(9_000_000)
    created = send(api_without_s3, body).json()
    job = api_without_s3.job(created["job_id"])
    assert stored(api_without_s3, job) == body
    found = [
        path
        for path in api_without_s3.parts.settings.data_dir.rglob("*.mp4")
        if path.stat().st_size == len(body)
    ]
    assert len(found) == 1
    api_without_s3.client.delete(f"/jobs/{created['job_id']}")
    assert not found[0].exists()


def test_fields_may_come_after_the_file(api: Api) -> None:
    boundary = "xyz"
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
        "Content-Type: video/mp4\r\n\r\nDATA\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="frame_skip"\r\n\r\n7\r\n'
        f"--{boundary}--\r\n"
    )
    answer = api.client.post(
        URL,
        content=parts,
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    assert answer.status_code == 200, answer.text
    assert api.job(answer.json()["job_id"])["parameters"]["frame_skip"] == 7


class SlowUpload:
    """A raw upload whose bytes come when the test says so."""

    def __init__(self, api: Api, size: int, job_id: str) -> None:
        address = urlsplit(api.url)
        assert address.hostname
        assert address.port
        head = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
            b"Content-Type: video/mp4\r\n\r\n"
        )
        self.tail = b"\r\n--b--\r\n"
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        self.socket.sendall(
            (
                f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nX-Job-ID: {job_id}\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n"
                f"Content-Length: {len(head) + size + len(self.tail)}\r\n\r\n"
            ).encode()
            + head
        )

    def send(self, body: bytes) -> None:
        self.socket.sendall(body)

    def finish(self) -> bytes:
        self.socket.sendall(self.tail)
        return self.socket.recv(65536)

    def close(self) -> None:
        self.socket.close()


def test_progress_is_real_while_bytes_arrive(api: Api) -> None:
    job_id = str(uuid.uuid4())
    slow = SlowUpload(api, 8 * 2**20, job_id)
    slow.send(bytes(2**20))
    time.sleep(0.7)
    slow.send(bytes(3 * 2**20))
    deadline = time.monotonic() + 10
    while (job := api.job(job_id))["progress"] < 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert job["status"] == "uploading"
    assert job["progress"] == pytest.approx(job["upload"]["bytes_received"] / 2**23, abs=0.001)
    assert job["upload"]["bytes_total"] == 8 * 2**20
    assert re.fullmatch(
        r"Uploading: [34]\.\dMB \((3[789]|4\d|50)%\) at \d+\.\dMB/s - ETA: \d+s", job["message"]
    )
    slow.send(bytes(4 * 2**20))
    assert b"200 OK" in slow.finish()
    slow.close()
    assert api.job(job_id)["status"] == "pending"
    assert api.job(job_id)["progress"] == 0


def test_a_broken_connection_leaves_a_failed_job_and_no_file(api: Api) -> None:
    job_id = str(uuid.uuid4())
    slow = SlowUpload(api, 20 * 2**20, job_id)
    slow.send(bytes(9 * 2**20))
    slow.close()
    job = api.wait_for(job_id, "failed")
    assert job["error"]["code"] == "upload_broken"
    assert "Upload the file again" in job["error"]["detail"]
    assert job["s3_key"] not in api.objects()
    client = api.parts.store.client  # type: ignore[attr-defined]
    uploads = client.list_multipart_uploads(Bucket=api.parts.settings.s3_bucket_name)
    assert job["s3_key"] not in [u["Key"] for u in uploads.get("Uploads", [])]
    assert api.client.post(f"/jobs/{job_id}/retry").status_code == 409


def test_the_byte_that_passes_the_limit_is_refused(api: Api) -> None:
    def endless() -> Iterator[bytes]:
        yield (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
            b"Content-Type: video/mp4\r\n\r\n"
        )
        for _ in range(40):
            yield bytes(2**20)

    answer = httpx.post(
        api.url + URL,
        content=endless(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        timeout=60,
    )
    assert answer.status_code == 413
    assert "30000000 bytes" in answer.json()["detail"]


def test_a_body_that_is_too_large_by_its_length_is_refused_at_once(api: Api) -> None:
    answer = send(api, bytes(30_200_000))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("notes.txt", b"x", 400, "File must be a video (mp4, avi, mov, mkv, webm, flv)"),
        ("noextension", b"x", 400, "File must be a video"),
        ("a.mp4", b"", 400, "empty"),
    ],
)
def test_what_is_no_video_is_refused(
    api: Api, name: str, body: bytes, status: int, words: str
) -> None:
    before = api.objects()
    answer = httpx.post(api.url + URL, files={"file": (name, body)}, timeout=20)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert api.objects() == before


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", "multipart/form-data; boundary=b"),
        (b"garbage", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data; name=\"frame_skip\"\r\n\r\n1\r\n--b--\r\n",
         "multipart/form-data; boundary=b"),
        (b"x", "multipart/form-data"),
        (b"x", "application/json"),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nabc',
         "multipart/form-data; boundary=b"),
    ],
)  # fmt: skip
def test_a_malformed_form_is_refused(api: Api, content: bytes, content_type: str) -> None:
    answer = api.client.post(URL, content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


def test_bad_fields_are_refused_and_leave_nothing(api: Api) -> None:
    before = api.objects()
    answer = send(api, bytes(100), frame_skip="none")
    assert answer.status_code == 422
    assert "frame_skip" in answer.json()["detail"]
    assert send(api, bytes(100), unknown="1").status_code == 422
    assert api.objects() == before


def test_an_id_is_taken_once(api: Api) -> None:
    headers = {"X-Job-ID": str(uuid.uuid4())}
    first = send(api, b"first", headers=headers)
    assert first.json()["job_id"] == headers["X-Job-ID"]
    second = send(api, b"second", headers=headers)
    assert second.status_code == 409
    assert stored(api, api.job(headers["X-Job-ID"])) == b"first"
    assert api.job(headers["X-Job-ID"])["status"] == "pending"


def test_the_same_upload_sent_again_gives_the_first_answer(api: Api) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = os.urandom(100_000)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: send(api, body, headers=headers).json(), range(3)))
    assert len({answer["job_id"] for answer in answers}) == 1
    assert stored(api, api.job(answers[0]["job_id"])) == body
    other = send(api, b"other", headers=headers)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_refused_repetition_leaves_no_file(api: Api) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    assert send(api, b"video", headers=headers).status_code == 200
    job_id = str(uuid.uuid4())
    refused = send(api, b"video", headers={**headers, "X-Job-ID": job_id}, frame_skip="2")
    assert refused.status_code == 422
    from detect_api.jobs.sweep import sweep
    from detect_api.jobs.workshop import Workshop

    job = api.job(job_id)
    assert job["status"] == "failed"
    sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))
    assert job["s3_key"] not in api.objects()


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="file"; filename="a\0.mp4"\r\n',
        b'Content-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
        b"Content-Type: video/\xff\xfe\r\n",
        b'Content-Disposition: form-data; name="file"; filename="\xff.mp4"\r\n',
    ],
)
def test_odd_bytes_in_the_forms_headers_are_no_error_of_ours(api: Api, part: bytes) -> None:
    answer = api.client.post(
        URL,
        content=b"--b\r\n" + part + b"\r\nDATA\r\n--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code in (200, 400), answer.text


def test_cancelling_an_upload_ends_it(api: Api) -> None:
    job_id = str(uuid.uuid4())
    slow = SlowUpload(api, 20 * 2**20, job_id)
    slow.send(bytes(2**20))
    api.wait_for_existence(job_id)
    assert api.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    time.sleep(0.6)

    def rest() -> None:
        try:
            slow.send(bytes(19 * 2**20))
            slow.finish()
        except OSError:
            return  # the service may hang up first

    thread = threading.Thread(target=rest)
    thread.start()
    thread.join(timeout=20)
    slow.close()
    time.sleep(0.5)
    job = api.job(job_id)
    assert job["status"] == "cancelled"
    assert job["s3_key"] not in api.objects()


def test_the_hash_is_the_files(api: Api) -> None:
    body = os.urandom(123_456)
    job_id = send(api, body).json()["job_id"]
    from detect_api.db.tables import Job

    with api.parts.sessions() as session:
        row = session.get(Job, uuid.UUID(job_id))
        assert row is not None
        assert row.input_sha256 == hashlib.sha256(body).hexdigest()
