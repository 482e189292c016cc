"""A worker or an API whose clock is wrong takes nothing from anybody and gives nobody more:
deadlines are the database's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from procrastinate.jobs import Job as QueuedTask
from sqlalchemy import delete, func, select, text

from detect_api.core.config import Settings
from detect_api.db.session import SessionFactory, make_engine, make_session_factory
from detect_api.db.tables import IdempotencyKey, Job, Lease, Removal
from detect_api.jobs import tasks
from detect_api.local.stack import Programs, Stack
from tests.conftest import short_folder
from tests.fault import odd_clock
from tests.fault.world import set_clock, with_clock
from tests.integration.databases import database
from tests.integration.keyed import TUS, bearer, new_key, until

ODD_CLOCK = Path(odd_clock.__file__)
ROOT = ODD_CLOCK.parents[2]
DAYS = timedelta(days=2)


@pytest.fixture(scope="module")
def sessions(database_url: str) -> Iterator[SessionFactory]:
    engine = make_engine(database_url)
    yield make_session_factory(engine)
    engine.dispose()


def sweep_with_a_clock_wrong_by(
    wrong: timedelta, sessions: SessionFactory, database_url: str, folder: Path
) -> None:
    with sessions.begin() as session:
        session.execute(delete(Lease))
    offset = folder / "clock"
    offset.write_text(str(wrong.total_seconds()))
    subprocess.run(
        [sys.executable, ODD_CLOCK, offset, "tests.fault.sweep_once"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": database_url,
            "ENABLE_S3": "false",
            "DATA_DIR": str(folder),
        },
        cwd=folder, check=True, timeout=120,
    )  # fmt: skip


def a_job(sessions: SessionFactory, **values: Any) -> uuid.UUID:
    job_id = uuid.uuid4()
    with sessions.begin() as session:
        session.add(Job(id=job_id, object_key=f"videos/{job_id}.mp4", **values))
    return job_id


def test_a_clock_that_is_fast_ends_nothing_early(
    sessions: SessionFactory, database_url: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    arriving = a_job(sessions, type="video", status="uploading")
    awaited = a_job(
        sessions, type="upload", status="awaiting_upload", expires_at=now + timedelta(hours=1)
    )
    prefix, key = f"videos/evidence/{uuid.uuid4()}/", str(uuid.uuid4())
    with sessions.begin() as session:
        session.add(Removal(prefix=prefix, keep_until=now + timedelta(minutes=10)))
        session.add(IdempotencyKey(key=key, route="x", fingerprint="x", response={}))
    sweep_with_a_clock_wrong_by(DAYS, sessions, database_url, tmp_path)
    with sessions() as session:
        states = {job: session.get_one(Job, job).status for job in (arriving, awaited)}
        assert states == {arriving: "uploading", awaited: "awaiting_upload"}
        assert session.scalar(select(Removal.id).where(Removal.prefix == prefix))
        assert session.scalar(select(IdempotencyKey.key).where(IdempotencyKey.key == key))


def test_a_clock_that_is_slow_keeps_nothing_for_ever(
    sessions: SessionFactory, database_url: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    silent = a_job(
        sessions, type="video", status="uploading", updated_at=now - timedelta(minutes=5)
    )
    late = a_job(
        sessions, type="upload", status="awaiting_upload", expires_at=now - timedelta(hours=1)
    )
    sweep_with_a_clock_wrong_by(-DAYS, sessions, database_url, tmp_path)
    with sessions() as session:
        assert session.get_one(Job, silent).status == "failed"
        assert session.get_one(Job, late).status == "expired"


def test_a_retry_that_a_wrong_clock_put_off_is_brought_forward(
    sessions: SessionFactory, database_url: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        queued = session.scalar(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, scheduled_at) "
                "VALUES ('nobody', 'x', now() + interval '2 days') RETURNING id"
            )
        )
    sweep_with_a_clock_wrong_by(timedelta(0), sessions, database_url, tmp_path)
    with sessions.begin() as session:
        wait = session.scalar(
            text("SELECT scheduled_at - now() FROM procrastinate_jobs WHERE id = :id"),
            {"id": queued},
        )
        session.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": queued})
    assert wait < timedelta(minutes=1)


def test_a_sweep_that_was_frozen_gives_no_other_one_s_lease_back(
    sessions: SessionFactory,
) -> None:
    from detect_api.jobs.sweep import give_lease_back, take_lease

    with sessions.begin() as session:
        session.execute(delete(Lease))
    mine = take_lease(sessions)
    assert mine is not None
    assert take_lease(sessions) is None
    with sessions.begin() as session:
        session.execute(text("UPDATE leases SET until = now() - interval '1 second'"))
    others = take_lease(sessions)
    assert others is not None
    give_lease_back(sessions, mine)
    assert take_lease(sessions) is None
    give_lease_back(sessions, others)
    assert take_lease(sessions) is not None
    with sessions.begin() as session:
        session.execute(delete(Lease))


# -- the API's ----------------------------------------------------------------------------------

WRONG = 300.0
"""So many seconds an API's clock is wrong by here: S3 takes signatures of a quarter of an hour."""


@dataclass(frozen=True)
class OddApi:
    """An API that needs keys, without workers, whose clock can be set."""

    client: httpx.Client
    settings: Settings
    sessions: SessionFactory
    clock: Path

    def scalar(self, statement: str, **values: Any) -> Any:
        """What the database says."""
        with self.sessions() as session:
            return session.scalar(text(statement), values)


@pytest.fixture(scope="module")
def running_api(embedded_database: str, s3: Settings) -> Iterator[OddApi]:
    with ExitStack() as cleanup:
        url = cleanup.enter_context(database(embedded_database))
        folder = cleanup.enter_context(short_folder())
        own = {"database_url": url, "data_dir": folder / "service", "port": 0, "workers": 0}
        clock = folder / "clock"
        program = with_clock(clock, "detect_api.local.serve_api")
        stack = Stack(s3.model_copy(update=own), programs=Programs(api=program))
        stack.start()
        cleanup.callback(stack.stop, fast=True)
        engine = make_engine(url)
        cleanup.callback(engine.dispose)
        sessions = make_session_factory(engine)
        key = bearer(new_key(sessions))
        client = cleanup.enter_context(
            httpx.Client(base_url=stack.api_url, headers=key, timeout=60)
        )
        until(lambda: httpx.get(f"{stack.api_url}/jobs", timeout=60).status_code == 401)
        yield OddApi(client, stack.settings, sessions, clock)


@pytest.fixture
def odd_api(running_api: OddApi) -> Iterator[OddApi]:
    """The API, whose clock goes right again afterwards."""
    yield running_api
    set_clock(running_api.clock, 0)


either_way = pytest.mark.parametrize("wrong", [-WRONG, WRONG], ids=["slow", "fast"])


def presigned(api: OddApi) -> dict[str, Any]:
    answer = api.client.post(
        "/process/video/upload/s3/presigned-url",
        json={"filename": "a.mp4", "content_type": "video/mp4"},
    )
    assert answer.status_code == 200, answer.text
    form: dict[str, Any] = answer.json()
    return form


@either_way
def test_uploads_have_their_whole_time(odd_api: OddApi, wrong: float) -> None:
    set_clock(odd_api.clock, wrong)
    client, settings = odd_api.client, odd_api.settings
    of_job = "SELECT extract(epoch FROM expires_at - now()) FROM jobs WHERE id = :id"
    form = presigned(odd_api)["job_id"]
    parts = client.post("/uploads", json={"filename": "a.mp4", "file_size": 10}).json()["job_id"]
    for job_id, seconds in (
        (form, settings.s3_upload_expiration),
        (parts, max(settings.multipart_expiration, settings.s3_upload_expiration)),
    ):
        assert float(odd_api.scalar(of_job, id=job_id)) == pytest.approx(seconds, abs=60)
    begun = client.post(
        "/uploads/tus",
        headers={**TUS, "Upload-Length": "10", "Upload-Metadata": "filename YS5tcDQ="},
    )
    where = begun.headers["location"]
    of_tus = "SELECT extract(epoch FROM expires_at - now()) FROM tus_uploads WHERE job_id = :id"
    for content in (b"", b"12345"):
        if content:
            more = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            sent = client.patch(where, content=content, headers={**TUS, **more})
            assert sent.status_code == 204, sent.text
        left = float(odd_api.scalar(of_tus, id=where.rsplit("/", 1)[1]))
        assert left == pytest.approx(settings.tus_expiration, abs=60)


@either_way
def test_an_upload_is_signed_and_its_arrival_noticed(odd_api: OddApi, wrong: float) -> None:
    set_clock(odd_api.clock, wrong)
    client = odd_api.client
    form = presigned(odd_api)
    state = f"/jobs/{form['job_id']}"
    assert client.get(state).json()["status"] == "awaiting_upload"
    sent = httpx.post(
        form["upload_url"], data=form["upload_fields"], files={"file": b"x" * 100}, timeout=60
    )
    assert sent.status_code in (200, 204), sent.text
    # Nobody else looks for it here: there is no sweep.
    until(lambda: client.get(state).json()["status"] == "uploaded")
    begun = client.post("/uploads", json={"filename": "a.mp4", "file_size": 100}).json()
    of_upload = f"/uploads/{begun['upload_id']}"
    part = client.post(f"{of_upload}/parts", json={"part_numbers": [1]}).json()["parts"][0]
    sent = httpx.put(part["url"], content=b"x" * 100, headers=part["headers"], timeout=60)
    assert sent.status_code == 200, sent.text
    assert client.post(f"{of_upload}/complete", json={}).status_code == 200


@either_way
def test_an_estimate_does_not_heed_the_api_s_clock(odd_api: OddApi, wrong: float) -> None:
    set_clock(odd_api.clock, wrong)
    job_id = uuid.uuid4()
    with odd_api.sessions.begin() as session:
        session.add(
            Job(
                id=job_id, type="video", status="processing", progress=0.5, tenant="one",
                started_at=func.now() - timedelta(seconds=40),
            )
        )  # fmt: skip
    assert odd_api.client.get(f"/jobs/{job_id}").json()["eta_seconds"] == pytest.approx(40, abs=1)


@either_way
def test_a_jump_while_bytes_arrive_leaves_the_speed_believable(
    odd_api: OddApi, wrong: float
) -> None:
    job_id = str(uuid.uuid4())
    first, gone_on, may_end = 2 * 2**20, threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
            b"Content-Type: video/mp4\r\n\r\n" + bytes(first)
        )
        time.sleep(2)
        set_clock(odd_api.clock, wrong)
        yield bytes(first)
        gone_on.set()
        may_end.wait(60)
        yield b"\r\n--b--\r\n"

    def upload() -> httpx.Response:
        return odd_api.client.post(
            "/process/video/upload/async", content=body(),
            headers={"X-Job-ID": job_id, "Content-Type": "multipart/form-data; boundary=b"},
        )  # fmt: skip

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = odd_api.client.get(f"/jobs/{job_id}").json().get("upload") or {}
        return found

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(upload)
        try:
            assert gone_on.wait(60)
            until(lambda: shown().get("bytes_received", 0) > first)
            # 4 MiB took 2 s and more.
            assert 0 < shown()["bytes_per_second"] <= first
        finally:
            may_end.set()
        assert sent.result().status_code == 200


@either_way
def test_keys_sessions_and_tokens_hold_as_long_as_they_should(
    odd_api: OddApi, wrong: float
) -> None:
    set_clock(odd_api.clock, wrong)
    client, url = odd_api.client, str(odd_api.client.base_url)

    def status(key: str, **more: Any) -> int:
        return httpx.get(f"{url}/jobs", headers=bearer(key), timeout=60, **more).status_code

    longer = new_key(odd_api.sessions, seconds=int(WRONG) - 60)
    shorter = new_key(odd_api.sessions, seconds=2)
    assert status(longer) == 200
    until(lambda: status(shorter) == 401)
    begun = httpx.post(f"{url}/session", headers=bearer(longer), timeout=60)
    cookie = {"Cookie": begun.headers["set-cookie"].split(";")[0]}
    assert httpx.get(f"{url}/jobs", headers=cookie, timeout=60).status_code == 200
    made = client.post("/upload-tokens", json={"expires_in": int(WRONG) - 60}).json()
    used = httpx.post(
        f"{url}/uploads", json={"filename": "a.mp4", "file_size": 10}, timeout=60,
        headers=bearer(made["token"]),
    )  # fmt: skip
    assert used.status_code == 200, used.text
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert left.total_seconds() == pytest.approx(WRONG - 60, abs=60)


def test_a_limit_of_requests_is_not_lifted_by_a_jump(odd_api: OddApi) -> None:
    key, url = bearer(new_key(odd_api.sessions, requests_per_minute=5)), "/jobs"

    def refused() -> bool:
        return odd_api.client.get(url, headers=key).status_code == 429

    until(refused)
    set_clock(odd_api.clock, WRONG)
    assert any(refused() for _ in range(4))


def test_pauses_between_tries_go_by_the_database_s_clock(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(seconds=143)

    monkeypatch.setattr(tasks, "datetime", Slow)
    clock = tasks.DatabaseClock()
    clock.look(sessions)
    failed = QueuedTask(
        id=1, queue="segments", lock=None, queueing_lock=None, task_name="x", attempts=10
    )
    decision = tasks.TryAgain(clock).get_retry_decision(exception=OSError(), job=failed)
    assert decision is not None
    assert decision.retry_at is not None
    wait = decision.retry_at - datetime.now(UTC)
    assert timedelta(seconds=5) < wait < timedelta(seconds=25)
