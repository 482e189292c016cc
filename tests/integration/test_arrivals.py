"""Uploads whose processing starts by itself: once, whoever notices the object first."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import delete, select, text, update

from detect_api.core.errors import StorageError
from detect_api.db.tables import Job, Lease
from detect_api.jobs import arrivals, reconcile
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.storage.base import ObjectInfo

from .conftest import Api
from .test_upload_to_s3 import VIDEO, upload

CHOSEN = {"frame_skip": 3, "region": "de", "delete_after_processing": True}


@pytest.fixture(autouse=True)
def _nothing_else_is_awaited(api: Api) -> None:
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
        session.execute(update(Job).where(Job.auto_process).values(auto_process=False))


def announced(api: Api, **more: Any) -> dict[str, Any]:
    """A form for an upload that is processed by itself."""
    return api.presign(**{"filename": "a.mp4", "auto_process": True, **CHOSEN, **more})


def age(api: Api, form: dict[str, Any], seconds: float, *, checked: float | None = None) -> None:
    """Lets the upload be announced so long ago, and looked for last so long ago."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {"created_at": now - timedelta(seconds=seconds)}
    if checked is not None:
        values["checked_at"] = now - timedelta(seconds=checked)
    change(api, form, **values)


def change(api: Api, form: dict[str, Any], **values: Any) -> None:
    with api.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == uuid.UUID(form["job_id"])).values(**values))


def jobs_of(api: Api, form: dict[str, Any]) -> list[Job]:
    """The jobs that process what the form uploaded."""
    with api.parts.sessions() as session:
        query = select(Job).where(Job.object_key == form["s3_key"], Job.type != "upload")
        return list(session.scalars(query))


def row(api: Api, form: dict[str, Any]) -> Job:
    with api.parts.sessions() as session:
        return session.get_one(Job, uuid.UUID(form["job_id"]))


def look(api: Api) -> int:
    """One round of looking for what arrived."""
    return reconcile.reconcile(
        api.parts.sessions, api.parts.store, api.parts.settings.max_file_size
    )


def process(api: Api, form: dict[str, Any], **more: Any) -> httpx.Response:
    return httpx.post(
        f"{api.url}/process/video/s3", json={"s3_key": form["s3_key"], **more}, timeout=60
    )


def test_the_answer_has_the_fields_of_every_form(api: Api) -> None:
    assert list(announced(api)) == list(api.presign(filename="a.mp4"))


def test_an_upload_that_nobody_reports_is_found_and_processed(api: Api) -> None:
    form = announced(api, filename="traffic.mp4")
    assert upload(form).status_code in (200, 204)
    age(api, form, 4)
    sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))
    (job,) = jobs_of(api, form)
    assert job.status == "pending"
    assert job.filename == "traffic.mp4"
    assert job.parameters == {
        **CHOSEN, "start_frame": None, "end_frame": None, "min_confidence": None,
        "webhook_url": None,
    }  # fmt: skip
    assert api.queued(str(job.id)) == ["plan"]
    view = api.job(form["job_id"])
    assert (view["status"], view["processing_job_id"]) == ("pending", str(job.id))


def test_whoever_looks_at_the_upload_starts_its_processing(api: Api) -> None:
    form = announced(api)
    upload(form)
    assert api.job(form["job_id"])["status"] == "pending"
    assert len(jobs_of(api, form)) == 1


def test_whoever_follows_the_upload_starts_its_processing(api: Api) -> None:
    form = announced(api)
    seen = []
    with httpx.stream("GET", f"{api.url}/jobs/{form['job_id']}/events", timeout=90) as stream:
        for line in stream.iter_lines():
            if not line.startswith("data: "):
                continue
            seen.append(json.loads(line.removeprefix("data: ")))
            if len(seen) == 1:
                upload(form)
            if "processing_job_id" in seen[-1]:
                break
    assert seen[0]["status"] == "awaiting_upload"
    (job,) = jobs_of(api, form)
    assert seen[-1]["processing_job_id"] == str(job.id)


def test_an_arrival_is_logged_as_the_specification_says(api: Api) -> None:
    form = api.presign(filename="a.mp4")
    upload(form, VIDEO)
    with structlog.testing.capture_logs() as written:
        api.wait_for(form["job_id"], "uploaded")
        api.job(form["job_id"])
    (line,) = [line for line in written if line["event"] == "s3_upload"]
    assert line["job_id"] == form["job_id"]
    assert line["file_size_mb"] == round(len(VIDEO) / 1024**2, 2)
    assert 0 <= line["upload_time_seconds"] < 600


def test_an_upload_without_the_wish_waits_for_the_request(api: Api) -> None:
    form = api.presign(filename="a.mp4")
    upload(form)
    age(api, form, 4)
    assert look(api) == 0
    assert api.job(form["job_id"])["status"] == "uploaded"
    assert jobs_of(api, form) == []
    assert process(api, form).json()["job_id"] != process(api, form).json()["job_id"]


@pytest.mark.parametrize(
    "body", [{"frame_skip": 2}, {"region": "de"}, {"delete_after_processing": True}]
)
def test_parameters_without_auto_process_are_refused(api: Api, body: dict[str, Any]) -> None:
    answer = api.client.post(
        "/process/video/upload/s3/presigned-url", json={"filename": "a.mp4", **body}
    )
    assert answer.status_code == 422
    assert "auto_process" in answer.json()["detail"]


# -- asking for what has begun ----------------------------------------------------------------


def test_asking_for_processing_names_the_job_that_has_begun(api: Api) -> None:
    form = announced(api)
    upload(form)
    first = process(api, form).json()
    assert first["status"] == "pending"
    for same in ({}, {"frame_skip": 3}, dict(CHOSEN)):
        assert process(api, form, **same).json()["job_id"] == first["job_id"]
    (job,) = jobs_of(api, form)
    assert str(job.id) == first["job_id"]
    assert job.parameters["frame_skip"] == 3, "those of the announcement"


def test_the_job_is_named_also_when_the_video_is_gone(api: Api) -> None:
    form = announced(api)
    upload(form)
    created = process(api, form).json()
    change(api, {"job_id": created["job_id"]}, status="completed")
    api.parts.store.delete(form["s3_key"])
    again = process(api, form)
    assert again.status_code == 200
    assert (again.json()["job_id"], again.json()["status"]) == (created["job_id"], "completed")


def test_other_parameters_are_refused_while_it_runs_and_start_a_job_afterwards(api: Api) -> None:
    form = announced(api)
    upload(form)
    refused = process(api, form, frame_skip=1)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_processing")
    first = process(api, form).json()["job_id"]
    refused = process(api, form, frame_skip=1)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_processing")
    assert first in refused.json()["detail"]
    change(api, {"job_id": first}, status="completed")
    other = process(api, form, frame_skip=1).json()["job_id"]
    assert other != first
    assert process(api, form, frame_skip=1).json()["job_id"] == other
    assert api.job(form["job_id"])["processing_job_id"] == other


def test_a_cancelled_upload_is_not_processed_by_itself(api: Api) -> None:
    form = announced(api)
    assert api.client.post(f"/jobs/{form['job_id']}/cancel").status_code == 200
    upload(form)
    age(api, form, 4)
    assert look(api) == 0
    assert api.job(form["job_id"])["status"] == "cancelled"
    assert jobs_of(api, form) == []


def test_a_deleted_upload_is_not_processed(api: Api) -> None:
    form = announced(api)
    api.client.delete(f"/jobs/{form['job_id']}")
    upload(form)
    assert look(api) == 0
    assert jobs_of(api, form) == []


def test_deleting_the_job_ends_it_for_good(api: Api) -> None:
    form = announced(api)
    upload(form)
    created = process(api, form).json()
    assert api.client.delete(f"/jobs/{created['job_id']}").status_code == 200
    assert look(api) == 0
    assert jobs_of(api, form) == []


# -- what cannot be processed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kind", "code"),
    [
        (0, "video/mp4", "empty_file"),
        (9, "text/html", "not_a_video"),
        (12, "video/mp4", "too_large"),
    ],
)
def test_what_cannot_be_processed_ends_the_upload_with_the_reason(
    api: Api, size: int, kind: str, code: str
) -> None:
    form = announced(api)
    api.parts.store.put(form["s3_key"], bytes(size), kind)  # what the form would not have let in
    limit = 10
    assert (
        arrivals.look_for_upload(api.parts.sessions, api.parts.store, row(api, form), limit) is True
    )
    job = api.job(form["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert jobs_of(api, form) == []
    if code != "too_large":
        refused = process(api, form)
        assert refused.status_code == 400
        assert refused.json()["detail"] == job["error"]["detail"], "the same sentence"


# -- late, lost, killed -----------------------------------------------------------------------


def test_an_object_that_comes_after_the_form_expired_is_taken(api: Api) -> None:
    form = announced(api)
    too_late = announced(api)
    for one in (form, too_late):
        change(api, one, expires_at=datetime.now(UTC) - timedelta(hours=1))
    sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))
    assert [api.job(one["job_id"])["status"] for one in (form, too_late)] == ["expired"] * 2
    for one in (form, too_late):
        api.parts.store.put(one["s3_key"], VIDEO, "video/mp4")
        age(api, one, 7200, checked=601)
    change(api, too_late, updated_at=datetime.now(UTC) - timedelta(hours=25))
    assert look(api) == 1
    api.wait_for(form["job_id"], "pending", seconds=60)
    assert api.job(too_late["job_id"])["status"] == "expired"
    assert process(api, too_late).status_code == 200, "it can be asked for at any time"


@pytest.mark.parametrize("how", ["roll back", "lose the connection"])
def test_a_process_that_dies_in_between_leaves_nothing(api: Api, how: str) -> None:
    form = announced(api)
    upload(form)
    found = api.parts.store.head(form["s3_key"])
    session = api.parts.sessions()
    arrivals.mark_uploaded(session, uuid.UUID(form["job_id"]), found)
    begun = session.scalar(select(Job.id).where(Job.object_key == found.key, Job.type == "video"))
    assert begun is not None
    if how == "lose the connection":
        backend = session.scalar(text("SELECT pg_backend_pid()"))
        with api.parts.sessions.begin() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        session.invalidate()
    session.close()
    assert jobs_of(api, form) == []
    assert api.queued(str(begun)) == []
    assert row(api, form).status == "awaiting_upload"
    age(api, form, 4)
    assert look(api) == 1
    (job,) = jobs_of(api, form)
    assert api.queued(str(job.id)) == ["plan"]


def test_everybody_at_once_starts_one_job(api: Api) -> None:
    for _ in range(6):
        form = announced(api)
        upload(form)
        age(api, form, 4)
        job_id = uuid.UUID(form["job_id"])
        found = api.parts.store.head(form["s3_key"])

        def completion(job_id: uuid.UUID = job_id, found: ObjectInfo = found) -> None:
            with api.parts.sessions.begin() as session:
                arrivals.mark_uploaded(session, job_id, found)

        def request(form: dict[str, Any] = form) -> str:
            answer = process(api, form)
            assert answer.status_code == 200, answer.text
            created: str = answer.json()["job_id"]
            return created

        def status(form: dict[str, Any] = form) -> None:
            httpx.get(f"{api.url}/jobs/{form['job_id']}", timeout=60).raise_for_status()

        named = at_once([completion, request, lambda: look(api), status] * 3)
        (job,) = jobs_of(api, form)
        assert {name for name in named if isinstance(name, str)} == {str(job.id)}
        assert api.queued(str(job.id)) == ["plan"]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Makes all the calls at the same moment; their answers."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait(timeout=60)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_a_cancel_that_meets_the_arrival_ends_the_processing(api: Api) -> None:
    form = announced(api)
    upload(form)
    found = api.parts.store.head(form["s3_key"])
    with api.parts.sessions() as session, ThreadPoolExecutor(1) as pool:
        arrivals.mark_uploaded(session, uuid.UUID(form["job_id"]), found)
        cancel = pool.submit(httpx.post, f"{api.url}/jobs/{form['job_id']}/cancel", timeout=60)
        wait_for_a_lock(api)
        session.commit()
        assert cancel.result().status_code == 200
    (job,) = jobs_of(api, form)
    assert job.status == "cancelled"
    assert api.job(form["job_id"])["status"] == "cancelled"


def test_a_deletion_locks_the_upload_before_its_job_as_all_others_do(api: Api) -> None:
    form = announced(api)
    upload(form)
    created = process(api, form).json()
    with api.parts.sessions() as session, ThreadPoolExecutor(1) as pool:
        assert arrivals.locked_upload(session, form["s3_key"]) is not None
        deletion = pool.submit(httpx.delete, f"{api.url}/jobs/{created['job_id']}", timeout=60)
        wait_for_a_lock(api)
        session.get_one(Job, uuid.UUID(created["job_id"]), with_for_update=True)
        session.rollback()
        assert deletion.result().status_code == 200


def wait_for_a_lock(api: Api) -> None:
    """Returns once somebody waits for a row that another transaction holds."""
    end = time.monotonic() + 60
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while True:
        with api.parts.sessions() as session:
            if session.scalar(query):
                return
        assert time.monotonic() < end
        time.sleep(0.02)


# -- how often storage is asked ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_", "checked", "status", "due"),
    [
        (2, None, "awaiting_upload", False),
        (4, None, "awaiting_upload", True),
        (20, 2, "awaiting_upload", False),
        (20, 10, "awaiting_upload", True),  # 10 s old at the last look: 5 s later
        (1000, 40, "awaiting_upload", False),
        (1000, 61, "awaiting_upload", True),
        (9000, 500, "expired", False),
        (9000, 601, "expired", True),
    ],
)
def test_pauses_between_looks_grow(
    api: Api, age_: float, checked: float | None, status: str, due: bool
) -> None:
    form = announced(api)
    age(api, form, age_, checked=checked)
    change(api, form, status=status)
    before = row(api, form).checked_at
    assert look(api) == 0
    assert (row(api, form).checked_at != before) is due


def test_a_round_asks_a_bounded_number_of_times(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "LOOKS_A_ROUND", 2)
    forms = [announced(api) for _ in range(4)]
    for number, form in enumerate(forms):
        age(api, form, 10 + number)
    look(api)
    looked = [row(api, form).checked_at is not None for form in forms]
    assert looked == [False, False, True, True], "the most overdue first"
    look(api)
    assert all(row(api, form).checked_at for form in forms)


def test_storage_that_does_not_answer_is_asked_once_a_round(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = [announced(api) for _ in range(3)]
    for form in forms:
        upload(form)
        age(api, form, 4)
    asked = []

    def broken(_key: str) -> ObjectInfo:
        asked.append(1)
        raise StorageError("Storage cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(api.parts.store, "head", broken)
        assert look(api) == 0
    assert len(asked) == 1
    assert look(api) == 3
