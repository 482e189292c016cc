"""Events of the bucket, by webhook and from a queue: they start what arrived, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from detect_api.core.errors import StorageError
from detect_api.db.migrate import upgrade
from detect_api.db.session import make_engine, make_session_factory
from detect_api.db.tables import Job
from detect_api.jobs.s3_queue import EventQueue
from detect_api.local.stack import as_environment
from detect_api.storage.base import ObjectInfo
from tests.sqs import Queue, running_queue
from tests.unit.test_s3_events import by_sns, eventbridge, record, s3_event

from .conftest import Api, serve
from .databases import database
from .test_arrivals import announced, at_once, jobs_of, look, process, row
from .test_upload_to_s3 import VIDEO, upload

TOKEN = "a-token-for-the-tests-only"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def hooked(api: Api) -> Iterator[Api]:
    """The same API, with a token for events."""
    changed = {"s3_events_token": SecretStr(TOKEN)}
    yield from serve(api.parts.settings.model_copy(update=changed))


@pytest.fixture
def sqs() -> Iterator[Queue]:
    with running_queue() as queue:
        yield queue


@pytest.fixture
def events(api: Api, sqs: Queue) -> EventQueue:
    """The queue as the worker sees it."""
    changed = {"s3_events_queue_url": sqs.url, "s3_events_endpoint_url": sqs.address}
    found = EventQueue.from_settings(api.parts.settings.model_copy(update=changed))
    assert found is not None
    return found


def event(api: Api, form: dict[str, Any]) -> str:
    """What S3 sends for this upload."""
    bucket = api.parts.settings.s3_bucket_name
    assert bucket
    return s3_event(record(form["s3_key"], bucket))


def send(api: Api, message: str | bytes, **more: Any) -> httpx.Response:
    return httpx.post(
        f"{api.url}/events/s3", content=message, **{"headers": BEARER, "timeout": 60, **more}
    )


def arrived(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["arrived"]
    return number


def take(api: Api, events: EventQueue) -> int:
    return events.take(api.parts.sessions, api.parts.store)


# -- webhook ----------------------------------------------------------------------------------


def test_an_event_starts_the_processing_and_its_copies_nothing(hooked: Api) -> None:
    bucket = hooked.parts.settings.s3_bucket_name or ""
    form = announced(hooked)
    upload(form)
    assert arrived(send(hooked, event(hooked, form))) == 1
    (job,) = jobs_of(hooked, form)
    assert hooked.queued(str(job.id)) == ["plan"]
    assert row(hooked, form).processing_job_id == job.id
    for copy in (event(hooked, form), by_sns(eventbridge(form["s3_key"], bucket))):
        assert arrived(send(hooked, copy)) == 0
    assert len(jobs_of(hooked, form)) == 1


def test_an_event_without_the_wish_only_notes_the_arrival(hooked: Api) -> None:
    form = hooked.presign(filename="a.mp4")
    upload(form)
    assert arrived(send(hooked, event(hooked, form))) == 1
    assert row(hooked, form).status == "uploaded"
    assert jobs_of(hooked, form) == []


def test_an_event_is_not_believed(hooked: Api) -> None:
    form = announced(hooked)
    assert arrived(send(hooked, event(hooked, form))) == 0
    assert row(hooked, form).status == "awaiting_upload"
    upload(form)
    another = s3_event(record(form["s3_key"], "another-bucket"))
    assert arrived(send(hooked, another)) == 0
    assert jobs_of(hooked, form) == []


def test_storage_is_asked_only_for_what_is_awaited(
    hooked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = hooked.parts.settings.s3_bucket_name or ""
    form = announced(hooked)
    upload(form)
    send(hooked, event(hooked, form))

    def never(key: str) -> ObjectInfo:
        raise AssertionError(key)

    monkeypatch.setattr(hooked.parts.store, "head", never)
    keys = [form["s3_key"], "videos/evidence/x/0-crop.jpg", "../../etc/passwd", "' OR 1=1 --"]
    assert arrived(send(hooked, s3_event(*(record(key, bucket) for key in keys)))) == 0


@pytest.mark.parametrize(
    "sent",
    [
        {"headers": {}},
        {"headers": {"Authorization": "Bearer"}},
        {"headers": {"Authorization": f"Bearer {TOKEN}x"}},
        {"headers": {"Authorization": f"Bearer {TOKEN[:-1]}"}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"headers": {"Authorization": TOKEN.encode() + b"\xfc"}},
        {"headers": {}, "params": {"token": "wrong"}},
        {"headers": {}, "params": {"token": ""}},
        {"headers": {"Authorization": "Bearer wrong"}, "params": {"token": TOKEN}},
    ],
)
def test_without_the_token_there_is_nothing(hooked: Api, sent: dict[str, Any]) -> None:
    form = announced(hooked)
    upload(form)
    answer = send(hooked, event(hooked, form), **sent)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert row(hooked, form).status == "awaiting_upload"


def test_without_the_setting_there_is_nothing(api: Api) -> None:
    for headers in (BEARER, {}, {"Authorization": "Bearer"}, {"Authorization": "Bearer None"}):
        assert send(api, s3_event(), headers=headers).status_code == 404


def test_the_token_may_stand_in_the_address(hooked: Api) -> None:
    form = announced(hooked)
    upload(form)
    assert arrived(send(hooked, event(hooked, form), headers={}, params={"token": TOKEN})) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no JSON", 400, "bad_event"),
        (b"", 400, "bad_event"),
        (b'{"Records": [7]}', 400, "bad_event"),
        (bytes(256 * 1024 + 1), 413, "too_large"),
        (b'{"Event": "s3:TestEvent"}', 200, None),
    ],
)
def test_what_is_no_event_is_refused(hooked: Api, body: bytes, status: int, code: str) -> None:
    answer = send(hooked, body)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_a_sender_is_told_to_try_again_when_storage_is_away(
    hooked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = announced(hooked)
    upload(form)
    with monkeypatch.context() as patch:
        patch.setattr(hooked.parts.store, "head", away)
        assert send(hooked, event(hooked, form)).status_code == 503
    assert arrived(send(hooked, event(hooked, form))) == 1


def away(_key: str) -> ObjectInfo:
    raise StorageError("Storage cannot be reached.")


# -- queue ------------------------------------------------------------------------------------


def test_a_message_is_taken_and_deleted(api: Api, sqs: Queue, events: EventQueue) -> None:
    forms = [announced(api) for _ in range(3)]
    for form in forms:
        upload(form)
        sqs.send(event(api, form))
    sqs.send(event(api, forms[0]))
    sqs.send(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}))
    assert take(api, events) == 5
    assert sqs.messages == []
    assert [len(jobs_of(api, form)) for form in forms] == [1, 1, 1]
    assert take(api, events) == 0


def test_what_is_no_event_stays_for_the_redrive_and_holds_nothing_up(
    api: Api, sqs: Queue, events: EventQueue
) -> None:
    form = announced(api)
    upload(form)
    poison = sqs.send("no event")
    sqs.send(event(api, form))
    assert take(api, events) == 1
    assert sqs.messages == [poison]
    assert len(jobs_of(api, form)) == 1
    sqs.show_again()
    assert take(api, events) == 0
    assert poison.received == 2


def test_a_message_whose_work_failed_comes_again(
    api: Api, sqs: Queue, events: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = announced(api)
    upload(form)
    sqs.send(event(api, form))
    with monkeypatch.context() as patch:
        patch.setattr(api.parts.store, "head", away)
        with pytest.raises(StorageError):
            take(api, events)
    assert len(sqs.messages) == 1
    assert jobs_of(api, form) == []
    sqs.show_again()
    assert take(api, events) == 1
    assert len(jobs_of(api, form)) == 1


def test_a_worker_that_dies_before_deleting_starts_nothing_twice(
    api: Api, sqs: Queue, events: EventQueue
) -> None:
    form = announced(api)
    upload(form)
    sqs.send(event(api, form))
    sqs.refuse["DeleteMessage"] = 2  # botocore tries twice
    with pytest.raises(ClientError):
        take(api, events)
    assert len(sqs.messages) == 1
    assert len(jobs_of(api, form)) == 1, "committed before"
    sqs.show_again()
    assert take(api, events) == 1
    assert sqs.messages == []
    assert len(jobs_of(api, form)) == 1


def test_taking_goes_on_after_failures_and_ends_when_told(
    api: Api, sqs: Queue, events: EventQueue
) -> None:
    form = announced(api)
    upload(form)
    sqs.send(event(api, form))
    sqs.refuse["ReceiveMessage"] = 2
    stop = threading.Event()
    thread = threading.Thread(
        target=events.take_for_ever, args=(api.parts.sessions, api.parts.store, stop), daemon=True
    )
    thread.start()
    until(lambda: not sqs.messages)
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert sqs.calls[:2] == ["ReceiveMessage"] * 2
    assert len(jobs_of(api, form)) == 1


def until(happened: Any) -> None:
    end = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_no_queue_is_asked_where_none_is_set(api: Api, api_without_s3: Api) -> None:
    assert EventQueue.from_settings(api.parts.settings) is None
    changed = {"s3_events_queue_url": "http://127.0.0.1:1/queue/x"}
    off = api_without_s3.parts.settings.model_copy(update=changed)
    assert EventQueue.from_settings(off) is None


# -- together ---------------------------------------------------------------------------------


def test_events_and_everybody_else_at_once_start_one_job(
    hooked: Api, sqs: Queue, events: EventQueue
) -> None:
    for _ in range(4):
        form = announced(hooked)
        upload(form)
        message = event(hooked, form)
        for _ in range(3):
            sqs.send(message)
        answers = at_once(
            [
                lambda message=message: arrived(send(hooked, message)),  # type: ignore[misc]
                lambda form=form: process(hooked, form).json()["job_id"],  # type: ignore[misc]
                lambda: take(hooked, events),
                lambda: look(hooked),
            ]
            * 3
        )
        (job,) = jobs_of(hooked, form)
        assert {name for name in answers if isinstance(name, str)} == {str(job.id)}
        assert hooked.queued(str(job.id)) == ["plan"]


# -- the worker -------------------------------------------------------------------------------


@pytest.fixture
def own_database(database_url: str) -> Iterator[str]:
    """URL of a database that no other test sees."""
    with database(database_url) as address:
        upgrade(address)
        yield address


def test_a_worker_takes_events_from_the_queue_of_the_settings(
    api: Api, sqs: Queue, own_database: str, tmp_path: Path
) -> None:
    settings = api.parts.settings.model_copy(
        update={
            "database_url": own_database,
            "data_dir": tmp_path,
            "s3_events_queue_url": sqs.url,
            "s3_events_endpoint_url": sqs.address,
        }
    )
    engine = make_engine(own_database)
    sessions = make_session_factory(engine)
    job_id, key = uuid.uuid4(), f"videos/{uuid.uuid4()}.mp4"
    api.parts.store.put(key, VIDEO, "video/mp4")
    with sessions.begin() as session:
        session.add(
            Job(
                id=job_id, type="upload", status="awaiting_upload", object_key=key,
                auto_process=True, expires_at=datetime.now(UTC) + timedelta(hours=1),
                # Looked for in the future: only the event can tell of it.
                checked_at=datetime.now(UTC) + timedelta(hours=1),
            )
        )  # fmt: skip
    sqs.send(event(api, {"s3_key": key}))
    process = subprocess.Popen(
        [sys.executable, "-m", "detect_api.jobs.worker"],
        env={**os.environ, **as_environment(settings)},
    )
    try:
        until(lambda: not sqs.messages or process.poll() is not None)
        with sessions() as session:
            assert session.get_one(Job, job_id).processing_job_id is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait(timeout=60)
        engine.dispose()
