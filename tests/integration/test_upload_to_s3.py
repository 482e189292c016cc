"""Method 1: the client uploads straight to S3 with a pre-signed form."""

from __future__ import annotations

import base64
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from .conftest import Api

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(2000)


def upload(
    form: dict[str, Any], body: bytes = VIDEO, changed: dict[str, str | None] | None = None
) -> httpx.Response:
    fields = {**form["upload_fields"], **(changed or {})}
    kept = {name: value for name, value in fields.items() if value is not None}
    return httpx.post(form["upload_url"], data=kept, files={"file": ("v.mp4", body)}, timeout=20)


def test_the_specifications_request_gets_the_specifications_answer(api: Api) -> None:
    form = api.presign(filename="traffic_video.mp4", file_size=18_700_000, content_type="video/mp4")
    assert list(form) == [
        "job_id", "upload_url", "upload_fields", "s3_key", "bucket", "expires_in",
        "max_file_size", "status_url",
    ]  # fmt: skip
    job_id = form["job_id"]
    assert str(uuid.UUID(job_id)) == job_id
    assert re.fullmatch(rf"videos/\d{{8}}_\d{{6}}_{job_id[:8]}\.mp4", form["s3_key"])
    assert form["expires_in"] == 3600
    assert form["status_url"] == f"/jobs/{job_id}"
    fields = form["upload_fields"]
    assert set(fields) == {
        "key", "Content-Type", "x-amz-meta-original-filename", "x-amz-meta-job-id", "policy",
        "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature",
    }  # fmt: skip
    assert fields["key"] == form["s3_key"]
    assert fields["Content-Type"] == "video/mp4"
    assert fields["x-amz-meta-original-filename"] == "traffic_video.mp4"
    assert fields["x-amz-meta-job-id"] == job_id
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert form["upload_url"].endswith(f"/{form['bucket']}/")


def test_every_field_is_a_condition_of_the_policy(api: Api) -> None:
    form = api.presign(filename="a.mp4", file_size=1234)
    policy = json.loads(base64.b64decode(form["upload_fields"]["policy"]))
    conditions = policy["conditions"]
    assert ["content-length-range", 1234, 1234] in conditions
    for name in ("key", "Content-Type", "x-amz-meta-original-filename", "x-amz-meta-job-id"):
        assert {name: form["upload_fields"][name]} in conditions
    assert {"bucket": form["bucket"]} in conditions


def test_an_upload_is_seen_and_processed(api: Api) -> None:
    form = api.presign(filename="traffic.mov", content_type="video/quicktime")
    assert api.job(form["job_id"])["status"] == "awaiting_upload"
    assert upload(form).status_code in (200, 204)
    assert api.wait_for(form["job_id"], "uploaded")["file_size"] == len(VIDEO)
    answer = api.client.post(
        "/process/video/s3",
        json={"s3_key": form["s3_key"], "frame_skip": 2, "min_confidence": 0.3},
    )
    assert answer.status_code == 200
    created = answer.json()
    assert created == {
        "job_id": created["job_id"],
        "status": "pending",
        "message": "Video processing job created from S3 (0.00MB). Use the job_id to check status.",
        "status_url": f"/jobs/{created['job_id']}",
    }
    assert api.queued(created["job_id"]) == ["plan"]
    followed = api.job(form["job_id"])
    assert followed["status"] == "pending"
    assert followed["processing_job_id"] == created["job_id"]
    processing = api.job(created["job_id"])
    assert processing["filename"] == "traffic.mov"
    assert processing["parameters"]["frame_skip"] == 2


def test_processing_works_without_looking_at_the_upload_in_between(api: Api) -> None:
    form = api.presign(filename="a.mp4")
    upload(form)
    answer = api.client.post("/process/video/s3", json={"s3_key": form["s3_key"]})
    assert answer.json()["status"] == "pending"


FORGERIES: list[dict[str, str | None]] = [
    {"key": "videos/other.mp4"},
    {"Content-Type": "text/html"},
    {"Content-Type": None},
    {"x-amz-meta-job-id": str(uuid.uuid4())},
    {"x-amz-meta-original-filename": "other.mp4"},
    {"x-amz-meta-extra": "1"},
    {"x-amz-signature": "0" * 64},
    {"x-amz-signature": None},
    {"policy": None},
    {"x-amz-credential": "AKIAFAKE/20250101/us-east-1/s3/aws4_request"},
]


@pytest.mark.parametrize("forged", FORGERIES, ids=[next(iter(f)) for f in FORGERIES])
def test_storage_refuses_a_forged_form_and_stores_nothing(
    api: Api, forged: dict[str, str | None]
) -> None:
    form = api.presign(filename="a.mp4")
    answer = upload(form, changed=forged)
    assert 400 <= answer.status_code < 500, answer.text
    keys = api.objects()
    assert form["s3_key"] not in keys
    assert "videos/other.mp4" not in keys
    assert api.job(form["job_id"])["status"] == "awaiting_upload"


def test_storage_refuses_a_body_of_another_size(api: Api) -> None:
    form = api.presign(filename="a.mp4", file_size=100)
    assert upload(form, bytes(101)).status_code >= 400
    assert upload(form, bytes(99)).status_code >= 400
    assert upload(form, bytes(100)).status_code in (200, 204)


def test_storage_refuses_an_empty_body(api: Api) -> None:
    assert upload(api.presign(filename="a.mp4"), b"").status_code >= 400


def test_a_changed_policy_is_refused(api: Api) -> None:
    form = api.presign(filename="a.mp4")
    policy = json.loads(base64.b64decode(form["upload_fields"]["policy"]))
    policy["expiration"] = "2099-01-01T00:00:00Z"
    forged = base64.b64encode(json.dumps(policy).encode()).decode()
    assert upload(form, changed={"policy": forged}).status_code >= 400


def test_file_names_never_reach_the_key(api: Api) -> None:
    form = api.presign(filename="../../etc/Ünfall <b>.MP4")
    assert re.fullmatch(r"videos/\d{8}_\d{6}_[0-9a-f]{8}\.mp4", form["s3_key"])
    assert upload(form).status_code in (200, 204)
    found = api.parts.store.head(form["s3_key"])
    assert found.metadata["original-filename"] == "..%2F..%2Fetc%2F%C3%9Cnfall %3Cb%3E.MP4"
    assert found.metadata["job-id"] == form["job_id"]
    assert api.job(form["job_id"])["filename"] == "../../etc/Ünfall <b>.MP4"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"filename": "a.exe"}, 400, "video extension"),
        ({"filename": "noextension"}, 400, "video extension"),
        ({"filename": "a.mp4", "content_type": "text/plain"}, 400, "video/*"),
        ({"filename": "a.mp4", "file_size": 30_000_001}, 413, "30000000 bytes"),
        ({"filename": "a.mp4", "file_size": 0}, 422, "file_size"),
        ({"filename": "a.mp4", "content_type": "video/mp4; x=\u00fc"}, 400, "video/*"),
        ({"filename": "a.mp4", "content_type": "video/mp4\r\nx: y"}, 422, "content_type"),
        ({"filename": "a\0.mp4"}, 422, "control characters"),
        ({"filename": ""}, 422, "filename"),
        ({}, 422, "filename"),
        ({"filename": "a.mp4", "bucket": "other"}, 422, "bucket"),
    ],
)
def test_bad_presign_requests_say_what_is_wrong(
    api: Api, body: dict[str, Any], status: int, words: str
) -> None:
    answer = api.client.post("/process/video/upload/s3/presigned-url", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert words in problem["detail"]
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("other/a.mp4", 403),
        ("/videos/a.mp4", 403),
        ("videos/", 403),
        ("videos/../secret.mp4", 403),
        ("videos/evidence/x/0-crop.jpg", 403),
        ("videos/20250101_000000_00000000.mp4", 404),
    ],
)
def test_only_existing_keys_under_the_prefix_are_processed(api: Api, key: str, status: int) -> None:
    answer = api.client.post("/process/video/s3", json={"s3_key": key})
    assert answer.status_code == status, answer.text


def test_what_is_no_video_or_too_large_is_refused(api: Api) -> None:
    api.parts.store.put("videos/text.mp4", b"hello", "text/plain")
    api.parts.store.put("videos/empty.mp4", b"", "video/mp4")
    api.parts.store.put("videos/large.mp4", bytes(30_000_001), "video/mp4")
    for name, status in (("text", 400), ("empty", 400), ("large", 413)):
        answer = api.client.post("/process/video/s3", json={"s3_key": f"videos/{name}.mp4"})
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_skip": 0}, {"frame_skip": "many"}, {"start_frame": -1}, {"end_frame": 0},
        {"start_frame": 10, "end_frame": 10}, {"min_confidence": 1.1}, {"region": "DE; drop"},
        {"unknown": 1},
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(api: Api, wrong: dict[str, Any]) -> None:
    answer = api.client.post("/process/video/s3", json={"s3_key": "videos/a.mp4", **wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_an_expired_form_is_refused_and_its_job_expires(api: Api) -> None:
    from datetime import UTC, datetime, timedelta

    from sqlalchemy import update

    from detect_api.db.tables import Job
    from detect_api.jobs.workshop import Workshop

    form = api.presign(filename="a.mp4")
    with api.parts.sessions.begin() as session:
        session.execute(
            update(Job)
            .where(Job.id == uuid.UUID(form["job_id"]))
            .values(expires_at=datetime.now(UTC) - timedelta(hours=1))
        )
    from detect_api.jobs.sweep import sweep

    assert sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))
    assert api.job(form["job_id"])["status"] == "expired"


def test_storage_refuses_a_form_after_its_time(api: Api) -> None:
    import time

    short = api.parts.settings.model_copy(update={"s3_upload_expiration": 1})
    from detect_api.services.s3_service import S3Service

    assert api.parts.s3 is not None
    service = S3Service(short, api.parts.s3.client, api.parts.s3.bucket)
    with api.parts.sessions.begin() as session:
        form = service.presign(session, filename="a.mp4", file_size=None, content_type="video/mp4")
    time.sleep(2.5)
    assert upload(form).status_code >= 400


def test_an_idempotency_key_gives_the_first_answer_again(api: Api) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    url = "/process/video/upload/s3/presigned-url"

    def ask(name: str) -> httpx.Response:
        return httpx.post(api.url + url, json={"filename": name}, headers=headers, timeout=20)

    with ThreadPoolExecutor(4) as pool:
        answers = [answer.json() for answer in pool.map(ask, ["a.mp4"] * 4)]
    assert all(answer == answers[0] for answer in answers)
    other = ask("b.mp4")
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_repeated_process_call_starts_one_job(api: Api) -> None:
    form = api.presign(filename="a.mp4")
    upload(form)
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"s3_key": form["s3_key"]}
    first = api.client.post("/process/video/s3", json=body, headers=headers).json()
    api.parts.store.delete(form["s3_key"])  # the answer does not depend on it any more
    assert api.client.post("/process/video/s3", json=body, headers=headers).json() == first


def test_without_s3_the_routes_name_the_other_way(api_without_s3: Api) -> None:
    for url, body in (
        ("/process/video/upload/s3/presigned-url", {"filename": "a.mp4"}),
        ("/process/video/s3", {"s3_key": "videos/a.mp4"}),
    ):
        answer = api_without_s3.client.post(url, json=body)
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("S3 upload is not enabled")
        assert "/process/video/upload/async" in answer.json()["detail"]
    assert api_without_s3.client.get("/config").json()["upload_methods"] == ["api", "tus"]
