"""What is told to whom when a job ends: against a real receiver, database and API."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from pydantic import SecretStr
from sqlalchemy import delete, select, text, update
from standardwebhooks.webhooks import Webhook

from detect_api.core.config import Settings
from detect_api.db.session import make_engine, make_session_factory
from detect_api.db.tables import Job, WebhookDelivery
from detect_api.jobs import states
from detect_api.jobs.deliver import WAITS, Claimed, Deliverer, claim, record
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.webhooks.send import Outcome, Resolver, Sender
from detect_api.webhooks.target import Rules
from tests.receiver import SECRET, Answer, Receiver, receiver

from .conftest import Api, serve

LONG_AGO = datetime.now(UTC) - timedelta(days=40)
LOOPBACK = "127.0.0.1/32"


@pytest.fixture(scope="module")
def hooked(
    s3: Settings, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The API with a secret for webhooks, and receivers allowed at 127.0.0.1."""
    yield from serve(
        s3.model_copy(
            update={
                "database_url": database_url,
                "data_dir": tmp_path_factory.mktemp("hooked"),
                "webhook_secret": SecretStr(SECRET),
                "webhook_allow_http": True,
                "webhook_allowed_networks": LOOPBACK,
            }
        )
    )


@pytest.fixture(autouse=True)
def _nothing_waits(request: pytest.FixtureRequest) -> None:
    hooked: Api = request.getfixturevalue("hooked")
    with hooked.parts.sessions.begin() as session:
        session.execute(delete(WebhookDelivery))


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def a_job(api: Api, url: str | None = None, **values: Any) -> uuid.UUID:
    job_id = uuid.uuid4()
    chosen = {
        "type": "video", "status": "processing", "object_key": f"videos/{job_id}.mp4",
        "parameters": {"frame_skip": 1, "webhook_url": url}, **values,
    }  # fmt: skip
    with api.parts.sessions.begin() as session:
        session.add(Job(id=job_id, **chosen))
    return job_id


def cancelled(api: Api, url: str | None) -> str:
    """A job that was cancelled, so that its webhook is due."""
    job_id = a_job(api, url)
    assert api.client.post(f"/jobs/{job_id}/cancel").status_code == 200
    return str(job_id)


def send_due(api: Api, resolve: Resolver | None = None, **changes: Any) -> int:
    """Sends what is due, as a worker does; returns how many that were."""
    settings = api.parts.settings.model_copy(update=changes)
    deliverer = Deliverer(api.parts.sessions, Sender.from_settings(settings, resolve))
    return asyncio.run(deliverer.once())


def log_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    answer = api.client.get(f"/jobs/{job_id}/webhooks")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["webhooks"]
    return found


def change(api: Api, **values: Any) -> None:
    """Changes all deliveries."""
    with api.parts.sessions.begin() as session:
        session.execute(update(WebhookDelivery).values(**values))


def addresses(*answers: list[str]) -> tuple[Resolver, list[str]]:
    """A resolver that answers differently each time it is asked, and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    return resolve, asked


# -- asking for one -------------------------------------------------------------------------


def test_a_webhook_is_refused_where_no_secret_is_set(api: Api, api_without_s3: Api) -> None:
    url = "https://example.com/hook"
    answer = api.client.post("/process/video/s3", json={"s3_key": "videos/x", "webhook_url": url})
    assert (answer.status_code, answer.json()["code"]) == (503, "webhooks_unavailable")
    answer = api.client.post(
        "/process/video/upload/s3/presigned-url",
        json={"filename": "a.mp4", "auto_process": True, "webhook_url": url},
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "webhooks_unavailable")
    answer = api_without_s3.client.post(
        "/process/video/upload/async",
        data={"webhook_url": url},
        files={"file": ("a.mp4", b"x", "video/mp4")},
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "webhooks_unavailable")


@pytest.mark.parametrize("url", ["https://169.254.169.254/", "https://a:b@c.de/", "ftp://c.de/"])
def test_a_receiver_that_is_not_allowed_is_refused_at_once(hooked: Api, url: str) -> None:
    answer = hooked.client.post(
        "/process/video/s3", json={"s3_key": "videos/x", "webhook_url": url}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_url_refused")


def test_a_job_from_a_form_or_from_s3_keeps_its_webhook_and_shows_no_secret(hooked: Api) -> None:
    url = "https://example.com/T0KEN?key=T0KEN"
    answer = hooked.client.post(
        "/process/video/upload/async",
        data={"webhook_url": url},
        files={"file": ("a.mp4", b"x", "video/mp4")},
    )
    assert answer.status_code == 200, answer.text
    form_job = answer.json()["job_id"]
    key = hooked.job(form_job)["s3_key"]
    answer = hooked.client.post("/process/video/s3", json={"s3_key": key, "webhook_url": url})
    assert answer.status_code == 200, answer.text
    for job_id in (form_job, answer.json()["job_id"]):
        assert "T0KEN" not in json.dumps(hooked.job(job_id))
        assert hooked.job(job_id)["parameters"]["webhook_url"] == "https://example.com/…"
        with hooked.parts.sessions() as session:
            job = session.get_one(Job, uuid.UUID(job_id))
        assert job.parameters["webhook_url"] == url


def test_an_upload_that_is_processed_by_itself_is_told_under_its_own_id(
    hooked: Api, here: Receiver
) -> None:
    asked = {"filename": "a.mp4", "auto_process": True, "webhook_url": here.url}
    refused = {**asked, "webhook_url": "https://10.0.0.1/"}
    for route in ("/process/video/upload/s3/presigned-url", "/uploads"):
        answer = hooked.client.post(route, json={**refused, "file_size": 9})
        assert (answer.status_code, answer.json()["code"]) == (400, "webhook_url_refused"), route
    form = hooked.presign(**asked)
    hooked.parts.store.put(form["s3_key"], b"video", "video/mp4")
    upload = hooked.wait_for(form["job_id"], "pending", seconds=60)
    assert hooked.client.post(f"/jobs/{form['job_id']}/cancel").status_code == 200
    assert send_due(hooked) == 1
    said = json.loads(here.received[0].body)["data"]
    assert (said["job_id"], said["upload_job_id"]) == (
        upload["processing_job_id"],
        form["job_id"],
    )


# -- being told -----------------------------------------------------------------------------


def test_the_end_of_a_job_is_told_once_and_signed(hooked: Api, here: Receiver) -> None:
    job_id = cancelled(hooked, here.url)
    assert [row["status"] for row in log_of(hooked, job_id)] == ["pending"]
    assert send_due(hooked) == 1
    assert send_due(hooked) == 0
    (request,) = here.received
    said = Webhook(SECRET).verify(request.body, request.headers)
    assert request.path == "/hook?token=s3cret"
    assert request.headers["content-type"] == "application/json"
    assert said["type"] == "job.cancelled"
    assert said["data"] == {**hooked.job(job_id), "upload_job_id": None}
    assert said["timestamp"] == said["data"]["completed_at"]
    (row,) = log_of(hooked, job_id)
    assert request.headers["webhook-id"] == row["delivery_id"]
    assert (row["status"], row["event"], row["next_try_at"]) == (
        "delivered",
        "job.cancelled",
        None,
    )
    assert [(entry["status_code"], entry["response"]) for entry in row["tries"]] == [(200, "ok")]
    assert "s3cret" not in json.dumps(row)
    assert "s3cret" not in request.body


def test_completed_and_failed_say_what_there_is(hooked: Api, here: Receiver) -> None:
    failed = a_job(hooked, here.url)
    upload = a_job(hooked, None, type="upload", status="uploaded")
    with hooked.parts.sessions.begin() as session:
        states.fail(session, failed, 1, code="corrupt_video", detail="It is damaged.")
    completed = a_job(
        hooked, here.url, plates_found=3, object_key=f"videos/{upload}.mp4", status="completed"
    )
    with hooked.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == upload).values(processing_job_id=completed))
        states.add_event(session, completed, states.COMPLETED, {})
    assert send_due(hooked) == 2
    by_type = {said["type"]: said["data"] for said in map(json.loads, bodies(here))}
    assert by_type["job.failed"]["error"] == {"code": "corrupt_video", "detail": "It is damaged."}
    assert by_type["job.completed"]["result_url"] == f"/jobs/{completed}/result"
    assert by_type["job.completed"]["plates_found"] == 3
    assert by_type["job.completed"]["upload_job_id"] == str(upload)
    assert len(log_of(hooked, str(upload))) == 1, "the upload shows those of its processing"


def bodies(here: Receiver) -> list[str]:
    return [request.body for request in here.received]


def test_an_upload_that_expires_is_told(hooked: Api, here: Receiver) -> None:
    job_id = a_job(
        hooked, here.url, type="upload", status="awaiting_upload", auto_process=True,
        expires_at=LONG_AGO,
    )  # fmt: skip
    run_sweep(hooked)
    assert send_due(hooked) == 1
    said = json.loads(here.received[0].body)
    assert (said["type"], said["data"]["job_id"]) == ("upload.expired", str(job_id))


def run_sweep(api: Api) -> None:
    with api.parts.sessions.begin() as session:
        session.execute(text("DELETE FROM leases"))
    assert sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))


def test_what_is_rolled_back_is_not_told(hooked: Api, here: Receiver) -> None:
    job_id = a_job(hooked, here.url)
    with pytest.raises(RuntimeError), hooked.parts.sessions.begin() as session:
        states.fail(session, job_id, 1, code="corrupt_video", detail="It is damaged.")
        raise RuntimeError
    assert send_due(hooked) == 0
    assert log_of(hooked, str(job_id)) == []


def test_one_receiver_may_hear_of_every_video(hooked: Api, database_url: str) -> None:
    engine = make_engine(database_url)
    with receiver() as of_all, receiver() as of_the_job:
        sessions = make_session_factory(engine, webhook_url=of_all.url)
        for url in (of_the_job.url, None, of_all.url):
            with sessions.begin() as session:
                job = a_job(hooked, url)
                states.fail(session, job, 1, code="corrupt_video", detail="It is damaged.")
        with sessions.begin() as session:
            image = a_job(hooked, None, type="image")
            states.fail(session, image, 1, code="corrupt_video", detail="It is damaged.")
        assert send_due(hooked) == 4
        assert (len(of_all.received), len(of_the_job.received)) == (3, 1)
    engine.dispose()


# -- trying again ---------------------------------------------------------------------------


def test_it_is_tried_again_later_and_later_and_then_given_up(hooked: Api, here: Receiver) -> None:
    here.answer = lambda: Answer(500, body=b"no\x00pe \xff" + b"x" * 5000)
    job_id = cancelled(hooked, here.url)
    for number, wait in enumerate(WAITS, start=1):
        before = datetime.now(UTC)
        assert send_due(hooked) == 1
        assert send_due(hooked) == 0, "not before its time"
        (row,) = log_of(hooked, job_id)
        assert (row["status"], len(row["tries"])) == ("pending", number)
        assert datetime.fromisoformat(row["next_try_at"]) >= before + timedelta(seconds=wait)
        change(hooked, next_try_at=LONG_AGO)
    assert send_due(hooked) == 1
    (row,) = log_of(hooked, job_id)
    assert (row["status"], row["next_try_at"]) == ("failed", None)
    assert {len(entry["response"]) for entry in row["tries"]} == {1024}
    assert row["tries"][0]["response"].startswith("no\ufffdpe \ufffdxx")
    assert len(here.received) == len(WAITS) + 1
    assert len({request.headers["webhook-id"] for request in here.received}) == 1
    assert len({request.body for request in here.received}) == 1
    assert send_due(hooked) == 0


def test_a_receiver_that_is_gone_is_not_tried_again(hooked: Api, here: Receiver) -> None:
    here.answer = lambda: Answer(410)
    job_id = cancelled(hooked, here.url)
    assert send_due(hooked) == 1
    assert log_of(hooked, job_id)[0]["status"] == "failed"


def test_a_receiver_may_ask_for_more_time(hooked: Api, here: Receiver) -> None:
    here.answer = lambda: Answer(429, {"Retry-After": "4000"})
    job_id = cancelled(hooked, here.url)
    before = datetime.now(UTC)
    send_due(hooked)
    at = datetime.fromisoformat(log_of(hooked, job_id)[0]["next_try_at"])
    assert at >= before + timedelta(seconds=4000)


def test_what_a_receiver_does_wrong_is_said(hooked: Api) -> None:
    with receiver() as gone:
        url = gone.url
    job_id = cancelled(hooked, url)
    send_due(hooked)
    entry = log_of(hooked, job_id)[0]["tries"][0]
    assert (entry["status_code"], entry["error"]) == (None, "The receiver takes no connections.")


def test_a_receiver_without_tls_is_told_apart(hooked: Api, here: Receiver) -> None:
    job_id = cancelled(hooked, here.url.replace("http:", "https:"))
    send_due(hooked)
    entry = log_of(hooked, job_id)[0]["tries"][0]
    assert entry["error"] == "No TLS connection comes about with the receiver."
    assert here.received == []


def test_a_receiver_that_never_answers_is_not_waited_for(hooked: Api, here: Receiver) -> None:
    here.answer = here.hang
    job_id = cancelled(hooked, here.url)
    send_due_within(hooked, 0.5)
    entry = log_of(hooked, job_id)[0]["tries"][0]
    assert entry["error"] == "No answer came within 0.5 seconds."


def test_an_answer_counts_although_its_body_never_ends(hooked: Api, here: Receiver) -> None:
    here.answer = lambda: Answer(200, {"Content-Length": "5000"}, b"begun", stays=True)
    job_id = cancelled(hooked, here.url)
    for _ in range(9):  # more than once only where this machine is too slow for its head
        send_due_within(hooked, 1.5)
        (row,) = log_of(hooked, job_id)
        if row["status"] == "delivered":
            break
        change(hooked, next_try_at=LONG_AGO)
    assert (row["status"], row["tries"][-1]["response"]) == ("delivered", "begun")


def send_due_within(api: Api, seconds: float) -> None:
    sender = replace(Sender.from_settings(api.parts.settings), timeout=seconds)
    assert asyncio.run(Deliverer(api.parts.sessions, sender).once()) == 1


def test_a_slow_receiver_does_not_hold_up_another(hooked: Api, here: Receiver) -> None:
    with receiver() as slow:
        slow.answer = slow.hang
        for _ in range(40):
            cancelled(hooked, slow.url)
        last = cancelled(hooked, here.url)

        async def work() -> None:
            deliverer = Deliverer(
                hooked.parts.sessions, Sender.from_settings(hooked.parts.settings)
            )
            running = asyncio.create_task(deliverer.run())
            await asyncio.to_thread(here.wait)
            assert 0 < len(slow.received) < 9, "most of them still wait for their turn"
            slow.answer = Answer
            slow.released.set()
            await asyncio.to_thread(slow.wait, 40)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(work())
    assert log_of(hooked, last)[0]["status"] == "delivered"
    with hooked.parts.sessions() as session:
        left = session.scalars(select(WebhookDelivery.status)).all()
    assert set(left) == {"delivered"}, "what was under way was brought to its end"


KILLED = """
import asyncio, sys
from detect_api.core.config import Settings
from detect_api.db.session import make_engine, make_session_factory
from detect_api.jobs.deliver import Deliverer
from detect_api.webhooks.send import Sender

settings = Settings(
    _env_file=None, database_url=sys.argv[1], webhook_secret=sys.argv[2],
    webhook_allow_http=True, webhook_allowed_networks="127.0.0.1",
)
sessions = make_session_factory(make_engine(settings.database_url))
asyncio.run(Deliverer(sessions, Sender.from_settings(settings)).run())
"""


def test_what_a_killed_worker_was_sending_is_sent_by_another(
    hooked: Api, here: Receiver, database_url: str
) -> None:
    here.answer = here.hang
    job_id = cancelled(hooked, here.url)
    worker = subprocess.Popen([sys.executable, "-c", KILLED, database_url, SECRET])
    try:
        here.wait()
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    here.released.set()
    here.answer = Answer
    assert send_due(hooked) == 0, "as long as its claim holds"
    change(hooked, claimed_until=LONG_AGO)
    assert send_due(hooked) == 1
    first, second = here.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert log_of(hooked, job_id)[0]["status"] == "delivered"


def test_two_workers_do_not_send_the_same(hooked: Api) -> None:
    for _ in range(6):
        cancelled(hooked, "https://example.com/")
    with hooked.parts.sessions() as one, hooked.parts.sessions() as other:
        mine, theirs = claim(one, 4, []), claim(other, 4, [])
        assert (len(mine), len(theirs)) == (4, 2)
        assert not {row.id for row in mine} & {row.id for row in theirs}


def test_a_worker_whose_claim_ran_out_does_not_decide(hooked: Api, here: Receiver) -> None:
    job_id = cancelled(hooked, here.url)
    with hooked.parts.sessions.begin() as session:
        (late,) = claim(session, 1, [])
    change(hooked, claimed_until=LONG_AGO)
    with hooked.parts.sessions.begin() as session:
        (now,) = claim(session, 1, [])
        record(session, late, Outcome(datetime.now(UTC), 30.0, status=410))
    assert log_of(hooked, job_id)[0]["status"] == "pending"
    with hooked.parts.sessions.begin() as session:
        assert record(session, now, Outcome(datetime.now(UTC), 0.1, status=204)) == "delivered"
    codes = [entry["status_code"] for entry in log_of(hooked, job_id)[0]["tries"]]
    assert codes == [410, 204]


def test_a_deleted_job_takes_its_webhooks_along(hooked: Api, here: Receiver) -> None:
    job_id = cancelled(hooked, here.url)
    with hooked.parts.sessions.begin() as session:
        (taken,) = claim(session, 1, [])
    assert hooked.client.delete(f"/jobs/{job_id}").status_code == 200
    with hooked.parts.sessions.begin() as session:
        assert record(session, taken, Outcome(datetime.now(UTC), 0.1, status=200)) is None
    assert send_due(hooked) == 0
    assert hooked.client.get(f"/jobs/{job_id}/webhooks").status_code == 404


# -- the log --------------------------------------------------------------------------------


def test_a_webhook_can_be_sent_again_by_hand(hooked: Api, here: Receiver) -> None:
    job_id = cancelled(hooked, here.url)
    (row,) = log_of(hooked, job_id)
    again: Callable[[], Any] = lambda: hooked.client.post(  # noqa: E731
        f"/webhooks/{row['delivery_id']}/replay"
    )
    assert (again().status_code, again().json()["code"]) == (409, "webhook_waiting")
    send_due(hooked)
    answer = again()
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert again().status_code == 409
    assert send_due(hooked) == 1
    first, second = here.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    (row,) = log_of(hooked, job_id)
    assert (row["status"], len(row["tries"])) == ("delivered", 2)
    unknown = hooked.client.post(f"/webhooks/{uuid.uuid4()}/replay")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "webhook_not_found")


def test_the_log_does_not_grow_for_ever(hooked: Api, here: Receiver) -> None:
    job_id = cancelled(hooked, here.url)
    for _ in range(35):
        with hooked.parts.sessions.begin() as session:
            row = session.scalars(select(WebhookDelivery)).one()
            stale = Claimed(row.id, uuid.uuid4(), row.url, row.origin, row.body)
            record(session, stale, Outcome(datetime.now(UTC), 0.1, status=500))
    assert len(log_of(hooked, job_id)[0]["tries"]) == 30
    run_sweep(hooked)
    assert len(log_of(hooked, job_id)) == 1
    change(hooked, status="delivered", finished_at=LONG_AGO)
    run_sweep(hooked)
    assert log_of(hooked, job_id) == []


# -- where it must not go -------------------------------------------------------------------


def test_a_redirect_is_not_followed(hooked: Api, here: Receiver) -> None:
    with receiver() as elsewhere:
        for target in ("http://169.254.169.254/latest/meta-data/", elsewhere.url):
            here.answer = lambda to=target: Answer(307, {"Location": to})  # type: ignore[misc]
            job_id = cancelled(hooked, here.url)
            send_due(hooked)
            (row,) = log_of(hooked, job_id)
            assert [entry["status_code"] for entry in row["tries"]] == [307]
            assert row["status"] == "pending"
        assert (len(here.received), elsewhere.received) == (2, [])


def test_a_name_that_means_something_else_the_next_time_leads_nowhere(
    hooked: Api, here: Receiver
) -> None:
    port = here.url.split(":")[2].split("/")[0]
    with receiver(address="127.0.0.2", port=int(port)) as inside:
        resolve, asked = addresses(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], [])
        job_id = cancelled(hooked, f"http://rebinding.test:{port}/hook")
        here.answer = lambda: Answer(500)
        for number in range(1, 5):
            assert send_due(hooked, resolve) == 1
            assert asked == ["rebinding.test"] * number, "one look decides"
            change(hooked, next_try_at=LONG_AGO)
        assert inside.received == []
    assert [request.headers["host"] for request in here.received] == [f"rebinding.test:{port}"]
    refused = "The host stands for a private or reserved address."
    (row,) = log_of(hooked, job_id)
    assert [entry["error"] for entry in row["tries"]] == [
        None, refused, refused, "The host's name does not resolve.",
    ]  # fmt: skip


def test_the_machine_itself_is_refused_whatever_it_is_called(hooked: Api, here: Receiver) -> None:
    port = here.url.split(":")[2].split("/")[0]
    for host in ("localhost", "localhost."):
        cancelled(hooked, f"http://{host}:{port}/")
    assert send_due(hooked, webhook_allowed_networks="") == 2
    assert here.received == []


def test_settings_that_forbid_a_receiver_later_hold_for_what_waits(
    hooked: Api, here: Receiver
) -> None:
    cancelled(hooked, here.url)
    assert send_due(hooked, webhook_allow_http=False) == 1
    change(hooked, next_try_at=LONG_AGO)
    assert send_due(hooked, webhook_secret=None) == 1
    assert here.received == []


def test_no_proxy_is_taken_from_the_environment(
    hooked: Api, here: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        cancelled(hooked, here.url)
        send_due(hooked)
        assert (len(here.received), proxy.received) == (1, [])


def test_tls_is_verified_for_the_name_and_not_for_the_address(
    hooked: Api, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.test").configure_cert(context)
    with receiver(tls=context) as secure:
        port = secure.url.split(":")[2].split("/")[0]
        for host, changes in (
            ("hooks.test", {"webhook_ca_file": file}),
            ("other.test", {"webhook_ca_file": file}),
            ("hooks.test", {}),
        ):
            resolve, _ = addresses(["127.0.0.1"])
            job_id = cancelled(hooked, f"https://{host}:{port}/")
            send_due(hooked, resolve, webhook_allow_http=False, **changes)
            (entry,) = log_of(hooked, job_id)[0]["tries"]
            if host == "hooks.test" and changes:
                assert entry["status_code"] == 200
            else:
                assert (entry["status_code"], entry["error"][:38]) == (
                    None,
                    "The receiver's certificate is not vali",
                )
    assert [request.headers["host"] for request in secure.received] == [f"hooks.test:{port}"]


def test_the_rules_of_the_tests_are_as_narrow_as_they_say(hooked: Api) -> None:
    rules = Rules.from_settings(hooked.parts.settings)
    assert rules.allows("127.0.0.1")
    assert not rules.allows("127.0.0.2")
