"""Uploads straight to S3 in parts, with a client that crashes, repeats and lies."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select, update

from detect_api.db.tables import Job, Lease, PartChecksum, Removal
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.storage.multipart import LEAST_PART
from detect_api.storage.s3 import S3Store
from detect_api.storage.s3_multipart import S3Multipart

from .conftest import Api

PART = LEAST_PART
FILE = bytes(range(256)) * (PART // 256) + b"\xaa" * PART + b"the short end"
PARTS = (1, 2, 3)
TAIL = FILE[-13:]
SHORT = len(TAIL)
"""A file of one part, for what does not depend on how many there are."""


def begin(api: Api, size: int = len(FILE), **body: Any) -> dict[str, Any]:
    answer = api.client.post("/uploads", json={"filename": "a.mp4", "file_size": size, **body})
    assert answer.status_code == 200, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def piece(number: int, size: int = PART) -> bytes:
    return TAIL if size == SHORT else FILE[(number - 1) * PART : number * PART]


def sign(api: Api, upload: dict[str, Any], numbers: Iterable[int], **more: Any) -> list[Any]:
    answer = api.client.post(
        f"/uploads/{upload['upload_id']}/parts", json={"part_numbers": list(numbers), **more}
    )
    assert answer.status_code == 200, answer.text
    parts: list[Any] = answer.json()["parts"]
    return parts


def put(part: dict[str, Any], body: bytes | None = None) -> httpx.Response:
    body = piece(part["part_number"], part["size"]) if body is None else body
    return httpx.put(part["url"], content=body, headers=part["headers"], timeout=60)


def send(api: Api, upload: dict[str, Any], numbers: Iterable[int] | None = None) -> dict[int, str]:
    """Sends these parts, or all; returns their ETags."""
    etags = {}
    for part in sign(api, upload, numbers or range(1, upload["parts"] + 1)):
        answer = put(part)
        assert answer.status_code == 200, answer.text
        etags[part["part_number"]] = answer.headers["etag"]
    return etags


def state(api: Api, upload: dict[str, Any]) -> dict[str, Any]:
    answer = api.client.get(f"/uploads/{upload['upload_id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def complete(
    api: Api, upload: dict[str, Any], etags: dict[int, str] | None = None
) -> httpx.Response:
    url = f"{api.url}/uploads/{upload['upload_id']}/complete"
    if etags is None:
        return httpx.post(url, timeout=60)
    parts = [{"part_number": number, "etag": etag} for number, etag in etags.items()]
    return httpx.post(url, json={"parts": parts}, timeout=60)


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    for word in words:
        assert word in answer.json()["detail"]


def row(api: Api, upload: dict[str, Any]) -> Job:
    with api.parts.sessions() as session:
        found = session.get(Job, uuid.UUID(upload["job_id"]))
    assert found is not None
    return found


def change(api: Api, upload: dict[str, Any], **values: Any) -> None:
    with api.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == uuid.UUID(upload["job_id"])).values(**values))


def stored(api: Api, upload: dict[str, Any]) -> bytes:
    return api.parts.store.read_range(upload["s3_key"], 0, upload["part_size"] * upload["parts"])


def open_in_store(api: Api, prefix: str = "videos/") -> list[str]:
    client = api.parts.store.client  # type: ignore[attr-defined]
    found = client.list_multipart_uploads(Bucket=api.parts.settings.s3_bucket_name, Prefix=prefix)
    return [upload["UploadId"] for upload in found.get("Uploads", [])]


def complete_in_store(api: Api, upload: dict[str, Any], etags: dict[int, str]) -> None:
    """What an API process does right before it dies."""
    api.parts.store.client.complete_multipart_upload(  # type: ignore[attr-defined]
        Bucket=upload["bucket"],
        Key=upload["s3_key"],
        UploadId=row(api, upload).multipart_id,
        MultipartUpload={"Parts": [{"PartNumber": n, "ETag": e} for n, e in etags.items()]},
    )


@pytest.fixture
def shop(api: Api) -> Workshop:
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
    return Workshop(api.parts.settings, api.parts.sessions, api.parts.store)


# -- the usual way --------------------------------------------------------------------------


def test_a_video_goes_up_in_parts_in_any_order_and_is_processed(api: Api) -> None:
    upload = begin(api, filename="Weg nach Süden.mov", content_type="video/quicktime")
    assert (upload["part_size"], upload["parts"], upload["checksum"]) == (PART, 3, None)
    assert upload["upload_id"] == upload["job_id"]
    assert upload["status_url"] == f"/jobs/{upload['job_id']}"
    assert api.job(upload["job_id"])["status"] == "awaiting_upload"

    etags = send(api, upload, (3, 1))
    seen = state(api, upload)
    assert [p["part_number"] for p in seen["received"]] == [1, 3]
    assert [p["etag"] for p in seen["received"]] == [etags[1], etags[3]]
    assert [p["size"] for p in seen["received"]] == [PART, 13]
    assert seen["bytes_received"] == PART + 13
    job = api.job(upload["job_id"])
    assert job["upload"] == {"bytes_received": PART + 13, "bytes_total": len(FILE)}
    assert 0.4 < job["progress"] < 0.6
    refused(complete(api, upload), 409, "parts_missing", " 2.")

    etags |= send(api, upload, (2,))
    done = complete(api, upload, etags)
    assert done.status_code == 200, done.text
    assert done.json() == {
        "upload_id": upload["upload_id"],
        "job_id": upload["job_id"],
        "s3_key": upload["s3_key"],
        "status": "uploaded",
        "file_size": len(FILE),
        "etag": api.parts.store.head(upload["s3_key"]).etag,
        "processing_job_id": None,
        "status_url": f"/jobs/{upload['job_id']}",
    }
    assert stored(api, upload) == FILE
    found = api.parts.store.head(upload["s3_key"])
    assert found.content_type == "video/quicktime"
    assert found.metadata["original-filename"] == "Weg nach S%C3%BCden.mov"
    assert found.metadata["job-id"] == upload["job_id"]
    after = state(api, upload)
    assert (after["status"], after["received"], after["bytes_received"]) == (
        "uploaded", [], len(FILE),
    )  # fmt: skip
    assert api.job(upload["job_id"])["status"] == "uploaded"

    answer = api.client.post("/process/video/s3", json={"s3_key": upload["s3_key"]})
    assert answer.status_code == 200, answer.text
    assert api.job(upload["job_id"])["processing_job_id"] == answer.json()["job_id"]
    assert complete(api, upload).json()["processing_job_id"] == answer.json()["job_id"]


def test_a_file_smaller_than_a_part_is_one_part(api: Api) -> None:
    upload = begin(api, size=13)
    (part,) = sign(api, upload, (1,))
    assert part["size"] == 13
    assert put(part, b"the short end").status_code == 200
    assert complete(api, upload).status_code == 200
    assert api.parts.store.head(upload["s3_key"]).size == 13


def test_a_video_over_the_limit_of_forms_is_taken_when_it_came_in_parts(
    api: Api,
) -> None:
    upload = begin(api, size=api.parts.settings.max_file_size + 1)
    assert upload["parts"] == 4
    for part in sign(api, upload, range(1, 5)):
        assert put(part, bytes(part["size"])).status_code == 200
    assert complete(api, upload).status_code == 200
    answer = api.client.post("/process/video/s3", json={"s3_key": upload["s3_key"]})
    assert answer.status_code == 200, answer.text


def test_processing_begins_with_the_completion_once_however_often_it_is_called(api: Api) -> None:
    upload = begin(api, SHORT, auto_process=True, frame_skip=5, delete_after_processing=True)
    send(api, upload)
    with ThreadPoolExecutor(4) as pool:
        answers = [a.json() for a in pool.map(lambda _: complete(api, upload), range(4))]
    assert [a for a in answers if "processing_job_id" not in a] == []
    job_id = answers[0]["processing_job_id"]
    assert job_id is not None
    assert all(answer == answers[0] for answer in answers)
    assert api.queued(job_id) == ["plan"]
    parameters = api.job(job_id)["parameters"]
    assert (parameters["frame_skip"], parameters["delete_after_processing"]) == (5, True)
    assert state(api, upload)["processing_job_id"] == job_id


# -- checksums ------------------------------------------------------------------------------


def crc32c(data: bytes) -> str:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_storage_refuses_a_damaged_part_and_keeps_nothing_of_it(api: Api) -> None:
    upload = begin(api, checksum="SHA256")
    checksums = {str(n): sha256(piece(n)) for n in PARTS}
    signed = sign(api, upload, PARTS, checksums=checksums)
    assert signed[0]["headers"] == {"x-amz-checksum-sha256": checksums["1"]}
    damaged = b"\xff" + piece(1)[1:]
    assert put(signed[0], damaged).status_code == 400
    lying = {**signed[0], "headers": {"x-amz-checksum-sha256": sha256(damaged)}}
    assert put(lying, damaged).status_code == 403, "the checksum is signed"
    assert put({**signed[0], "headers": {}}).status_code == 403
    assert state(api, upload)["received"] == []
    for part in signed:
        assert put(part).status_code == 200
    assert complete(api, upload).status_code == 200
    assert stored(api, upload) == FILE
    with api.parts.sessions() as session:
        left = session.scalars(
            select(PartChecksum).where(PartChecksum.job_id == uuid.UUID(upload["job_id"]))
        ).all()
    assert left == []


def test_crc32c_guards_parts_too_and_the_part_signed_last_counts(api: Api) -> None:
    body = b"thirteen byte"
    upload = begin(api, size=13, checksum="CRC32C")
    (first,) = sign(api, upload, (1,), checksums={"1": crc32c(b"another thing")})
    assert put(first, body).status_code == 400
    (second,) = sign(api, upload, (1,), checksums={"1": crc32c(body)})
    assert put(second, body).status_code == 200
    assert complete(api, upload).status_code == 200
    assert api.parts.store.read_range(upload["s3_key"], 0, 99) == body


def test_a_part_signed_anew_and_never_sent_is_named_as_the_trouble(api: Api) -> None:
    upload = begin(api, size=13, checksum="CRC32C")
    (part,) = sign(api, upload, (1,), checksums={"1": crc32c(b"thirteen byte")})
    assert put(part, b"thirteen byte").status_code == 200
    sign(api, upload, (1,), checksums={"1": crc32c(b"another thing")})
    refused(complete(api, upload), 409, "parts_refused", "again")
    (part,) = sign(api, upload, (1,), checksums={"1": crc32c(b"thirteen byte")})
    assert complete(api, upload).status_code == 200


@pytest.mark.parametrize(
    ("checksum", "checksums"),
    [
        ("CRC32C", None),
        ("CRC32C", {"1": crc32c(b"")}),
        ("CRC32C", {"1": crc32c(b""), "2": "yZRlqg"}),
        ("CRC32C", {"1": crc32c(b""), "2": sha256(b"")}),
        ("SHA256", {"1": sha256(b""), "2": crc32c(b"")}),
        ("CRC32C", {"1": crc32c(b""), "2": crc32c(b""), "3": crc32c(b"")}),
        (None, {"1": crc32c(b""), "2": crc32c(b"")}),
    ],
)
def test_checksums_that_cannot_be_are_refused(
    api: Api, checksum: str | None, checksums: dict[str, str] | None
) -> None:
    upload = begin(api, checksum=checksum)
    answer = api.client.post(
        f"/uploads/{upload['upload_id']}/parts",
        json={"part_numbers": [1, 2], "checksums": checksums},
    )
    refused(answer, 422, "bad_checksum")


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"filename": "a.exe", "file_size": 1}, 400, "video extension"),
        ({"filename": "a.mp4", "file_size": 1, "content_type": "text/plain"}, 400, "video/*"),
        ({"filename": "a.mp4", "file_size": 5497558138881}, 413, "MAX_MULTIPART_SIZE"),
        ({"filename": "a.mp4"}, 422, "file_size"),
        ({"filename": "a.mp4", "file_size": 0}, 422, "file_size"),
        ({"filename": "a.mp4", "file_size": 1, "checksum": "MD5"}, 422, "checksum"),
        ({"filename": "a.mp4", "file_size": 1, "frame_skip": 2}, 422, "auto_process"),
        ({"filename": "a.mp4", "file_size": 1, "part_size": 5}, 422, "part_size"),
    ],
)
def test_uploads_that_cannot_be_are_refused(
    api: Api, body: dict[str, Any], status: int, words: str
) -> None:
    answer = api.client.post("/uploads", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("numbers", [[0], [4], [1, 1], [], [10_001], list(range(1, 1002)), ["x"]])
def test_part_numbers_that_cannot_be_are_refused(api: Api, numbers: list[Any]) -> None:
    upload = begin(api)
    answer = api.client.post(
        f"/uploads/{upload['upload_id']}/parts", json={"part_numbers": numbers}
    )
    assert answer.status_code == 422, answer.text


def test_ids_that_are_no_upload_in_parts_are_unknown(api: Api) -> None:
    form = api.presign(filename="a.mp4")
    for upload_id in (str(uuid.uuid4()), form["job_id"]):
        for answer in (
            api.client.get(f"/uploads/{upload_id}"),
            api.client.delete(f"/uploads/{upload_id}"),
            api.client.post(f"/uploads/{upload_id}/complete"),
            api.client.post(f"/uploads/{upload_id}/parts", json={"part_numbers": [1]}),
        ):
            refused(answer, 404, "upload_not_found")


def test_storage_refuses_a_part_of_another_size(api: Api) -> None:
    upload = begin(api)
    (part,) = sign(api, upload, (1,))
    assert put(part, piece(1)[:-1]).status_code == 403
    assert state(api, upload)["received"] == []


def test_without_s3_the_other_way_is_named(api_without_s3: Api) -> None:
    some = f"/uploads/{uuid.uuid4()}"
    for answer in (
        api_without_s3.client.post("/uploads", json={"filename": "a.mp4", "file_size": 1}),
        api_without_s3.client.post(f"{some}/parts", json={"part_numbers": [1]}),
        api_without_s3.client.get(some),
        api_without_s3.client.post(f"{some}/complete"),
        api_without_s3.client.delete(some),
    ):
        refused(answer, 503, "s3_unavailable", "/process/video/upload/async")


# -- again, at once, in between -------------------------------------------------------------


def test_beginning_again_with_the_same_key_begins_nothing(api: Api) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"filename": "a.mp4", "file_size": 100}
    first, second = (
        api.client.post("/uploads", json=body, headers=headers).json() for _ in range(2)
    )
    assert first == second
    other = api.client.post("/uploads", json={**body, "file_size": 101}, headers=headers)
    refused(other, 422, "idempotency_key_reused")


def test_parts_signed_at_once_belong_to_one_upload_in_the_store(api: Api) -> None:
    upload = begin(api)
    with ThreadPoolExecutor(3) as pool:
        signed = list(pool.map(lambda n: sign(api, upload, (n,))[0], PARTS))
    assert open_in_store(api, upload["s3_key"]) == [row(api, upload).multipart_id]
    for part in signed:
        assert put(part).status_code == 200
    assert complete(api, upload).status_code == 200
    assert stored(api, upload) == FILE


def test_of_a_part_sent_twice_the_last_counts_unless_the_client_names_another(api: Api) -> None:
    upload = begin(api, size=13)
    (part,) = sign(api, upload, (1,))
    first = put(part, b"thirteen byte").headers["etag"]
    second = put(part, b"another thing").headers["etag"]
    refused(complete(api, upload, {1: '"00000000000000000000000000000000"'}), 409, "parts_wrong")
    assert first != second
    assert complete(api, upload, {1: second}).status_code == 200
    assert api.parts.store.read_range(upload["s3_key"], 0, 99) == b"another thing"


def test_a_part_sent_twice_is_listed_whole_also_over_a_page_of_the_list(api: Api) -> None:
    store = api.parts.store
    assert isinstance(store, S3Store)
    upload = begin(api)
    etags = send(api, upload)
    (part,) = sign(api, upload, (2,))
    again = put(part, bytes(PART)).headers["etag"]
    expected = {(1, etags[1]), (2, etags[2]), (2, again), (3, etags[3])}
    for page_size in (1000, 3, 2):
        parts = S3Multipart(store.client, store.bucket, page_size).parts(
            upload["s3_key"], str(row(api, upload).multipart_id)
        )
        assert {(part.number, part.etag) for part in parts} == expected, page_size
        assert len(parts) == 4


def test_the_ten_thousandth_part_hides_no_others_in_the_list(api: Api) -> None:
    store = api.parts.store
    assert isinstance(store, S3Store)
    parts = S3Multipart(store.client, store.bucket, page_size=3)
    key, numbers = f"videos/{uuid.uuid4()}.mp4", [1, 2, 999, 1000, 1001, 9999, 10_000]
    upload_id = parts.create(key, "video/mp4", {}, None)
    for number in numbers:
        store.client.upload_part(
            Bucket=store.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=b"x"
        )
    for page_size in (1000, 4, 3, 2):
        listed = S3Multipart(store.client, store.bucket, page_size).parts(key, upload_id)
        assert [part.number for part in listed] == numbers, page_size
    store.abort(key, upload_id)


def test_a_part_missing_from_the_clients_list_is_missing(api: Api) -> None:
    upload = begin(api)
    etags = send(api, upload)
    del etags[2]
    refused(complete(api, upload, etags), 409, "parts_missing", " 2.")
    refused(complete(api, upload, {1: "x", 4: "x"}), 422, "bad_part_number", "1 to 3")


def test_completing_twice_at_once_gives_the_same_answer(api: Api) -> None:
    upload = begin(api, SHORT)
    etags = send(api, upload)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda named: complete(api, upload, named), [None, etags] * 2))
    assert [answer.status_code for answer in answers] == [200] * 4, [a.text for a in answers]
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert complete(api, upload).json() == answers[0].json()
    assert stored(api, upload) == TAIL


def test_an_object_counts_although_the_store_is_just_forgetting_its_parts(api: Api) -> None:
    store = api.parts.store
    assert isinstance(store, S3Store)
    upload = begin(api, SHORT)
    etags = send(api, upload)
    complete_in_store(api, upload, etags)
    # What is left of the parts while they are removed looks like an upload that has too few.
    parts = S3Multipart(store.client, store.bucket)
    left = parts.create(upload["s3_key"], "video/mp4", {}, None)
    change(api, upload, multipart_id=left)
    assert complete(api, upload, etags).status_code == 200
    assert stored(api, upload) == TAIL
    store.abort(upload["s3_key"], left)


@pytest.mark.parametrize("by", ["complete", "upload", "job", "sweep"])
def test_an_object_whose_completion_nobody_noted_is_found(
    api: Api, shop: Workshop, by: str
) -> None:
    upload = begin(api, SHORT)
    complete_in_store(api, upload, send(api, upload))
    if by == "complete":
        assert complete(api, upload).status_code == 200
    elif by == "upload":
        assert state(api, upload)["status"] == "uploaded"
    elif by == "sweep":
        change(api, upload, expires_at=datetime.now(UTC) - timedelta(hours=1))
        sweep(shop)
    assert api.job(upload["job_id"])["status"] == "uploaded"
    answer = complete(api, upload).json()
    assert (answer["status"], answer["file_size"]) == ("uploaded", SHORT)
    assert answer["etag"] == api.parts.store.head(upload["s3_key"]).etag


def test_an_upload_that_the_store_lost_says_so(api: Api) -> None:
    upload = begin(api, SHORT)
    send(api, upload)
    api.parts.store.abort(upload["s3_key"], str(row(api, upload).multipart_id))
    refused(complete(api, upload), 409, "upload_over", "expired", "POST /uploads")
    assert state(api, upload)["status"] == "expired"
    assert "no longer has the parts" in api.job(upload["job_id"])["message"]


def test_an_object_that_is_not_the_file_fails_the_upload_and_goes(api: Api) -> None:
    upload = begin(api, PART + SHORT)
    etags = send(api, upload)
    complete_in_store(api, upload, {1: etags[1]})
    refused(complete(api, upload), 409, "upload_over", f"{PART} bytes")
    job = api.job(upload["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "upload_damaged")
    with api.parts.sessions() as session:
        assert session.scalar(select(Removal).where(Removal.prefix == upload["s3_key"]))


# -- given up -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["upload", "cancel", "delete"])
def test_an_upload_given_up_leaves_no_parts(api: Api, shop: Workshop, way: str) -> None:
    upload = begin(api, PART + SHORT)
    send(api, upload, (2,))
    (url,) = sign(api, upload, (1,))
    assert open_in_store(api, upload["s3_key"])
    if way == "upload":
        for _ in range(2):
            answer = api.client.delete(f"/uploads/{upload['upload_id']}")
            assert answer.json() == {
                "upload_id": upload["upload_id"],
                "job_id": upload["job_id"],
                "status": "cancelled",
            }
    elif way == "cancel":
        api.client.post(f"/jobs/{upload['job_id']}/cancel").raise_for_status()
    else:
        api.client.delete(f"/jobs/{upload['job_id']}").raise_for_status()
    assert open_in_store(api, upload["s3_key"]) == []
    assert put(url).status_code == 404
    if way == "delete":
        refused(complete(api, upload), 404, "upload_not_found")
        return
    assert api.job(upload["job_id"])["status"] == "cancelled"
    refused(complete(api, upload), 409, "upload_over", "cancelled")
    answer = api.client.post(f"/uploads/{upload['upload_id']}/parts", json={"part_numbers": [2]})
    refused(answer, 409, "upload_over", "cancelled")
    assert state(api, upload)["received"] == []


def test_a_complete_upload_is_not_given_up(api: Api) -> None:
    upload = begin(api, SHORT)
    send(api, upload)
    complete(api, upload).raise_for_status()
    refused(api.client.delete(f"/uploads/{upload['upload_id']}"), 409, "upload_over", "complete")
    assert api.parts.store.head(upload["s3_key"]).size == SHORT


def test_an_upload_given_up_while_it_is_completed_leaves_no_object(
    api: Api, shop: Workshop
) -> None:
    upload = begin(api, SHORT)
    etags = send(api, upload)
    with ThreadPoolExecutor(2) as pool:
        completing = pool.submit(complete, api, upload, etags)
        cancelling = pool.submit(api.client.delete, f"/uploads/{upload['upload_id']}")
        completed, cancelled = completing.result(), cancelling.result()
    sweep(shop)
    if cancelled.status_code == 200:
        assert completed.status_code in (200, 409), completed.text
        assert api.job(upload["job_id"])["status"] == "cancelled"
        assert upload["s3_key"] not in api.objects()
    else:
        refused(cancelled, 409, "upload_over")
        assert completed.status_code == 200
        assert upload["s3_key"] in api.objects()
    assert open_in_store(api, upload["s3_key"]) == []


def test_an_object_completed_after_the_upload_was_given_up_goes(api: Api, shop: Workshop) -> None:
    upload = begin(api, SHORT)
    etags = send(api, upload)
    multipart_id = row(api, upload).multipart_id
    complete_in_store(api, upload, etags)
    api.client.delete(f"/uploads/{upload['upload_id']}").raise_for_status()
    sweep(shop)
    assert upload["s3_key"] not in api.objects()
    assert multipart_id not in open_in_store(api)


# -- abandoned ------------------------------------------------------------------------------


def test_an_abandoned_upload_expires_and_its_parts_are_dropped(api: Api, shop: Workshop) -> None:
    upload = begin(api, SHORT)
    send(api, upload, (1,))
    change(api, upload, expires_at=datetime.now(UTC) - timedelta(hours=1))
    sweep(shop)
    assert api.job(upload["job_id"])["status"] == "expired"
    assert open_in_store(api, upload["s3_key"]) == []
    assert row(api, upload).multipart_id is None
    refused(complete(api, upload), 409, "upload_over", "expired")


def test_parts_of_an_upload_that_expired_just_before_the_sweeper_died_are_dropped(
    api: Api, shop: Workshop
) -> None:
    upload = begin(api, SHORT)
    send(api, upload, (1,))
    change(api, upload, status="expired")
    sweep(shop)
    assert open_in_store(api, upload["s3_key"]) == []


def test_signing_parts_keeps_an_upload_alive(api: Api, shop: Workshop) -> None:
    upload = begin(api, SHORT)
    change(api, upload, expires_at=datetime.now(UTC) - timedelta(hours=1))
    send(api, upload)
    assert row(api, upload).expires_at > datetime.now(UTC) + timedelta(days=6)  # type: ignore[operator]
    sweep(shop)
    assert complete(api, upload).status_code == 200


def test_an_upload_in_the_store_without_a_row_is_dropped_when_it_is_old(
    api: Api, shop: Workshop
) -> None:
    alive = begin(api, SHORT)
    send(api, alive, (1,))
    key = f"videos/{uuid.uuid4()}.mp4"
    orphan = api.parts.store.begin(key, "video/mp4", {}).id
    sweep(shop)
    assert orphan in open_in_store(api), "it may be on its way into a row"
    short = api.parts.settings.model_copy(
        update={"multipart_expiration": -86400 - 60, "s3_upload_expiration": -86400 - 60}
    )
    shop = Workshop(short, api.parts.sessions, api.parts.store)
    sweep(shop)
    assert orphan in open_in_store(api), "looked for once an hour"
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
    sweep(shop)
    left = open_in_store(api)
    assert orphan not in left
    assert row(api, alive).multipart_id in left


def test_unfinished_uploads_are_listed_over_pages(api: Api) -> None:
    store = api.parts.store
    assert isinstance(store, S3Store)
    prefix = f"videos/{uuid.uuid4()}/"
    keys = [f"{prefix}a.mp4", f"{prefix}a.mp4", f"{prefix}b.mp4"]
    begun = {(key, store.begin(key, "video/mp4", {}).id) for key in keys}
    for page_size in (1000, 2, 1):
        found = list(S3Multipart(store.client, store.bucket, page_size).open_uploads(prefix))
        assert {(upload.key, upload.upload_id) for upload in found} == begun, page_size
        assert all(abs(datetime.now(UTC) - one.initiated) < timedelta(hours=1) for one in found)
    for key, upload_id in begun:
        store.abort(key, upload_id)
