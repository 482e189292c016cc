"""Quotas of keys: exact also for what comes at the same moment, and used by nothing that failed."""

from __future__ import annotations

import base64
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update

from detect_api.api.routes import plates
from detect_api.db.tables import Job
from detect_api.jobs import states
from detect_api.jobs.arrivals import look_for_keys
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from tests.integration.conftest import Api
from tests.integration.keyed import PRESIGN, TUS, WAIT_SECONDS, bearer, form, key_of, until

AT_ONCE = 20
BODY_TYPE = "application/offset+octet-stream"

Ask = Callable[[Api, dict[str, str], int], httpx.Response]
"""A request with these headers, the n-th of its kind."""


def post(api: Api, path: str, headers: dict[str, str], **more: Any) -> httpx.Response:
    return httpx.post(api.url + path, headers=headers, timeout=WAIT_SECONDS, **more)


def a_form(api: Api, headers: dict[str, str], _: int) -> httpx.Response:
    return post(api, PRESIGN, headers, json=form(file_size=100))


def a_form_with_a_key_of_its_own(api: Api, headers: dict[str, str], _: int) -> httpx.Response:
    more = {"Idempotency-Key": str(uuid.uuid4())}
    return post(api, PRESIGN, {**headers, **more}, json=form(file_size=100))


def in_parts(api: Api, headers: dict[str, str], _: int) -> httpx.Response:
    return post(api, "/uploads", headers, json=form(file_size=100))


def by_tus(api: Api, headers: dict[str, str], number: int) -> httpx.Response:
    return post(api, "/uploads/tus", {**headers, **tus(100, number)})


def through_api(api: Api, headers: dict[str, str], _: int) -> httpx.Response:
    files = {"file": ("a.mp4", b"x" * 100, "video/mp4")}
    return post(api, "/process/video/upload/async", headers, files=files)


def a_picture(api: Api, headers: dict[str, str], _: int) -> httpx.Response:
    files = {"file": ("a.jpg", b"x" * 100, "image/jpeg")}
    return post(api, "/detect/upload", headers, files=files)


def the_sample(api: Api, headers: dict[str, str], _: int) -> httpx.Response:
    return post(api, "/process/sample", headers)


def what_lies_in_s3(api: Api, headers: dict[str, str], number: int) -> httpx.Response:
    key = f"videos/outside-{number}.mp4"
    api.parts.store.put(key, b"x" * 100, "video/mp4")
    return post(api, "/process/video/s3", headers, json={"s3_key": key})


def any_way(api: Api, headers: dict[str, str], number: int) -> httpx.Response:
    ways = (a_form, in_parts, by_tus, through_api, what_lies_in_s3)
    return ways[number % len(ways)](api, headers, number)


def tus(length: int | None, number: int = 0) -> dict[str, str]:
    name = base64.b64encode(f"{number}.mp4".encode()).decode()
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    return {**TUS, **size, "Upload-Metadata": f"filename {name}"}


def all_at_once(api: Api, ask: Ask, headers: dict[str, str]) -> list[httpx.Response]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda number: ask(api, headers, number), range(AT_ONCE)))


WAYS = [
    a_form, a_form_with_a_key_of_its_own, in_parts, by_tus, through_api, a_picture, the_sample,
    what_lies_in_s3, any_way,
]  # fmt: skip


@pytest.mark.parametrize("limits", [{"jobs_per_day": 3}, {"jobs_at_once": 3}], ids=str)
@pytest.mark.parametrize("ask", WAYS)
def test_of_many_at_once_exactly_as_many_come_in_as_may(
    keyed: Api, ask: Ask, limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plates, "IMAGE_SECONDS", 0.2)  # nobody reads the pictures here
    headers = bearer(key_of(keyed, tenant="default", **limits))
    check(keyed, all_at_once(keyed, ask, headers), headers)


@pytest.mark.parametrize("ask", [way for way in WAYS if way is not the_sample])
def test_of_many_at_once_exactly_as_many_bytes_come_in_as_may(
    keyed: Api, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plates, "IMAGE_SECONDS", 0.2)
    headers = bearer(key_of(keyed, tenant="default", bytes_per_day=399))
    check(keyed, all_at_once(keyed, ask, headers), headers)


def check(api: Api, answers: list[httpx.Response], headers: dict[str, str]) -> None:
    """Three were let in, and the others were told when to come again."""
    refused = [answer for answer in answers if answer.status_code == 429]
    codes = Counter(answer.status_code for answer in answers)
    assert len(refused) == AT_ONCE - 3, codes
    assert set(codes) <= {200, 201, 429, 503}, codes
    for answer in refused:
        assert answer.json()["code"] == "quota_reached"
        assert int(answer.headers["retry-after"]) > 0
        assert int(answer.headers["ratelimit-limit"]) > 0
        assert "ratelimit-remaining" in answer.headers
    assert jobs_of(api, headers) == 3


def jobs_of(api: Api, headers: dict[str, str]) -> int:
    """How many jobs a key has, without those whose video was refused when all of it was there."""
    prefix = headers["Authorization"].removeprefix("Bearer ")[:13]
    mine = text("(SELECT id FROM api_keys WHERE prefix = :prefix)").bindparams(prefix=prefix)
    with api.parts.sessions() as session:
        query = select(func.count(Job.id)).where(Job.key_id == mine, Job.status != states.FAILED)
        return session.scalar(query) or 0


def test_other_keys_do_not_wait_for_one_that_is_being_counted(keyed: Api) -> None:
    one, two = (bearer(key_of(keyed, jobs_per_day=3)) for _ in range(2))
    assert a_form(keyed, one, 0).status_code == 200
    prefix = one["Authorization"].removeprefix("Bearer ")[:13]
    with keyed.parts.sessions.begin() as session:
        key_id = session.scalar(
            text("SELECT id FROM api_keys WHERE prefix = :prefix"), {"prefix": prefix}
        )
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"quota {key_id}"},
        )
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(a_form, keyed, one, 0)
            assert a_form(keyed, two, 0).status_code == 200
            assert not waiting.done()
            session.commit()
            assert waiting.result().status_code == 200


def test_those_who_want_the_same_things_at_once_never_wait_in_a_circle(keyed: Api) -> None:
    """One upload, one failed job and one Idempotency-Key, by two keys of a tenant."""
    keys = [bearer(key_of(keyed, jobs_per_day=1000, bytes_per_day=10**9)) for _ in range(2)]
    made = a_form(keyed, keys[0], 0).json()
    keyed.parts.store.put(made["s3_key"], b"x" * 100, "video/mp4")
    job_id, job_of_client = failed_job(keyed), str(uuid.uuid4())
    files = {"file": ("a.mp4", b"x" * 100, "video/mp4")}
    body = {"s3_key": made["s3_key"]}

    def ask(number: int) -> httpx.Response:
        headers = keys[number % 2]
        again = {**headers, "Idempotency-Key": "the same"}
        match number // 2 % 5:
            case 0:
                return post(keyed, "/process/video/s3", again, json=body)
            case 1:
                return post(keyed, "/process/video/s3", headers, json=body)
            case 2:
                return post(keyed, f"/jobs/{job_id}/retry", headers)
            case 3:
                mine = {**again, "X-Job-ID": job_of_client}
                return post(keyed, "/process/video/upload/async", mine, files=files)
            case _:
                return a_form(keyed, again, number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, range(3 * AT_ONCE)))
    told = Counter((a.status_code, a.json().get("code")) for a in answers)
    assert {status for status, _ in told} <= {200, 409}, told


# -- what does not count --------------------------------------------------------------------


def test_what_is_refused_or_breaks_off_uses_nothing_up(keyed: Api) -> None:
    headers = bearer(key_of(keyed, jobs_per_day=1, jobs_at_once=1, bytes_per_day=40_000_000))
    for wrong in (form("a.txt", file_size=5), form(file_size=10**12), form(webhook_url="x")):
        assert post(keyed, PRESIGN, headers, json=wrong).status_code in (400, 413, 422)
    url = "/process/video/upload/async"
    empty = {"file": ("a.mp4", b"", "video/mp4")}
    assert post(keyed, url, headers, files=empty).status_code == 400
    large = {"file": ("a.mp4", bytes(30_000_001), "video/mp4")}
    assert post(keyed, url, headers, files=large).status_code == 413
    broken = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nabc'
    form_type = {**headers, "Content-Type": "multipart/form-data; boundary=b"}
    assert post(keyed, url, form_type, content=broken).status_code == 400
    begun = post(keyed, "/uploads/tus", {**headers, **tus(10)})
    assert begun.status_code == 201, begun.text
    assert a_form(keyed, headers, 0).status_code == 429
    given_up = keyed.client.delete(begun.headers["location"], headers={**headers, **TUS})
    assert given_up.status_code == 204
    assert through_api(keyed, headers, 0).status_code == 200
    assert a_form(keyed, headers, 0).status_code == 429


def test_what_a_key_uploaded_is_processed_within_its_quota(keyed: Api) -> None:
    headers = bearer(key_of(keyed, jobs_per_day=1, jobs_at_once=1, bytes_per_day=100))
    made = a_form(keyed, headers, 0).json()
    keyed.parts.store.put(made["s3_key"], b"x" * 100, "video/mp4")
    body = {"s3_key": made["s3_key"]}
    taken = post(keyed, "/process/video/s3", headers, json=body)
    assert taken.status_code == 200, taken.text
    # Once more is another job, of as many bytes.
    assert post(keyed, "/process/video/s3", headers, json=body).status_code == 429


def test_what_starts_by_itself_counts_once_and_is_not_refused(keyed: Api) -> None:
    headers = bearer(key_of(keyed, jobs_per_day=2, jobs_at_once=1))
    asked = form(file_size=100, auto_process=True)
    made = post(keyed, PRESIGN, headers, json=asked).json()
    keyed.parts.store.put(made["s3_key"], b"x" * 100, "video/mp4")
    look_for_keys(keyed.parts.sessions, keyed.parts.store, [made["s3_key"]], 10**9)
    job = keyed.client.get(f"/jobs/{made['job_id']}", headers=headers).json()
    assert job["processing_job_id"]
    refused = a_form(keyed, headers, 0)
    assert (refused.status_code, "at once" in refused.json()["detail"]) == (429, True)
    ended = keyed.client.post(f"/jobs/{made['job_id']}/cancel", headers=headers)
    assert ended.status_code == 200
    assert a_form(keyed, headers, 0).status_code == 200
    assert "a day" in a_form(keyed, headers, 0).json()["detail"]


def test_the_first_answer_is_given_again_also_when_the_quota_is_used_up(keyed: Api) -> None:
    headers = bearer(key_of(keyed, jobs_per_day=1))
    again = {**headers, "Idempotency-Key": "again"}
    for ask in (a_form, in_parts, by_tus, through_api):
        with keyed.parts.sessions.begin() as session:
            session.execute(update(Job).values(key_id=None))
        first, second = (ask(keyed, again, 7) for _ in range(2))
        assert first.status_code in (200, 201), first.text
        assert second.status_code == first.status_code, second.text
        assert second.headers.get("location") == first.headers.get("location")
        assert ask is by_tus or second.json() == first.json()
        assert ask(keyed, headers, 8).status_code == 429


# -- sizes that are told late, or not at all ------------------------------------------------


def test_a_form_needs_a_size_where_bytes_are_counted(keyed: Api) -> None:
    headers = bearer(key_of(keyed, bytes_per_day=100))
    refused = post(keyed, PRESIGN, headers, json=form())
    assert (refused.status_code, refused.json()["code"]) == (400, "file_size_needed")
    assert a_form(keyed, headers, 0).status_code == 200


def test_a_length_that_is_told_late_is_counted_then(keyed: Api) -> None:
    headers = bearer(key_of(keyed, bytes_per_day=100))
    one, two = (
        post(keyed, "/uploads/tus", {**headers, **tus(None)}).headers["location"] for _ in range(2)
    )
    last = {**headers, **TUS, "Content-Type": BODY_TYPE, "Upload-Offset": "0"}

    def send(where: str, size: int) -> httpx.Response:
        more = {**last, "Upload-Length": str(size)}
        return keyed.client.patch(where, content=b"x" * size, headers=more)

    assert send(one, 60).status_code == 204
    refused = send(two, 60)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_reached")
    assert send(two, 40).status_code == 204


def test_a_form_of_unknown_length_is_counted_when_it_is_there(keyed: Api) -> None:
    headers = bearer(key_of(keyed, bytes_per_day=100))
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'

    def send(size: int) -> httpx.Response:
        job_id = str(uuid.uuid4())

        def pieces() -> Iterator[bytes]:
            yield head + b"x"
            until(lambda: keyed.client.get(f"/jobs/{job_id}", headers=headers).status_code == 200)
            yield b"x" * (size - 1) + b"\r\n--b--\r\n"

        more = {"Content-Type": "multipart/form-data; boundary=b", "X-Job-ID": job_id}
        return post(
            keyed, "/process/video/upload/async", {**headers, **more}, content=pieces()
        )  # fmt: skip

    before = set(keyed.objects())
    answers = [send(101), send(60), send(41), send(40)]
    assert [answer.status_code for answer in answers] == [429, 200, 429, 200]
    sweep(Workshop(keyed.parts.settings, keyed.parts.sessions, keyed.parts.store))
    assert len(set(keyed.objects()) - before) == 2


# -- more keys than one ---------------------------------------------------------------------


def test_starting_again_counts_as_one_more_at_once(keyed: Api) -> None:
    headers = bearer(key_of(keyed, jobs_at_once=3))
    ids = [failed_job(keyed) for _ in range(AT_ONCE)]

    def retry(api: Api, headers: dict[str, str], number: int) -> httpx.Response:
        return post(api, f"/jobs/{ids[number]}/retry", headers)

    check(keyed, all_at_once(keyed, retry, headers), headers)


def test_what_another_key_began_counts_for_whoever_goes_on_with_it(keyed: Api) -> None:
    first, second = bearer(key_of(keyed)), bearer(key_of(keyed, jobs_per_day=1))
    uploads = [a_form(keyed, first, 0).json()["s3_key"] for _ in range(2)]
    answers = []
    for key in uploads:
        keyed.parts.store.put(key, b"x" * 100, "video/mp4")
        answers.append(post(keyed, "/process/video/s3", second, json={"s3_key": key}))
    assert [answer.status_code for answer in answers] == [200, 429]
    assert post(keyed, f"/jobs/{failed_job(keyed)}/retry", second).status_code == 429


def failed_job(api: Api, tenant: str = "one") -> str:
    """A job that failed, of no key."""
    job_id = api.finished_job([])
    with api.parts.sessions.begin() as session:
        session.execute(
            update(Job)
            .where(Job.id == uuid.UUID(job_id))
            .values(tenant=tenant, status=states.FAILED, file_size=10)
        )
    return job_id
