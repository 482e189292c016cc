"""Keys, tenants, limits and the audit log: what each key sees, and what it does not."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import func, select, text, update
from starlette.types import Message

from detect_api.api.buckets import MAX_KEPT
from detect_api.api.keyring import WRONG_KEYS_PER_MINUTE, Keyring
from detect_api.api.rules import rule_for
from detect_api.app import create_app
from detect_api.core import owner
from detect_api.core.errors import InvalidRequest, Unavailable
from detect_api.core.owner import Owner
from detect_api.db.migrate import upgrade
from detect_api.db.narrow import NotYours
from detect_api.db.tables import Event, Job, Plate, UnreadTrack
from detect_api.jobs import forgetting
from detect_api.services import key_service
from tests.conftest import make_settings
from tests.integration.conftest import Api
from tests.integration.keyed import (
    PRESIGN,
    TUS,
    WAIT_SECONDS,
    a_job_of,
    bearer,
    form,
    key_of,
    things_of,
    until,
)

# -- who comes in ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Basic Og=="}, 401),
        (bearer("da_k_aaaaaaaa_" + "b" * 43), 401),
        ({"X-API-Key": "nonsense"}, 401),
        ({"Cookie": "detect_api_session=nonsense"}, 401),
    ],
)
def test_nobody_comes_in_without_a_valid_key(
    keyed: Api, headers: dict[str, str], status: int
) -> None:
    answer = keyed.client.get("/jobs", headers=headers)
    assert answer.status_code == status
    assert answer.json()["code"] == "key_needed"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_a_key_comes_as_bearer_or_as_header_of_its_own(keyed: Api) -> None:
    secret = key_of(keyed)
    for headers in (bearer(secret), {"Authorization": f"bearer {secret}"}, {"X-API-Key": secret}):
        answer = keyed.client.get("/jobs", headers=headers)
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["ratelimit-remaining"]) < int(answer.headers["ratelimit-limit"])
    # A cookie holds a session and not a key.
    refused = keyed.client.get("/jobs", headers={"Cookie": f"detect_api_session={secret}"})
    assert refused.status_code == 401


def test_of_a_key_only_a_hash_is_kept(keyed: Api) -> None:
    secret = key_of(keyed)
    with keyed.parts.sessions() as session:
        rows = session.execute(text("SELECT row_to_json(k)::text FROM api_keys k")).scalars().all()
    assert not [row for row in rows if secret in row or secret.rsplit("_", 1)[1] in row]
    assert [row for row in rows if secret[:13] in row]


def test_what_is_for_everybody_needs_no_key_and_tells_nothing_of_the_inside(keyed: Api) -> None:
    for path in ("/health", "/config", "/openapi.json", "/docs", "/"):
        assert keyed.client.get(path).status_code in (200, 404), path
    stranger = keyed.client.get("/ready").json()
    assert {stranger[part]["detail"] for part in ("database", "storage", "workers")} <= {
        "answers", "is missing",
    }  # fmt: skip
    operator = key_of(keyed, tenant="default")
    insider = keyed.client.get("/ready", headers=bearer(operator)).json()
    assert "detect-api worker" in insider["workers"]["detail"]
    assert keyed.client.get("/metrics").status_code == 401
    assert keyed.client.get("/metrics", headers=bearer(key_of(keyed))).status_code == 403
    numbers = keyed.client.get("/metrics", headers=bearer(operator))
    assert numbers.status_code == 200


def test_a_key_for_metrics_opens_nothing_else(keyed: Api) -> None:
    headers = bearer(key_of(keyed, tenant="default", scopes=["metrics"]))
    assert "detect_api_jobs" in keyed.client.get("/metrics", headers=headers).text
    job_id = a_job_of(keyed, "default")
    opened = set()
    for path, methods in keyed.client.get("/openapi.json").json()["paths"].items():
        for method in set(methods) - {"options"}:
            where = re.sub(r"\{\w+\}", job_id, path)
            answer = keyed.client.request(method, where, headers={**headers, **TUS})
            if answer.status_code != 403:
                opened.add((method, path))
    everybodys = {("get", path) for path in ("/", "/health", "/ready", "/config")}
    own = {("get", "/metrics"), ("post", "/session"), ("delete", "/session")}
    assert opened - everybodys - own == {("post", "/events/s3")}
    assert "alive" not in keyed.client.get("/ready", headers=headers).text
    for scopes in (["read"], ["upload"]):
        other = bearer(key_of(keyed, tenant="default", scopes=scopes))
        assert keyed.client.get("/metrics", headers=other).status_code == 403
    with pytest.raises(InvalidRequest, match="default"):
        key_of(keyed, tenant="one", scopes=["metrics"])


def test_wrong_keys_are_slowed_down_and_right_ones_from_the_same_address_are_not(
    keyed: Api,
) -> None:
    right = bearer(key_of(keyed))
    session = keyed.client.post("/session", headers=right).headers["set-cookie"].split(";")[0]
    keyed.client.cookies.clear()
    # A proxy on the same machine is believed.
    office, other = ({"X-Forwarded-For": f"203.0.113.{number}"} for number in (5, 6))

    def wrong(number: int, address: dict[str, str] = office) -> httpx.Response:
        name = "Authorization" if number % 2 else "X-API-Key"
        word = "Bearer " if number % 2 else ""
        secret = f"da_k_{number:08}_{'b' * 43}"
        return keyed.client.get("/jobs", headers={**address, name: f"{word}{secret}"})

    answers = [wrong(number) for number in range(WRONG_KEYS_PER_MINUTE + 30)]
    assert {answer.status_code for answer in answers[:WRONG_KEYS_PER_MINUTE]} == {401}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.json()["code"] for answer in refused} == {"wrong_keys"}
    assert {1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused} == {True}
    assert keyed.client.get("/jobs", headers={**office, **right}).status_code == 200
    assert keyed.client.get("/jobs", headers={**office, "Cookie": session}).status_code == 200
    # A new key, never seen here before, comes in at once; a page without one is told so.
    assert keyed.client.get("/jobs", headers={**office, **bearer(key_of(keyed))}).status_code == 200
    gone = {**office, "Cookie": "detect_api_session=gone"}
    assert keyed.client.get("/jobs", headers=gone).status_code == 401
    assert wrong(1, other).status_code == 401


def test_of_those_who_send_wrong_keys_a_bounded_number_is_remembered(keyed: Api) -> None:
    keys = Keyring(keyed.parts.settings, keyed.parts.sessions)
    for number in range(MAX_KEPT + 100):
        keys.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(keys._wrong) == MAX_KEPT
    # One who has a network of IPv6 has 64 bits of addresses.
    answers = [keys.wrong(f"2001:db8::{number:x}") for number in range(WRONG_KEYS_PER_MINUTE + 2)]
    assert answers[-1].retry_after is not None
    assert keys.wrong("2001:db8:1::1").retry_after is None


def test_a_key_does_what_its_scopes_allow(keyed: Api) -> None:
    job_id = a_job_of(keyed, "scoped")
    plate = f"/plates/{uuid.uuid4()}"
    upload, read, admin = (
        key_of(keyed, tenant="scoped", scopes=[scope]) for scope in ("upload", "read", "admin")
    )
    cases: list[tuple[str, str, Any, set[str]]] = [
        ("POST", PRESIGN, form(), {upload, admin}),
        ("POST", "/uploads", form(file_size=10), {upload, admin}),
        ("GET", f"/jobs/{job_id}", None, {upload, read, admin}),
        ("GET", "/jobs", None, {read, admin}),
        ("GET", f"/jobs/{job_id}/result", None, {read, admin}),
        ("GET", "/plates", None, {read, admin}),
        ("PATCH", plate, {"text": "A"}, {admin}),
        ("POST", "/upload-tokens", {}, {upload, admin}),
        ("GET", "/audit", None, {admin}),
        ("DELETE", f"/jobs/{job_id}", None, {admin}),
    ]
    for method, path, body, allowed in cases:
        for secret in (upload, read, admin):
            answer = keyed.client.request(method, path, json=body, headers=bearer(secret))
            expected = secret in allowed
            assert (answer.status_code != 403) is expected, (method, path, answer.text)
            assert answer.status_code not in (401, 500)


def test_a_revoked_or_expired_key_is_worth_nothing_soon(keyed: Api) -> None:
    secret = key_of(keyed)
    brief = key_of(keyed, seconds=1)
    token = keyed.client.post("/upload-tokens", json={}, headers=bearer(secret)).json()["token"]
    assert keyed.client.get("/jobs", headers=bearer(secret)).status_code == 200
    with keyed.parts.sessions.begin() as session:
        key_service.revoke(session, secret[:13])
    until(lambda: keyed.client.get("/jobs", headers=bearer(secret)).status_code == 401)
    until(lambda: keyed.client.get("/jobs", headers=bearer(brief)).status_code == 401)
    answer = keyed.client.post(PRESIGN, json=form(), headers=bearer(token))
    assert answer.status_code == 401


def test_refused_before_the_first_byte_of_a_body_is_read(keyed: Api) -> None:
    app = create_app(keyed.parts.settings)

    async def receive() -> Message:
        raise AssertionError("a byte was asked for")

    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    for path in ("/uploads/tus", "/process/video/upload/async", "/detect/upload"):
        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"",
            "http_version": "1.1",
            "headers": [(b"expect", b"100-continue"), (b"tus-resumable", b"1.0.0")],
        }  # fmt: skip
        asyncio.run(app(scope, receive, send))
    statuses = [message["status"] for message in answers if "status" in message]
    assert statuses == [401, 401, 401]
    for engine in app.state.parts.engines:
        engine.dispose()


# -- tenants --------------------------------------------------------------------------------


def test_no_route_shows_or_changes_what_is_another_tenants(keyed: Api) -> None:
    """All routes of the description, so that a new one cannot forget it."""
    mine = bearer(key_of(keyed, tenant="mine"))
    ids = things_of(keyed, "mine", mine)
    job_id = ids["job_id"][0]
    before = everything(keyed)
    foreign = bearer(key_of(keyed, tenant="foreign"))
    seen = 0
    for path, methods in keyed.client.get("/openapi.json").json()["paths"].items():
        names = re.findall(r"\{(\w+)\}", path)
        for method in methods:
            if not names or method == "options":
                continue
            for first in ids[names[0]]:
                where = path.replace(f"{{{names[0]}}}", first)
                for name in names[1:]:
                    where = where.replace(f"{{{name}}}", ids[name][0])
                answer = keyed.client.request(
                    method, where, headers={**foreign, **TUS, **more(path, method)},
                    json=body(path, method),
                )  # fmt: skip
                assert answer.status_code == 404, (method, where, answer.status_code, answer.text)
                assert "AB12CDE" not in answer.text
                seen += 1
    assert seen > 30
    assert everything(keyed) == before
    for path, name in (
        ("/jobs", "jobs"),
        ("/plates?text=AB12CDE", "plates"),
        ("/audit", "entries"),
    ):
        found = keyed.client.get(path, headers=foreign).json()[name]
        assert not [item for item in found if item.get("action") != "search"], path
    own = keyed.client.get("/plates?text=AB12CDE", headers=mine).json()["plates"]
    assert [plate["job_id"] for plate in own] == [job_id]


def test_a_plate_is_forgotten_in_ones_own_jobs_only(keyed: Api) -> None:
    mine, theirs = a_job_of(keyed, "mine"), a_job_of(keyed, "theirs")
    key = bearer(key_of(keyed, tenant="theirs"))
    answer = keyed.client.post("/plates/forget", json={"text": "AB12CDE"}, headers=key)
    assert answer.status_code == 202, answer.text
    # The sweep goes on with it on nobody's behalf.
    forgetting.go_on_with(keyed.parts.sessions, uuid.UUID(answer.json()["receipt_id"]))
    with keyed.parts.sessions() as session:
        left = session.scalars(select(Plate.job_id).where(Plate.text == "AB12CDE")).all()
    assert uuid.UUID(mine) in left
    assert uuid.UUID(theirs) not in left
    entries = keyed.client.get("/audit?action=forget", headers=key).json()["entries"]
    assert len(entries) == 1
    assert "AB12CDE" not in json.dumps(entries)


def more(path: str, method: str) -> dict[str, str]:
    if not path.startswith("/uploads/tus/") or method == "delete":
        return {}
    override = {"X-HTTP-Method-Override": "HEAD"} if method == "post" else {}
    return {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", **override}


def body(path: str, method: str) -> dict[str, Any] | None:
    if path.endswith("/parts"):
        return {"part_numbers": [1]}
    return {"text": "ZZ"} if method == "patch" and path.startswith("/plates") else None


def everything(api: Api) -> list[Any]:
    with api.parts.sessions() as session:
        return [
            session.execute(
                text(f"SELECT count(*), max({column}::text) FROM {table}")
            ).one()
            for table, column in (
                ("jobs", "updated_at"), ("plates", "text"), ("unread_tracks", "track_id"),
                ("webhook_deliveries", "status"), ("tus_uploads", "holder"), ("removals", "id"),
            )
        ]  # fmt: skip


def test_every_route_of_the_description_has_a_rule_of_its_own(keyed: Api) -> None:
    meant = {("POST", "/webhooks/x/replay"), ("GET", "/audit"), ("DELETE", "/jobs/x")}
    meant |= {("PATCH", "/plates/x"), ("POST", "/plates/forget")}
    for path, methods in keyed.client.get("/openapi.json").json()["paths"].items():
        concrete = re.sub(r"\{\w+\}", "x", path)
        for method in methods:
            rule, _ = rule_for(method.upper(), concrete)
            admin_only = rule.scopes == ("admin",) and not rule.public
            assert admin_only is ((method.upper(), concrete) in meant), (method, path)


def test_another_tenants_video_cannot_be_processed_and_a_foreign_one_is_the_operators(
    keyed: Api,
) -> None:
    one, two = (bearer(key_of(keyed, tenant=name)) for name in ("one", "two"))
    made = keyed.client.post(PRESIGN, json=form(), headers=one).json()
    store = keyed.parts.store
    store.put(made["s3_key"], b"x" * 100, "video/mp4")
    store.put("videos/from-outside.mp4", b"x" * 100, "video/mp4")
    asked = {"s3_key": made["s3_key"]}
    refused = keyed.client.post("/process/video/s3", json=asked, headers=two)
    assert (refused.status_code, refused.json()["code"]) == (404, "video_not_found")
    taken = keyed.client.post("/process/video/s3", json=asked, headers=one)
    assert taken.status_code == 200, taken.text
    outside = {"s3_key": "videos/from-outside.mp4"}
    assert keyed.client.post("/process/video/s3", json=outside, headers=two).status_code == 404
    operator = bearer(key_of(keyed, tenant="default"))
    assert keyed.client.post("/process/video/s3", json=outside, headers=operator).status_code == 200


def test_what_the_bucket_starts_belongs_to_whom_the_upload_belongs(keyed: Api) -> None:
    mine, other = (bearer(key_of(keyed, tenant=name)) for name in ("auto", "other"))
    made = keyed.client.post(PRESIGN, json=form(auto_process=True), headers=mine).json()
    keyed.parts.store.put(made["s3_key"], b"x" * 100, "video/mp4")
    from detect_api.jobs import arrivals

    arrivals.look_for_keys(keyed.parts.sessions, keyed.parts.store, [made["s3_key"]], 10**9)
    view = keyed.client.get(f"/jobs/{made['job_id']}", headers=mine).json()
    processing = view["processing_job_id"]
    assert keyed.client.get(f"/jobs/{processing}", headers=mine).status_code == 200
    assert keyed.client.get(f"/jobs/{processing}", headers=other).status_code == 404


def test_a_kept_answer_is_kept_for_its_tenant_only(keyed: Api) -> None:
    job_id = a_job_of(keyed, "kept")
    mine, other = (bearer(key_of(keyed, tenant=name)) for name in ("kept", "nosy"))
    for _ in range(5):
        assert keyed.client.get(f"/jobs/{job_id}", headers=mine).status_code == 200
        assert keyed.client.get(f"/jobs/{job_id}", headers=other).status_code == 404


def test_an_idempotency_key_of_one_tenant_says_nothing_to_another(keyed: Api) -> None:
    one, two = (bearer(key_of(keyed, tenant=name)) for name in ("idem1", "idem2"))
    same = {"Idempotency-Key": "the same"}
    first = keyed.client.post(PRESIGN, json=form(), headers={**one, **same}).json()
    again = keyed.client.post(PRESIGN, json=form(), headers={**one, **same}).json()
    other = keyed.client.post(PRESIGN, json=form(), headers={**two, **same}).json()
    different = keyed.client.post(PRESIGN, json=form("b.mp4"), headers={**two, **same})
    assert first == again
    assert other["job_id"] != first["job_id"]
    assert different.status_code == 422


def test_a_session_shows_and_writes_only_its_owners(keyed: Api) -> None:
    job_id = uuid.UUID(a_job_of(keyed, "deep"))
    with owner.acting_for(Owner("shallow")), keyed.parts.sessions() as session:
        for table in (Plate, UnreadTrack, Event):
            assert session.scalars(select(table).where(table.job_id == job_id)).all() == []
        assert session.get(Job, job_id) is None
        gone = session.execute(update(Job).where(Job.id == job_id).values(message="mine now"))
        assert gone.rowcount == 0  # type: ignore[attr-defined]
        assert session.scalar(select(func.count()).select_from(Job)) == 0
        session.add(Job(id=uuid.uuid4(), type="video", status="pending", tenant="deep"))
        with pytest.raises(NotYours):
            session.flush()
    with owner.acting_for(Owner("deep")), keyed.parts.sessions() as session:
        assert session.get(Job, job_id) is not None
        assert len(session.scalars(select(Plate).where(Plate.job_id == job_id)).all()) == 2


# -- limits ---------------------------------------------------------------------------------


def test_more_requests_than_allowed_are_told_when_to_come_again(keyed: Api) -> None:
    headers = bearer(key_of(keyed, requests_per_minute=5))
    answers = [keyed.client.get("/jobs", headers=headers) for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-limit"] == "5"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert answers[0].headers["ratelimit-limit"] == "5"
    # Another key is not held back by it.
    assert keyed.client.get("/jobs", headers=bearer(key_of(keyed))).status_code == 200


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ({"jobs_per_day": 2}, [10, 10]),
        ({"jobs_at_once": 1}, [10]),
        ({"bytes_per_day": 100}, [60, 40]),
    ],
)
def test_a_quota_that_is_used_up_ends_uploads_and_nothing_else(
    keyed: Api, limits: dict[str, Any], sizes: list[int]
) -> None:
    headers = bearer(key_of(keyed, tenant="quota", **limits))
    for size in sizes:
        answer = keyed.client.post(PRESIGN, json=form(file_size=size), headers=headers)
        assert answer.status_code == 200, answer.text
    for path, asked in ((PRESIGN, form(file_size=10)), ("/uploads", form(file_size=10))):
        refused = keyed.client.post(path, json=asked, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_reached")
        assert int(refused.headers["retry-after"]) > 0
    assert keyed.client.get("/jobs", headers=headers).status_code == 200
    other = bearer(key_of(keyed, tenant="quota"))
    assert keyed.client.post(PRESIGN, json=form(), headers=other).status_code == 200


# -- upload tokens --------------------------------------------------------------------------


def a_token(api: Api, tenant: str = "tokens", **limits: Any) -> dict[str, str]:
    made = api.client.post(
        "/upload-tokens", json=limits, headers=bearer(key_of(api, tenant=tenant, scopes=["upload"]))
    )
    assert made.status_code == 200, made.text
    return bearer(made.json()["token"])


def test_an_upload_token_is_good_for_one_upload_also_for_many_at_once(keyed: Api) -> None:
    token = a_token(keyed)

    def ask(_: int) -> httpx.Response:
        return httpx.post(keyed.url + PRESIGN, json=form(), headers=token, timeout=WAIT_SECONDS)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    refused = [answer.json()["code"] for answer in answers if answer.status_code != 200]
    assert set(refused) == {"upload_token_used"}
    job_id = good[0].json()["job_id"]
    assert keyed.client.get(f"/jobs/{job_id}", headers=token).json()["status"] == "awaiting_upload"


def test_an_upload_token_sees_its_upload_and_nothing_else(keyed: Api) -> None:
    other = a_job_of(keyed, "tokens")
    token = a_token(keyed)
    made = keyed.client.post("/uploads", json=form(file_size=10), headers=token).json()
    mine = f"/uploads/{made['upload_id']}"
    assert keyed.client.get(mine, headers=token).status_code == 200
    signed = keyed.client.post(f"{mine}/parts", json={"part_numbers": [1]}, headers=token)
    assert signed.status_code == 200
    assert keyed.client.get(f"/jobs/{other}", headers=token).status_code == 404
    for method, path in (
        ("GET", "/jobs"), ("GET", "/plates"), ("GET", f"/jobs/{other}/result"),
        ("DELETE", f"/jobs/{made['job_id']}"), ("POST", "/upload-tokens"), ("POST", "/session"),
        ("POST", f"/jobs/{made['job_id']}/cancel"), ("GET", "/audit"), ("GET", "/metrics"),
    ):  # fmt: skip
        answer = keyed.client.request(method, path, headers=token)
        assert answer.status_code == 403, (method, path, answer.text)
    assert keyed.client.delete(mine, headers=token).status_code == 200


def test_a_refused_upload_does_not_use_the_token_up(keyed: Api) -> None:
    token = a_token(keyed, max_file_size=1000, content_type="video/mp4")
    for wrong in (form("a.txt"), form(file_size=1001), form(content_type="video/webm")):
        assert keyed.client.post(PRESIGN, json=wrong, headers=token).status_code in (400, 413)
    made = keyed.client.post(PRESIGN, json=form(), headers=token)
    assert made.status_code == 200, made.text
    assert made.json()["max_file_size"] == 1000


def test_a_token_is_sent_again_with_the_same_idempotency_key(keyed: Api) -> None:
    token = {**a_token(keyed), "Idempotency-Key": "again"}
    first = keyed.client.post(PRESIGN, json=form(), headers=token).json()
    assert keyed.client.post(PRESIGN, json=form(), headers=token).json() == first


def test_a_token_holds_for_forms_and_tus_and_their_processing_is_seen(keyed: Api) -> None:
    token = a_token(keyed, max_file_size=50)
    large = {"file": ("a.mp4", b"x" * 51, "video/mp4")}
    path = "/process/video/upload/async"
    refused = keyed.client.post(path, files=large, headers=a_token(keyed, max_file_size=50))
    assert refused.status_code == 413
    taken = keyed.client.post(path, files={"file": ("a.mp4", b"x" * 50)}, headers=token)
    assert taken.status_code == 200, taken.text
    assert keyed.client.get(f"/jobs/{taken.json()['job_id']}", headers=token).status_code == 200
    tus = {**a_token(keyed, max_file_size=50), **TUS, "Upload-Metadata": "filename YS5tcDQ="}
    too_long = keyed.client.post("/uploads/tus", headers={**tus, "Upload-Length": "51"})
    assert too_long.status_code == 413
    begun = keyed.client.post("/uploads/tus", headers={**tus, "Upload-Length": "5"})
    assert begun.status_code == 201
    patch = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    ended = keyed.client.patch(begun.headers["location"], content=b"12345", headers=patch)
    assert ended.status_code == 204, ended.text
    assert (
        keyed.client.post("/uploads/tus", headers={**tus, "Upload-Length": "5"}).status_code == 409
    )


def test_what_a_token_began_by_itself_is_seen_with_it(keyed: Api) -> None:
    token = a_token(keyed)
    made = keyed.client.post(PRESIGN, json=form(auto_process=True), headers=token).json()
    keyed.parts.store.put(made["s3_key"], b"x" * 100, "video/mp4")

    def begun() -> bool:
        view = keyed.client.get(f"/jobs/{made['job_id']}", headers=token)
        assert view.status_code == 200, view.text
        return bool(view.json().get("processing_job_id"))

    until(begun)


# -- a browser's session --------------------------------------------------------------------


def test_a_session_is_a_strict_cookie_that_only_the_own_page_can_use(keyed: Api) -> None:
    secret = key_of(keyed, tenant="browser")
    begun = keyed.client.post("/session", headers=bearer(secret))
    assert begun.status_code == 204
    shown = begun.headers["set-cookie"].lower()
    assert "httponly" in shown
    assert "samesite=strict" in shown
    assert secret not in begun.headers["set-cookie"]
    keyed.client.cookies.clear()
    cookie = {"Cookie": begun.headers["set-cookie"].split(";")[0]}
    assert keyed.client.get("/jobs", headers=cookie).status_code == 200
    other = {**cookie, "Origin": "http://127.0.0.1:1"}
    assert keyed.client.post(PRESIGN, json=form(), headers=other).status_code == 403
    assert keyed.client.post(PRESIGN, json=form(), headers=cookie).status_code == 403
    lying = {**cookie, "Origin": keyed.url, "Sec-Fetch-Site": "same-site"}
    assert keyed.client.post(PRESIGN, json=form(), headers=lying).status_code == 403
    own = {**cookie, "Origin": keyed.url, "Sec-Fetch-Site": "same-origin"}
    assert keyed.client.post(PRESIGN, json=form(), headers=own).status_code == 200
    assert keyed.client.delete("/session", headers=own).status_code == 204
    keyed.client.cookies.clear()
    assert keyed.client.get("/jobs", headers=cookie).status_code == 401
    assert keyed.client.get("/jobs", headers=bearer(secret)).status_code == 200


def test_a_stream_ends_when_its_key_is_revoked(keyed: Api) -> None:
    secret = key_of(keyed, tenant="stream")
    made = keyed.client.post(PRESIGN, json=form(), headers=bearer(secret)).json()
    url = f"{keyed.url}/jobs/{made['job_id']}/events"
    with httpx.stream("GET", url, headers=bearer(secret), timeout=WAIT_SECONDS) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("event:")
        with keyed.parts.sessions.begin() as session:
            key_service.revoke(session, secret[:13])
        for _ in lines:
            pass  # it ends, or the timeout fails the test


# -- the audit log --------------------------------------------------------------------------


def test_who_searched_corrected_exported_and_deleted_is_written_down(keyed: Api) -> None:
    job_id = a_job_of(keyed, "audited")
    key = bearer(key_of(keyed, "auditor", tenant="audited"))
    plates = keyed.client.get("/plates?text=AB12CDE&fuzzy=1", headers=key).json()["plates"]
    plate = f"/plates/{plates[0]['plate_id']}"
    keyed.client.patch(plate, json={"text": "QQ99QQQ", "by": "me"}, headers=key)
    keyed.client.get(f"/jobs/{job_id}/plates.csv", headers=key)
    gone = keyed.client.delete(f"/jobs/{job_id}", headers={**key, "X-Request-ID": "the-last"})
    assert gone.status_code == 200
    keyed.client.delete(f"/jobs/{uuid.uuid4()}", headers=key)  # there is none: nothing was done
    entries = keyed.client.get("/audit", headers=key).json()["entries"]
    assert [(e["action"], e["target"]) for e in entries] == [
        ("delete", job_id), ("export", job_id),
        ("correct", plates[0]["plate_id"]), ("search", None),
    ]  # fmt: skip
    assert {entry["key_name"] for entry in entries} == {"auditor"}
    assert entries[0]["request_id"] == "the-last"
    assert entries[3]["details"] == {"with_text": True, "fuzzy": "1"}
    assert "AB12CDE" not in json.dumps(entries)
    assert "QQ99QQQ" not in json.dumps(entries)
    first = keyed.client.get("/audit?limit=3", headers=key).json()
    rest = keyed.client.get(f"/audit?limit=3&cursor={first['next_cursor']}", headers=key).json()
    assert [e["entry_id"] for e in first["entries"] + rest["entries"]] == [
        e["entry_id"] for e in entries
    ]
    assert rest["next_cursor"] is None
    only = keyed.client.get("/audit?action=delete", headers=key).json()["entries"]
    assert [entry["action"] for entry in only] == ["delete"]


def test_nothing_is_told_that_cannot_be_written_down(keyed: Api) -> None:
    job_id = a_job_of(keyed, "unwritten")
    key = bearer(key_of(keyed, tenant="unwritten"))
    with keyed.parts.sessions.begin() as session:
        session.execute(text("ALTER TABLE audit_log RENAME TO audit_log_away"))
    try:
        answer = keyed.client.get(f"/jobs/{job_id}/plates.csv", headers=key)
    finally:
        with keyed.parts.sessions.begin() as session:
            session.execute(text("ALTER TABLE audit_log_away RENAME TO audit_log"))
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert "AB12CDE" not in answer.text


# -- starting -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.3.2.1", True), ("localhost", True), ("::1", True),
        ("[::1]", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False),
        ("", False), ("10.0.0.1", False), ("example.com", False), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_loopback_is_recognised(host: str, loopback: bool) -> None:
    assert make_settings(host=host).on_loopback is loopback


def test_a_service_that_others_reach_does_not_start_without_keys(
    embedded_database: str, keyed: Api
) -> None:
    name = f"nokeys_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = embedded_database.rsplit("/", 1)[0] + f"/{name}"
    upgrade(url)
    settings = make_settings(host="0.0.0.0", database_url=url, enable_s3=False)
    app = create_app(settings)
    sessions = app.state.parts.sessions

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(Unavailable, match="detect-api keys create"):
        asyncio.run(start())
    key_service.check_keys(settings.model_copy(update={"allow_without_keys": True}), sessions)
    with sessions.begin() as session:
        row, _ = key_service.create(
            session, name="k", tenant="default", scopes=["read"], expires_in_seconds=None
        )
        assert row.expires_at is None
        key_service.revoke(session, str(row.id))
    # Revoked keys count: the last one's end does not open the door.
    key_service.check_keys(settings, sessions)
    with sessions() as session:
        assert key_service.any_ever(session)
    for engine in app.state.parts.engines:
        engine.dispose()
