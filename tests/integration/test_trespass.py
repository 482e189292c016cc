"""What somebody with a key, or a token, would try in order to see or hinder what is another's."""

from __future__ import annotations

import base64
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, update

from detect_api.db.tables import Job, Redaction
from detect_api.services import job_service
from tests.integration.conftest import Api, serve
from tests.integration.keyed import PRESIGN, TUS, WAIT_SECONDS, bearer, form, key_of, until

ASYNC = "/process/video/upload/async"
FILE = {"file": ("mine.mp4", b"x" * 100, "video/mp4")}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def by_tus(api: Api, headers: dict[str, str], name: str, job_id: str, size: int) -> httpx.Response:
    metadata = f"filename {b64(name)},job_id {b64(job_id)}"
    more = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    return api.client.post("/uploads/tus", headers={**headers, **more})


def test_ids_that_begin_alike_do_not_lead_to_the_same_object(keyed: Api) -> None:
    """Clients choose ids as they like, and some count: the first eight digits are all zeros."""
    number = iter(range(0xAB0000000000, 0xABFFFFFFFFFF))
    ids = [str(uuid.UUID(int=next(number))) for _ in range(4)]
    one, two = (bearer(key_of(keyed, tenant=name)) for name in ("first", "second"))
    for headers, job_id in ((one, ids[0]), (two, ids[1])):
        sent = keyed.client.post(ASYNC, files=FILE, headers={**headers, "X-Job-ID": job_id})
        assert sent.status_code == 200, sent.text
    for headers, job_id in ((one, ids[2]), (two, ids[3])):
        assert by_tus(keyed, headers, "a.mp4", job_id, 5).status_code == 201
    with keyed.parts.sessions() as session:
        wanted = [uuid.UUID(job_id) for job_id in ids]
        keys = session.scalars(select(Job.object_key).where(Job.id.in_(wanted))).all()
    # The rest of a key is the second in which its upload began.
    assert len({key.rsplit("_", 1)[1] for key in keys if key}) == len(ids)


def test_the_id_of_a_deleted_job_is_not_given_out_again(keyed: Api) -> None:
    """What was at work for the one job must never write into, or be told of, the other."""
    theirs, mine = (bearer(key_of(keyed, tenant=name)) for name in ("theirs", "nosy"))
    job_id = str(uuid.uuid4())
    begun = by_tus(keyed, theirs, "whose-house.mp4", job_id, 5)
    assert begun.status_code == 201
    patch = {**theirs, **TUS, "Upload-Offset": "0"}
    patch["Content-Type"] = "application/offset+octet-stream"
    assert keyed.client.patch(begun.headers["location"], content=b"12345", headers=patch).is_success
    assert keyed.client.delete(f"/jobs/{job_id}", headers=theirs).status_code == 200
    for headers in (mine, theirs):
        sent = keyed.client.post(ASYNC, files=FILE, headers={**headers, "X-Job-ID": job_id})
        state = keyed.client.head(f"/uploads/tus/{job_id}", headers={**headers, **TUS})
        assert b64("whose-house.mp4") not in state.headers.get("upload-metadata", "")
        assert (sent.status_code, sent.json().get("code")) == (409, "job_id_taken")
        assert by_tus(keyed, headers, "a.mp4", job_id, 5).status_code == 409


def test_an_id_that_is_just_being_freed_is_not_given_out_either(keyed: Api) -> None:
    theirs, mine = (bearer(key_of(keyed, tenant=name)) for name in ("theirs", "nosy"))
    job_id = str(uuid.uuid4())
    assert by_tus(keyed, theirs, "a.mp4", job_id, 5).status_code == 201
    with ThreadPoolExecutor(1) as pool, keyed.parts.sessions.begin() as session:
        job_service.remove(session, keyed.parts.settings, uuid.UUID(job_id))
        headers = {**mine, "X-Job-ID": job_id}
        asked = pool.submit(
            httpx.post, keyed.url + ASYNC, files=FILE, headers=headers, timeout=WAIT_SECONDS
        )
        waits = text(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        )
        with keyed.parts.sessions() as other:
            until(lambda: bool(other.scalar(waits)))
        session.commit()
        assert asked.result().status_code == 409


def test_who_has_a_token_cannot_hold_back_the_key_that_made_it(keyed: Api) -> None:
    key = bearer(key_of(keyed, tenant="giver", requests_per_minute=5))
    token = bearer(keyed.client.post("/upload-tokens", json={}, headers=key).json()["token"])
    nothing = f"/jobs/{uuid.uuid4()}"
    answers = [keyed.client.get(nothing, headers=token).status_code for _ in range(20)]
    assert {404, 429} == set(answers)
    assert keyed.client.get("/jobs", headers=key).status_code == 200


def test_a_token_waits_for_a_database_that_is_away(keyed: Api) -> None:
    key = bearer(key_of(keyed, tenant="giver"))
    token = bearer(keyed.client.post("/upload-tokens", json={}, headers=key).json()["token"])
    assert keyed.client.get(f"/jobs/{uuid.uuid4()}", headers=token).status_code == 404
    with keyed.parts.sessions.begin() as session:
        session.execute(text("ALTER TABLE api_keys RENAME TO api_keys_away"))
    try:
        # Whose it is is known for two seconds more.
        by_form = keyed.client.post(PRESIGN, json=form(), headers=token)
        resumable = by_tus(keyed, token, "a.mp4", str(uuid.uuid4()), 5)
    finally:
        with keyed.parts.sessions.begin() as session:
            session.execute(text("ALTER TABLE api_keys_away RENAME TO api_keys"))
    assert (by_form.status_code, by_form.json()["code"]) == (503, "database_unavailable")
    assert resumable.status_code in (423, 503)
    assert keyed.client.post(PRESIGN, json=form(), headers=token).status_code == 200


def test_whoever_asks_for_an_exports_address_is_written_down(keyed: Api) -> None:
    """With CloudFront the address that HEAD is given is good for GET, too."""
    key = bearer(key_of(keyed, tenant="exports"))
    job_id = uuid.UUID(keyed.finished_job([]))
    copy = f"videos/redacted/{job_id}/copy.webm"
    keyed.parts.store.put(copy, b"x" * 10, "video/webm")
    with keyed.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == job_id).values(tenant="exports"))
        session.add(Redaction(job_id=job_id, export_id=uuid.uuid4(), status="completed",
                              object_key=copy, size=10))  # fmt: skip
    answer = keyed.client.head(f"/jobs/{job_id}/redacted/video", headers=key)
    assert answer.status_code == 307
    entries = keyed.client.get("/audit?action=export", headers=key).json()["entries"]
    assert [entry["target"] for entry in entries] == [str(job_id)]


@pytest.mark.parametrize("key", ["videos/tus/x/part", "videos/folder/", "videos/evidence/x.mp4"])
def test_what_is_no_video_of_its_own_is_not_processed(keyed: Api, key: str) -> None:
    """Deleting a job whose video is a folder would delete the folder."""
    operator = bearer(key_of(keyed, tenant="default"))
    keyed.parts.store.put(key, b"x" * 10, "video/mp4")
    refused = keyed.client.post("/process/video/s3", json={"s3_key": key}, headers=operator)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_a_form_of_another_tenant_is_no_way_to_its_upload(keyed: Api) -> None:
    """Knowing a key in the bucket, before and after its upload, opens nothing."""
    theirs, mine = (bearer(key_of(keyed, tenant=name)) for name in ("theirs", "nosy"))
    cases: tuple[dict[str, Any], ...] = ({}, {"auto_process": True})
    for more in cases:
        made = keyed.client.post(PRESIGN, json=form(file_size=100, **more), headers=theirs).json()
        asked = {"s3_key": made["s3_key"]}

        def ask(_: int = 0, asked: dict[str, str] = asked) -> int:
            url = f"{keyed.url}/process/video/s3"
            return httpx.post(url, json=asked, headers=mine, timeout=WAIT_SECONDS).status_code

        assert ask() == 404
        keyed.parts.store.put(made["s3_key"], b"x" * 100, "video/mp4")
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(4))) == {404}
        view = keyed.client.get(f"/jobs/{made['job_id']}", headers=theirs).json()
        assert view["status"] in ("uploaded", "pending")
        assert keyed.client.delete(f"/jobs/{made['job_id']}", headers=theirs).status_code == 200
        assert ask() == 404


def test_without_keys_no_page_of_another_name_is_answered(api: Api) -> None:
    """A name that leads to 127.0.0.1 makes a stranger's page one of the service's own origin."""
    port = api.url.rsplit(":", 1)[1]
    for host in (f"attacker.example:{port}", "127.0.0.1.attacker.example", f"0.0.0.0:{port}", "x"):
        for method, path in (("GET", "/jobs"), ("GET", "/plates"), ("POST", PRESIGN)):
            refused = api.client.request(method, path, json=form(), headers={"Host": host})
            assert (refused.status_code, refused.json()["code"]) == (403, "foreign_host")
        assert api.client.get("/health", headers={"Host": host}).status_code == 200
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", f"[::1]:{port}", "127.8.9.1"):
        assert api.client.get("/jobs", headers={"Host": host}).status_code == 200


def test_without_keys_no_page_of_another_origin_changes_anything(api: Api) -> None:
    """A browser sends forms to any address, whether the page may see the answer or not."""
    for origin in ("https://attacker.example", "null", "http://127.0.0.1:1", "http://localhost"):
        for path in ("/process/sample", ASYNC, "/detect/upload", "/uploads/tus"):
            refused = api.client.post(path, headers={"Origin": origin, **TUS})
            assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
        assert api.client.get("/jobs", headers={"Origin": origin}).status_code == 200
    own = api.client.post(PRESIGN, json=form(), headers={"Origin": api.url})
    assert own.status_code == 200
    named = api.parts.settings.model_copy(update={"cors_origins": "https://friend.example"})
    running = serve(named)
    friendly = next(running)
    friend = {"Origin": "https://friend.example"}
    assert friendly.client.post(PRESIGN, json=form(), headers=friend).status_code == 200
    stranger = {"Origin": "https://attacker.example"}
    assert friendly.client.post(PRESIGN, json=form(), headers=stranger).status_code == 403
    next(running, None)


def test_with_keys_the_service_has_whatever_name_it_has(keyed: Api) -> None:
    headers = {**bearer(key_of(keyed)), "Host": "plates.example"}
    assert keyed.client.get("/jobs", headers=headers).status_code == 200
