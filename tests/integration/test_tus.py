"""tus 1.0: uploads through the API that go on after anything."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import resource
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import delete, func, select, update

from detect_api.api import tus_receive
from detect_api.app import create_app
from detect_api.core.errors import StorageError
from detect_api.db.tables import Job, Lease, TusUpload
from detect_api.jobs import resumable
from detect_api.jobs.states import Superseded
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.services import tus_service, tus_writer
from detect_api.services.tus_writer import TusWriter
from detect_api.storage.directory import DirectoryStore
from detect_api.storage.s3 import S3Store
from tests.proxy import CuttingProxy

from .conftest import Api

URL = "/uploads/tus"
MIB = 2**20
PART = 8 * MIB
LONG_AGO = datetime.now(UTC) - timedelta(minutes=5)
TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}


def metadata(**values: str) -> str:
    chosen = {"filename": "traffic.mp4", "filetype": "video/mp4", **values}
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in chosen.items())


class Client:
    """The requests of the protocol, one by one."""

    def __init__(self, api: Api, url: str | None = None) -> None:
        self.api = api
        self._http = httpx.Client(base_url=url or api.url, timeout=60)

    def create(self, length: int | None, body: bytes | None = None, **meta: str) -> str:
        """Begins an upload; returns its location."""
        answer = self.post(length, body, meta)
        assert answer.status_code == 201, answer.text
        location: str = answer.headers["Location"]
        return location

    def post(
        self, length: int | None, body: bytes | None = None, meta: dict[str, str] | None = None,
        **more: str,
    ) -> httpx.Response:  # fmt: skip
        size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        headers = {**TUS, **size, "Upload-Metadata": metadata(**(meta or {})), **more}
        if body is not None:
            headers.update(BODY)
        return self._http.post(URL, headers=headers, content=body)

    def patch(self, location: str, offset: int, body: bytes, **more: str) -> httpx.Response:
        headers = {**TUS, **BODY, "Upload-Offset": str(offset), **more}
        return self._http.patch(location, headers=headers, content=body)

    def send(self, location: str, offset: int, body: bytes, **more: str) -> int:
        """Sends bytes that are taken; returns the offset after them."""
        answer = self.patch(location, offset, body, **more)
        assert answer.status_code == 204, answer.text
        return int(answer.headers["Upload-Offset"])

    def head(self, location: str) -> httpx.Response:
        return self._http.head(location, headers=TUS)

    def offset(self, location: str) -> int:
        answer = self.head(location)
        assert answer.status_code == 200, answer.status_code
        return int(answer.headers["Upload-Offset"])

    def delete(self, location: str) -> int:
        return self._http.delete(location, headers=TUS).status_code

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module", autouse=True)
def _no_unfinished_parts_of_other_tests(api_without_s3: Api) -> None:
    """Without S3, unfinished parts of all uploads lie together; see ``left_behind``."""
    for path in (api_without_s3.parts.settings.data_dir / "storage" / "parts").iterdir():
        path.unlink()


@pytest.fixture(params=["s3", "directory"])
def any_api(request: pytest.FixtureRequest) -> Api:
    """The API with S3, and the API without."""
    name = {"s3": "api", "directory": "api_without_s3"}[request.param]
    found: Api = request.getfixturevalue(name)
    return found


@pytest.fixture
def tus(any_api: Api) -> Iterator[Client]:
    client = Client(any_api)
    yield client
    client.close()


@pytest.fixture
def on_disk(api_without_s3: Api) -> Iterator[Client]:
    """For what does not depend on the store."""
    client = Client(api_without_s3)
    yield client
    client.close()


def id_of(location: str) -> str:
    return location.rsplit("/", 1)[1]


def stored(api: Api, job_id: str) -> bytes:
    job = api.job(job_id)
    return api.parts.store.read_range(job["s3_key"], 0, job["file_size"])


def row_of(api: Api, location: str) -> TusUpload | None:
    with api.parts.sessions() as session:
        return session.get(TusUpload, uuid.UUID(id_of(location)))


def left_behind(api: Api, location: str, key: str) -> list[str]:
    """What storage has of an upload beside its object."""
    if api.parts.s3 is None:
        root = api.parts.settings.data_dir / "storage"
        found = [p for p in (root / "objects").rglob("*") if id_of(location) in str(p)]
        return [str(p) for p in [*found, *(root / "parts").iterdir()] if p.is_file()]
    client = api.parts.store.client  # type: ignore[attr-defined]
    uploads = client.list_multipart_uploads(Bucket=api.parts.settings.s3_bucket_name)
    parts = [u["Key"] for u in uploads.get("Uploads", []) if u["Key"] == key]
    return [*parts, *api.objects(f"videos/tus/{id_of(location)}/")]


def run_sweep(api: Api) -> None:
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
    assert sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))


def set_row(api: Api, location: str, **values: Any) -> None:
    with api.parts.sessions.begin() as session:
        session.execute(
            update(TusUpload).where(TusUpload.job_id == uuid.UUID(id_of(location))).values(**values)
        )


class SlowPatch:
    """A raw request whose bytes come when the test says so."""

    def __init__(self, api: Api, location: str, size: int, offset: int = 0) -> None:
        address = urlsplit(api.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self.socket.sendall(
            (
                f"PATCH {location} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\n"
                f"Content-Type: {BODY['Content-Type']}\r\nUpload-Offset: {offset}\r\n"
                f"Content-Length: {size}\r\n\r\n"
            ).encode()
        )

    def send(self, body: bytes) -> None:
        self.socket.sendall(body)

    def answer(self) -> bytes:
        """The answer, or what there is of it when the connection ends."""
        found = b""
        try:
            while piece := self.socket.recv(65536):
                found += piece
        except ConnectionError:
            pass
        return found

    def __enter__(self) -> SlowPatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


HELD = 256 * 1024
"""So many bytes may have arrived and not be written yet: a quarter of CHUNK_SIZE."""


def wait_for_offset(api: Api, location: str, offset: int) -> None:
    """Returns once about so many bytes have arrived, as the job shows."""
    end = time.monotonic() + 60
    while api.job(id_of(location))["upload"]["bytes_received"] < offset - HELD:
        assert time.monotonic() < end
        time.sleep(0.05)


# -- bytes ----------------------------------------------------------------------------------


def test_a_file_arrives_in_requests_of_any_size(tus: Client) -> None:
    body = os.urandom(2 * PART + 1_000_003)
    location = tus.create(len(body), frame_skip="2", region="de")
    job = tus.api.job(id_of(location))
    assert (job["status"], job["upload"]["bytes_total"]) == ("uploading", len(body))
    at = 0
    for size in (1, 3_000_000, PART, 2 * MIB, len(body)):
        at = tus.send(location, at, body[at : at + size])
        assert tus.offset(location) == at
        if at < len(body):
            assert tus.api.job(id_of(location))["upload"]["bytes_received"] == at
            assert tus.api.queued(id_of(location)) == []
    job = tus.api.job(id_of(location))
    assert (job["status"], job["file_size"]) == ("pending", len(body))
    assert (job["parameters"]["frame_skip"], job["parameters"]["region"]) == (2, "de")
    assert stored(tus.api, id_of(location)) == body
    assert tus.api.queued(id_of(location)) == ["plan"]
    assert left_behind(tus.api, location, job["s3_key"]) == []
    found = tus.api.parts.store.head(job["s3_key"])
    assert (found.content_type, found.metadata["original-filename"]) == ("video/mp4", "traffic.mp4")


@pytest.mark.parametrize("size", [PART, 2 * PART])
def test_whole_parts_need_no_last_short_one(tus: Client, size: int) -> None:
    body = os.urandom(size)
    location = tus.create(size, body)
    assert stored(tus.api, id_of(location)) == body


def test_many_small_requests_are_gathered(tus: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tus_writer, "MAX_PIECES", 3)
    body = os.urandom(9000)
    location = tus.create(len(body))
    for at in range(0, 8000, 1000):
        tus.send(location, at, body[at : at + 1000])
        row = row_of(tus.api, location)
        assert row is not None
        assert len(row.pieces) <= 3
    tus.send(location, 8000, body[8000:])
    assert stored(tus.api, id_of(location)) == body
    assert left_behind(tus.api, location, "") == []


def test_an_upload_may_bring_its_bytes_when_it_begins(on_disk: Client) -> None:
    answer = on_disk.post(5, b"abc")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "3")
    assert "Upload-Expires" in answer.headers
    on_disk.send(answer.headers["Location"], 3, b"de")
    assert stored(on_disk.api, id_of(answer.headers["Location"])) == b"abcde"


def test_a_slash_at_the_end_does_not_matter(on_disk: Client) -> None:
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata()}
    assert httpx.post(f"{on_disk.api.url}{URL}/", headers=headers, timeout=60).status_code == 201


def test_beginning_needs_no_body_whatever_its_type(on_disk: Client) -> None:
    answer = on_disk.post(5, None, None, **{"Content-Type": "application/json"})
    assert answer.status_code == 201
    assert "Upload-Offset" not in answer.headers


def test_the_length_may_be_told_later(on_disk: Client) -> None:
    location = on_disk.create(None)
    assert on_disk.head(location).headers["Upload-Defer-Length"] == "1"
    on_disk.send(location, 0, b"abc")
    assert on_disk.patch(location, 3, b"", **{"Upload-Length": "2"}).status_code == 400
    on_disk.send(location, 3, b"de", **{"Upload-Length": "6"})
    assert on_disk.patch(location, 5, b"", **{"Upload-Length": "7"}).status_code == 400
    assert on_disk.head(location).headers["Upload-Length"] == "6"
    on_disk.send(location, 5, b"f")
    assert stored(on_disk.api, id_of(location)) == b"abcdef"


def test_the_length_may_be_told_when_all_is_there(on_disk: Client) -> None:
    location = on_disk.create(None, b"abc")
    on_disk.send(location, 3, b"", **{"Upload-Length": "3"})
    assert stored(on_disk.api, id_of(location)) == b"abc"
    assert on_disk.api.queued(id_of(location)) == ["plan"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_bytes_count_only_with_the_right_checksum(tus: Client, algorithm: str) -> None:
    body = os.urandom(PART + 1000)

    def checksum(data: bytes) -> dict[str, str]:
        digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
        return {"Upload-Checksum": f"{algorithm} {digest}"}

    location = tus.create(len(body) + 10)
    tus.send(location, 0, body[:10], **checksum(body[:10]))
    damaged = tus.patch(location, 10, bytes(len(body)), **checksum(body))
    assert (damaged.status_code, damaged.json()["code"]) == (460, "checksum_mismatch")
    assert tus.offset(location) == 10
    assert tus.api.job(id_of(location))["status"] == "uploading"
    tus.send(location, 10, body, **checksum(body))
    assert stored(tus.api, id_of(location)) == body[:10] + body


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412, "wrong_version"),
        ({"Tus-Resumable": ""}, 412, "wrong_version"),
        ({"Upload-Length": "-1"}, 400, "bad_tus_header"),
        ({"Upload-Length": "1e3"}, 400, "bad_tus_header"),
        ({"Upload-Length": ""}, 400, "bad_tus_header"),
        ({"Upload-Length": "0"}, 400, "empty_file"),
        ({"Upload-Length": "999999999999"}, 413, "too_large"),
        ({"Upload-Defer-Length": "1"}, 400, "bad_tus_header"),
        ({"Upload-Metadata": "filename"}, 400, "not_a_video"),
        ({"Upload-Metadata": "filename !!"}, 400, "bad_tus_header"),
        ({"Upload-Metadata": metadata() + ",filename YQ=="}, 400, "bad_tus_header"),
        ({"Upload-Metadata": metadata() + ","}, 400, "bad_tus_header"),
        ({"Upload-Metadata": metadata(filename="a\0.mp4")}, 400, "bad_tus_header"),
        ({"Upload-Metadata": metadata(filename="notes.txt")}, 400, "not_a_video"),
        ({"Upload-Metadata": metadata(filetype="text/plain")}, 400, "not_a_video"),
        ({"Upload-Metadata": metadata(frame_skip="0")}, 422, "validation_error"),
        ({"Upload-Metadata": metadata(frame_skap="2")}, 422, "validation_error"),
        ({"Upload-Metadata": metadata(job_id="x")}, 422, "validation_error"),
        (
            {"Upload-Metadata": metadata(webhook_url="https://example.org/")},
            503,
            "webhooks_unavailable",
        ),
        ({"Upload-Checksum": "md5 AAAA"}, 400, "bad_tus_header"),
        ({"Upload-Checksum": "sha1 AAAA"}, 400, "bad_tus_header"),
        ({"Content-Type": "video/mp4"}, 415, "wrong_media_type"),
    ],
)
def test_what_is_wrong_when_it_begins_is_refused(
    api: Api, change: dict[str, str], status: int, code: str
) -> None:
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata(), **BODY, **change}
    with api.parts.sessions() as session:
        before = session.scalar(select(func.count()).select_from(Job))
    answer = api.client.post(URL, headers=headers, content=b"abcde")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers.get("Tus-Version") == ("1.0.0" if status == 412 else None)
    with api.parts.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == before


def test_what_is_wrong_later_is_refused_and_changes_nothing(on_disk: Client) -> None:
    location = on_disk.create(5)
    on_disk.send(location, 0, b"ab")
    for offset, body, more, status, code in [
        (1, b"b", {}, 409, "offset_mismatch"),
        (3, b"d", {}, 409, "offset_mismatch"),
        (2, b"cdef", {}, 413, "upload_too_long"),
        (2, b"c", {"Upload-Offset": "x"}, 400, "bad_tus_header"),
        (2, b"c", {"Content-Type": "video/mp4"}, 415, "wrong_media_type"),
        (2, b"c", {"Tus-Resumable": "2.0.0"}, 412, "wrong_version"),
        (2, b"c", {"Upload-Length": "6"}, 400, "bad_tus_header"),
        (2, b"c", {"Upload-Checksum": "crc7 AA=="}, 400, "bad_tus_header"),
    ]:
        answer = on_disk.patch(location, offset, body, **more)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert on_disk.offset(location) == 2
    on_disk.send(location, 2, b"cde")
    assert on_disk.patch(location, 2, b"cde").status_code == 409
    assert on_disk.send(location, 5, b"") == 5
    assert stored(on_disk.api, id_of(location)) == b"abcde"


def test_bytes_of_unknown_number_end_at_the_length(on_disk: Client) -> None:
    location = on_disk.create(5)
    headers = {**TUS, **BODY, "Upload-Offset": "0"}
    answer = httpx.patch(
        on_disk.api.url + location, headers=headers, content=iter([b"abc", b"def"]), timeout=60
    )
    assert answer.status_code == 413
    assert on_disk.api.job(id_of(location))["status"] == "uploading"


def test_the_byte_that_passes_the_limit_is_refused(api: Api) -> None:
    client = Client(api)
    location = client.create(None)
    limit = api.parts.settings.max_file_size
    assert client.patch(location, 0, bytes(limit + 1)).status_code == 413
    client.close()


def test_an_unknown_upload_is_not_found(on_disk: Client) -> None:
    location = f"{URL}/{uuid.uuid4()}"
    assert on_disk.head(location).status_code == 404
    assert on_disk.patch(location, 0, b"a").status_code == 404
    assert on_disk.delete(location) == 404
    assert on_disk.head(f"{URL}/x").status_code == 422


def test_no_byte_is_read_before_the_headers_are_found_good(api: Api) -> None:
    client = Client(api)
    location = client.create(10)
    client.close()
    with SlowPatch(api, location, 10, offset=3) as slow:  # sends no body
        assert b" 409 " in slow.answer()


# -- breaking off ---------------------------------------------------------------------------


def test_what_arrived_before_the_line_was_cut_counts(tus: Client) -> None:
    body = os.urandom(2 * PART)
    location = tus.create(len(body))
    sent = PART + 3 * MIB
    with SlowPatch(tus.api, location, len(body)) as broken:
        broken.send(body[:sent])
        wait_for_offset(tus.api, location, sent)
    at = tus.offset(location)
    assert sent - HELD <= at <= sent
    job = tus.api.job(id_of(location))
    assert (job["status"], job["upload"]["bytes_received"]) == ("uploading", at)
    assert job["message"].startswith("Upload paused at ")
    tus.send(location, at, body[at:])
    assert stored(tus.api, id_of(location)) == body


def test_bytes_with_a_checksum_count_only_whole(on_disk: Client) -> None:
    body = os.urandom(PART + MIB)
    location = on_disk.create(len(body))
    digest = base64.b64encode(hashlib.sha1(body).digest()).decode()
    with CuttingProxy(on_disk.api.url, [PART + 1000]).running() as proxy:
        broken = Client(on_disk.api, proxy.url)
        with pytest.raises(httpx.TransportError):
            broken.patch(location, 0, body, **{"Upload-Checksum": f"sha1 {digest}"})
        broken.close()
    assert on_disk.offset(location) == 0
    on_disk.send(location, 0, body, **{"Upload-Checksum": f"sha1 {digest}"})
    assert stored(on_disk.api, id_of(location)) == body


def test_a_newer_request_takes_over_from_one_that_hangs(tus: Client) -> None:
    body = os.urandom(3 * MIB)
    location = tus.create(len(body))
    with SlowPatch(tus.api, location, len(body)) as hanging:
        hanging.send(body[:MIB])
        wait_for_offset(tus.api, location, MIB)
        at = tus.offset(location)
        assert MIB - HELD <= at <= MIB
        tus.send(location, at, body[at:])
        answer = hanging.answer()
    assert b" 409 " in answer
    assert b"upload_taken_over" in answer
    assert stored(tus.api, id_of(location)) == body


def test_one_that_does_not_let_go_is_not_waited_for_for_ever(
    on_disk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_receive, "WAIT_SECONDS", 0.3)
    location = on_disk.create(5)
    frozen = datetime.now(UTC) + timedelta(minutes=1)
    set_row(on_disk.api, location, holder=uuid.uuid4(), held_until=frozen)
    assert on_disk.head(location).status_code == 423
    assert on_disk.patch(location, 0, b"a").json()["code"] == "upload_locked"
    set_row(on_disk.api, location, held_until=LONG_AGO)
    assert on_disk.send(location, 0, b"a") == 1


def test_a_client_that_falls_silent_is_let_go(
    on_disk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_receive, "SILENCE_SECONDS", 0.5)
    location = on_disk.create(10)
    with SlowPatch(on_disk.api, location, 10) as silent:
        silent.send(b"abc")
        assert b"upload_silent" in silent.answer()
    assert on_disk.offset(location) == 3


def test_a_lost_last_answer_does_not_matter(tus: Client) -> None:
    body = os.urandom(MIB)
    location = tus.create(len(body))
    with CuttingProxy(tus.api.url, [1], answers=True).running() as proxy:
        broken = Client(tus.api, proxy.url)
        with pytest.raises(httpx.TransportError):
            broken.patch(location, 0, body)
        broken.close()
    assert tus.offset(location) == len(body)
    assert tus.send(location, len(body), b"") == len(body)
    assert tus.api.job(id_of(location))["status"] == "pending"
    assert tus.api.queued(id_of(location)) == ["plan"]


def test_beginning_twice_with_one_key_begins_once(on_disk: Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, second = (on_disk.post(5, b"abc", None, **key) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert on_disk.offset(first.headers["Location"]) == 3
    assert on_disk.post(6, None, None, **key).status_code == 422


def test_a_client_may_choose_the_id_of_the_job(on_disk: Client) -> None:
    job_id = str(uuid.uuid4())
    assert on_disk.create(5, job_id=job_id) == f"{URL}/{job_id}"
    taken = on_disk.post(5, meta={"job_id": job_id})
    assert (taken.status_code, taken.json()["code"]) == (409, "job_id_taken")


# -- processes that die ---------------------------------------------------------------------


def write_without_finishing(api: Api, location: str, body: bytes) -> uuid.UUID:
    """Does what a process does that dies right after the last byte."""
    holder = uuid.uuid4()
    upload = tus_service.take(api.parts.sessions, uuid.UUID(id_of(location)), holder)
    assert upload is not None
    parts = api.parts
    writer = TusWriter(parts.settings, parts.sessions, parts.store, upload, holder)
    writer.write(body)
    assert writer.keep(whole=True) == len(body)
    writer.close()
    return upload.job_id


def test_a_whole_upload_whose_process_died_is_finished(tus: Client) -> None:
    location = tus.create(5)
    job_id = write_without_finishing(tus.api, location, b"abcde")
    assert tus.offset(location) == 5
    assert tus.api.job(str(job_id))["status"] == "uploading"
    run_sweep(tus.api)
    assert tus.api.job(str(job_id))["status"] == "pending"
    assert stored(tus.api, str(job_id)) == b"abcde"
    run_sweep(tus.api)
    assert tus.api.queued(str(job_id)) == ["plan"]


def test_a_whole_upload_is_finished_by_a_request_that_brings_nothing(tus: Client) -> None:
    location = tus.create(5)
    job_id = write_without_finishing(tus.api, location, b"abcde")
    assert tus.send(location, 5, b"") == 5
    assert tus.api.job(str(job_id))["status"] == "pending"
    assert stored(tus.api, str(job_id)) == b"abcde"


def test_an_object_that_was_completed_by_a_process_that_died_counts(tus: Client) -> None:
    location = tus.create(5)
    job_id = write_without_finishing(tus.api, location, b"abcde")
    with tus.api.parts.sessions() as session:
        row, job = session.get(TusUpload, job_id), session.get(Job, job_id)
        names = resumable.part_names(session, job_id)
    assert row is not None
    assert job is not None
    tus.api.parts.store.resume(
        row.object_key, job.content_type or "", row.object_metadata, row.multipart_id or "",
        parts=names, size=5,
    ).complete()  # fmt: skip
    run_sweep(tus.api)
    assert tus.api.job(str(job_id))["status"] == "pending"
    assert stored(tus.api, str(job_id)) == b"abcde"


def lose_parts(api: Api, location: str) -> str:
    """Does to storage what a lifecycle rule may do; returns the key."""
    row = row_of(api, location)
    assert row is not None
    api.parts.store.abort(row.object_key, row.multipart_id or "")
    return row.object_key


def test_an_upload_whose_parts_are_gone_fails_when_it_goes_on(tus: Client) -> None:
    location = tus.create(2 * PART)
    tus.send(location, 0, bytes(PART + 10))
    key = lose_parts(tus.api, location)
    assert tus.patch(location, PART + 10, bytes(PART - 10)).status_code == 410
    job = tus.api.job(id_of(location))
    assert (job["status"], job["error"]["code"]) == ("failed", "upload_broken")
    run_sweep(tus.api)
    assert left_behind(tus.api, location, key) == []


def test_an_upload_whose_parts_are_gone_fails_when_it_is_finished(tus: Client) -> None:
    location = tus.create(5)
    job_id = write_without_finishing(tus.api, location, b"abcde")
    lose_parts(tus.api, location)
    run_sweep(tus.api)
    job = tus.api.job(str(job_id))
    assert (job["status"], job["error"]["code"]) == ("failed", "upload_broken")
    assert tus.head(location).status_code == 410


def test_nothing_counts_that_storage_did_not_take(api: Api) -> None:
    client = Client(api)
    body = os.urandom(2 * PART + 10)
    location = client.create(len(body))
    client.send(location, 0, body[: PART + 10])
    parts, holder = api.parts, uuid.uuid4()
    unreachable = parts.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    upload = tus_service.take(parts.sessions, uuid.UUID(id_of(location)), holder)
    assert upload is not None
    writer = TusWriter(
        parts.settings, parts.sessions, S3Store.from_settings(unreachable), upload, holder
    )
    with pytest.raises(StorageError):
        writer.write(body[PART + 10 : 2 * PART])
    with pytest.raises(StorageError):
        writer.keep(whole=False)
    writer.close()
    assert client.offset(location) == PART + 10
    client.send(location, PART + 10, body[PART + 10 :])
    assert stored(api, id_of(location)) == body
    client.close()


def test_a_disk_that_takes_only_a_part_of_a_piece_damages_nothing(api: Api) -> None:
    client = Client(api)
    body = os.urandom(PART - 5)
    location = client.create(len(body))
    client.send(location, 0, body[: PART - 10])
    holder = uuid.uuid4()
    upload = tus_service.take(api.parts.sessions, uuid.UUID(id_of(location)), holder)
    assert upload is not None
    writer = TusWriter(api.parts.settings, api.parts.sessions, api.parts.store, upload, holder)
    writer.write(body[PART - 10 :])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Of a write that goes over the end, the system takes what fits, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (PART - MIB // 2, hard))
    try:
        with pytest.raises(StorageError, match="cannot be buffered"):
            writer.keep(whole=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert writer.keep(whole=True) == len(body)
    writer.close()
    client.send(location, len(body), b"")
    assert stored(api, id_of(location)) == body
    client.close()


def test_a_request_that_lost_its_lease_writes_nothing_down(on_disk: Client) -> None:
    location = on_disk.create(5)
    parts, job_id, frozen = on_disk.api.parts, uuid.UUID(id_of(location)), uuid.uuid4()
    upload = tus_service.take(parts.sessions, job_id, frozen)
    assert upload is not None
    writer = TusWriter(parts.settings, parts.sessions, parts.store, upload, frozen)
    writer.write(b"xxx")
    set_row(on_disk.api, location, held_until=LONG_AGO)
    on_disk.send(location, 0, b"abc")
    with pytest.raises(Superseded):
        writer.report()
    with pytest.raises(Superseded):
        writer.keep(whole=True)
    writer.close()
    on_disk.send(location, 3, b"de")
    assert stored(on_disk.api, id_of(location)) == b"abcde"


# -- ends -----------------------------------------------------------------------------------


def test_an_upload_that_stands_still_expires_and_not_before(tus: Client) -> None:
    location = tus.create(PART + 100)
    tus.send(location, 0, bytes(PART + 10))
    with tus.api.parts.sessions.begin() as session:
        session.execute(update(Job).values(updated_at=LONG_AGO))
    run_sweep(tus.api)
    job = tus.api.job(id_of(location))
    assert (job["status"], left_behind(tus.api, location, job["s3_key"]) == []) == (
        "uploading", False,
    )  # fmt: skip
    set_row(tus.api, location, expires_at=LONG_AGO)
    run_sweep(tus.api)
    job = tus.api.job(id_of(location))
    assert job["status"] == "expired"
    assert left_behind(tus.api, location, job["s3_key"]) == []
    assert row_of(tus.api, location) is None
    assert tus.head(location).status_code == 410
    assert tus.patch(location, PART + 10, b"a").json()["code"] == "upload_gone"


def test_an_upload_that_is_finished_is_forgotten_later(on_disk: Client) -> None:
    location = on_disk.create(3, b"abc")
    set_row(on_disk.api, location, expires_at=LONG_AGO)
    run_sweep(on_disk.api)
    assert row_of(on_disk.api, location) is None
    assert on_disk.head(location).status_code == 404
    assert on_disk.api.job(id_of(location))["status"] == "pending"
    assert stored(on_disk.api, id_of(location)) == b"abc"


def test_what_a_dead_process_began_on_disk_goes_and_what_lives_stays(on_disk: Client) -> None:
    api = on_disk.api
    store = api.parts.store
    assert isinstance(store, DirectoryStore)
    location = on_disk.create(PART + 5)
    on_disk.send(location, 0, bytes(PART))
    alive = row_of(api, location)
    assert alive is not None
    assert alive.multipart_id is not None
    dead, fresh = store.begin("videos/a.jpg", "", {}).id, store.begin("videos/b.jpg", "", {}).id
    about = store.part_path(dead).with_suffix(".json")
    about.write_text("{}")
    ancient = (LONG_AGO - timedelta(days=60)).timestamp()
    for path in (store.part_path(alive.multipart_id), store.part_path(dead), about):
        os.utime(path, (ancient, ancient))
    run_sweep(api)
    left = {path.name for path in store.part_path(dead).parent.iterdir()}
    assert {alive.multipart_id, fresh} <= left
    assert not {dead, about.name} & left
    on_disk.send(location, PART, bytes(5))
    assert stored(api, id_of(location)) == bytes(PART + 5)
    store.abort("", fresh)


def test_giving_up_removes_what_was_stored(tus: Client) -> None:
    location = tus.create(PART + 100)
    tus.send(location, 0, bytes(PART + 10))
    job = tus.api.job(id_of(location))
    assert left_behind(tus.api, location, job["s3_key"]) != []
    assert tus.delete(location) == 204
    assert left_behind(tus.api, location, job["s3_key"]) == []
    assert tus.api.job(id_of(location))["status"] == "cancelled"
    assert tus.head(location).status_code == 410
    assert tus.delete(location) == 410


def test_a_finished_upload_is_not_given_up_but_its_job_deleted(on_disk: Client) -> None:
    location = on_disk.create(3, b"abc")
    assert on_disk.delete(location) == 409
    assert on_disk.api.client.delete(f"/jobs/{id_of(location)}").status_code == 200
    assert on_disk.head(location).status_code == 410


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_ending_the_job_stops_the_upload_and_removes_it(tus: Client, way: str) -> None:
    location = tus.create(PART + 100)
    with SlowPatch(tus.api, location, PART + 100) as slow:
        slow.send(bytes(PART + 10))
        wait_for_offset(tus.api, location, PART + 10)
        key = tus.api.job(id_of(location))["s3_key"]
        if way == "cancel":
            assert tus.api.client.post(f"/jobs/{id_of(location)}/cancel").status_code == 200
        else:
            assert tus.api.client.delete(f"/jobs/{id_of(location)}").status_code == 200
        assert b" 410 " in slow.answer()
    run_sweep(tus.api)
    assert left_behind(tus.api, location, key) == []
    assert row_of(tus.api, location) is None


# -- what the service says of itself --------------------------------------------------------


@pytest.mark.parametrize("path", [URL, f"{URL}/x"])
def test_options_tell_what_is_spoken(any_api: Api, path: str) -> None:
    answer = any_api.client.options(path)
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(any_api.parts.settings.max_file_size)
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation", "creation-defer-length", "creation-with-upload", "checksum", "expiration",
        "termination",
    }  # fmt: skip
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    config = any_api.client.get("/config").json()
    assert (config["tus_url"], "tus" in config["upload_methods"]) == (URL, True)


def test_an_answer_to_head_has_all_that_the_client_said(on_disk: Client) -> None:
    location = on_disk.create(7, frame_skip="2")
    answer = on_disk.head(location)
    assert answer.headers["Upload-Length"] == "7"
    assert answer.headers["Upload-Offset"] == "0"
    assert answer.headers["Upload-Metadata"] == metadata(frame_skip="2")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Upload-Expires"].endswith(" GMT")


def test_clients_that_can_only_post_are_served(on_disk: Client) -> None:
    location, url = on_disk.create(3), on_disk.api.url
    how = {**TUS, "X-HTTP-Method-Override": "PATCH"}
    sent = httpx.post(
        url + location, headers={**how, **BODY, "Upload-Offset": "0"}, content=b"a", timeout=60
    )
    assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, "1")
    asked = httpx.post(url + location, headers={**TUS, "X-HTTP-Method-Override": "HEAD"})
    assert asked.headers["Upload-Offset"] == "1"
    gone = httpx.post(url + location, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert gone.status_code == 204
    assert httpx.post(url + location, headers=TUS).status_code == 405


def test_a_page_on_another_origin_may_use_it(api: Api) -> None:
    app = create_app(api.parts.settings.model_copy(update={"cors_origins": "https://a.example"}))

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            origin = {"Origin": "https://a.example"}
            preflight = await client.options(
                f"{URL}/x",
                headers={
                    **origin,
                    "Access-Control-Request-Method": "PATCH",
                    "Access-Control-Request-Headers": "tus-resumable,upload-offset",
                },
            )
            return preflight, await client.options(URL, headers=origin)

    preflight, answer = asyncio.run(ask())
    assert preflight.status_code == 200
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert "upload-offset" in preflight.headers["Access-Control-Allow-Headers"].lower()
    exposed = answer.headers["Access-Control-Expose-Headers"]
    for header in ("Location", "Upload-Offset", "Upload-Length", "Tus-Resumable", "Upload-Expires"):
        assert header in exposed
