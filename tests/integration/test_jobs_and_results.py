"""Jobs, events, results, search and corrections over HTTP."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import structlog

from detect_api.db.tables import Job
from detect_api.jobs import states

from .conftest import Api


def a_job(api: Api, status: str = "processing", **values: Any) -> uuid.UUID:
    job_id = uuid.uuid4()
    with api.parts.sessions.begin() as session:
        session.add(
            Job(
                id=job_id, type="video", status=status, object_key=f"videos/{job_id}.mp4",
                object_etag="x", file_size=1, **values,
            )
        )  # fmt: skip
    return job_id


@contextmanager
def following(
    api: Api, job_id: uuid.UUID | str, headers: dict[str, str] | None = None
) -> Iterator[list[tuple[str, str, Any]]]:
    """Collects (id, event, data) of a job's stream in the background until it ends."""
    seen: list[tuple[str, str, Any]] = []

    def read() -> None:
        with httpx.stream(
            "GET", f"{api.url}/jobs/{job_id}/events", headers=headers, timeout=20
        ) as r:
            event = {"id": "", "event": "", "data": ""}
            for line in r.iter_lines():
                name, _, value = line.partition(": ")
                if name in event:
                    event[name] = value
                elif not line and event["event"]:
                    seen.append((event["id"], event["event"], json.loads(event["data"])))
                    event = {"id": "", "event": "", "data": ""}

    thread = threading.Thread(target=read)
    thread.start()
    yield seen
    thread.join(timeout=20)
    assert not thread.is_alive(), seen


def until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_jobs_are_listed_newest_first_in_pages(api: Api) -> None:
    made = [str(a_job(api, "failed")) for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < 5:
        params: dict[str, Any] = {"status": "failed", "type": "video", "limit": 2}
        page = api.client.get("/jobs", params={**params, **({"cursor": cursor} if cursor else {})})
        seen += [job["job_id"] for job in page.json()["jobs"]]
        cursor = page.json()["next_cursor"]
    assert seen[:5] == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "e30", "WyJhIiwgImIiXQ", "ü"])
def test_a_made_up_cursor_is_refused(api: Api, cursor: str) -> None:
    for url in ("/jobs", "/plates"):
        answer = api.client.get(url, params={"cursor": cursor})
        assert answer.status_code == 400
        assert "next_cursor" in answer.json()["detail"]


def test_an_unknown_job_is_404_everywhere(api: Api) -> None:
    job_id = uuid.uuid4()
    for method, path in (
        ("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", ""),
        ("GET", "/result"), ("GET", "/plates"), ("GET", "/plates.csv"), ("GET", "/plates.jsonl"),
        ("GET", "/unread/1.jpg"),
    ):  # fmt: skip
        answer = api.client.request(method, f"/jobs/{job_id}{path}")
        assert answer.status_code == 404, path
        assert answer.json()["code"] == "job_not_found"
    assert api.client.get("/jobs/not-a-uuid").status_code == 422


def test_events_tell_progress_plates_and_the_end(api: Api) -> None:
    job_id = a_job(api)
    with following(api, job_id) as seen:
        until(lambda: seen)
        with api.parts.sessions.begin() as session:
            job = states.locked(session, job_id, 1, (states.PROCESSING,))
            job.progress = 0.5
            states.add_event(session, job_id, "plate", {"text": "AB12CDE"})
        until(lambda: len(seen) >= 3)
        with api.parts.sessions.begin() as session:
            states.fail(session, job_id, 1, code="truncated", detail="It ends early.")
    kinds = [kind for _, kind, _ in seen]
    assert kinds == ["progress", "plate", "progress", "progress", "failed"]
    assert seen[2][2]["progress"] == 0.5
    assert seen[-1][2] == {"code": "truncated", "detail": "It ends early."}


def test_a_broken_stream_goes_on_where_it_ended(api: Api) -> None:
    job_id = a_job(api)
    with api.parts.sessions.begin() as session:
        for number in range(5):
            states.add_event(session, job_id, "plate", {"text": f"AB{number}"})
        states.fail(session, job_id, 1, code="x", detail="y")
    with following(api, job_id) as seen:
        pass
    plates = [(event, data["text"]) for event, kind, data in seen if kind == "plate"]
    assert [text for _, text in plates] == [f"AB{n}" for n in range(5)]
    with following(api, job_id, {"Last-Event-ID": plates[2][0]}) as rest:
        pass
    assert [data["text"] for _, kind, data in rest if kind == "plate"] == ["AB3", "AB4"]


def test_following_an_upload_goes_over_into_its_processing_job(api: Api) -> None:
    upload = a_job(api, "uploaded")
    with following(api, upload) as seen:
        until(lambda: seen)
        processing = a_job(api, "processing")
        with api.parts.sessions.begin() as session:
            row = session.get(Job, upload)
            assert row is not None
            row.processing_job_id = processing
            from detect_api.jobs import queue

            queue.notify(session, upload)
        until(lambda: seen[-1][2].get("processing_job_id"))
        with api.parts.sessions.begin() as session:
            states.add_event(session, processing, "plate", {"text": "AB1"})
            states.fail(session, processing, 1, code="x", detail="y")
    kinds = [kind for _, kind, _ in seen]
    assert "plate" in kinds
    assert kinds[-2:] == ["progress", "failed"]


def test_cancel_ends_what_runs_and_nothing_else(api: Api) -> None:
    job_id = a_job(api)
    assert api.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    again = api.client.post(f"/jobs/{job_id}/cancel")
    assert again.status_code == 409
    done = api.finished_job(["AB12CDE"])
    assert api.client.post(f"/jobs/{done}/cancel").status_code == 409


def test_retry_starts_a_failed_job_anew(api: Api) -> None:
    job_id = a_job(api, "failed", error_code="x", error_detail="y", frames_done=5)
    answer = api.client.post(f"/jobs/{job_id}/retry").json()
    assert (answer["status"], answer["attempt"], answer["error"]) == ("pending", 2, None)
    assert answer["frames"] == {"done": 0, "total": 0}
    assert api.queued(str(job_id)) == ["plan"]
    assert api.client.post(f"/jobs/{job_id}/retry").status_code == 409


def test_deleting_a_job_removes_rows_and_objects(api: Api) -> None:
    job_id = api.finished_job(["AB12CDE", "XY99ZZZ"], unread=1)
    api.parts.store.put(f"videos/{job_id}.mp4", b"video", "video/mp4")
    plate = api.client.get(f"/jobs/{job_id}/plates").json()["plates"][0]
    answer = api.client.delete(f"/jobs/{job_id}").json()
    assert answer == {
        "job_id": job_id,
        "deleted": {
            "plates": 2,
            "unread_tracks": 1,
            "video": f"videos/{job_id}.mp4",
            "pictures": f"videos/evidence/{job_id}/",
        },
        "receipt_id": answer["receipt_id"],
        "receipt_url": f"/receipts/{answer['receipt_id']}",
    }
    assert not [key for key in api.objects() if job_id in key]
    assert api.client.get(f"/jobs/{job_id}").status_code == 404
    assert api.client.get(plate["crop_url"]).status_code == 404


def test_a_video_that_another_job_names_is_kept(api: Api) -> None:
    first, second = api.finished_job([]), api.finished_job([])
    with api.parts.sessions.begin() as session:
        for job_id in (first, second):
            row = session.get(Job, uuid.UUID(job_id))
            assert row is not None
            row.object_key = "videos/shared.mp4"
    api.parts.store.put("videos/shared.mp4", b"video", "video/mp4")
    assert api.client.delete(f"/jobs/{first}").json()["deleted"]["video"] is None
    assert "videos/shared.mp4" in api.objects()
    assert api.client.delete(f"/jobs/{second}").json()["deleted"]["video"] == "videos/shared.mp4"
    assert "videos/shared.mp4" not in api.objects()


def test_there_is_no_result_while_a_job_runs(api: Api) -> None:
    job_id = a_job(api, progress=0.25)
    answer = api.client.get(f"/jobs/{job_id}/result")
    assert answer.status_code == 409
    assert "processing, 25% done" in answer.json()["detail"]


def test_a_result_has_the_contracts_shape(api: Api) -> None:
    job_id = api.finished_job(["AB12CDE"], unread=1)
    found = api.client.get(f"/jobs/{job_id}/result").json()
    assert set(found) >= {"job_id", "video", "statistics", "plates", "unread", "parameters",
                          "provenance"}  # fmt: skip
    assert set(found["video"]) == {
        "filename", "size", "sha256", "container", "codec", "width", "height", "rotation", "fps",
        "duration_seconds", "total_frames",
    }  # fmt: skip
    assert set(found["statistics"]) == {
        "processed_frames", "frames_with_detections", "total_detections", "unique_plates",
        "unread_tracks", "processing_time_seconds", "average_fps",
    }  # fmt: skip
    plate = found["plates"][0]
    assert plate["text"] == "AB12CDE"
    assert plate["best"]["bbox"] == {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 12.0}
    assert api.client.get(plate["crop_url"]).content == b"crop"
    assert api.client.get(plate["frame_url"]).content == b"frame"
    unread = found["unread"][0]
    assert unread["reason"] == "blurred"
    assert api.client.get(unread["crop_url"]).headers["content-type"] == "image/jpeg"


def test_plates_come_in_pages_and_as_files(api: Api) -> None:
    texts = [f"AB{n:02}CD" for n in range(7)]
    job_id = api.finished_job(texts)
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = api.client.get(f"/jobs/{job_id}/plates", params=params).json()
        seen += [plate["text"] for plate in page["plates"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == texts
    lines = list(csv.DictReader(io.StringIO(api.client.get(f"/jobs/{job_id}/plates.csv").text)))
    assert [line["text"] for line in lines] == texts
    assert lines[0]["x2"] == "30.0"
    rows = [json.loads(x) for x in api.client.get(f"/jobs/{job_id}/plates.jsonl").text.splitlines()]
    assert [row["text"] for row in rows] == texts


@pytest.fixture(scope="module")
def searched(api: Api) -> Api:
    api.finished_job(["QQ12ABC", "QQ12ABD", "QQ99XYZ", "Q12ABC", "ZQQ12AB"])
    return api


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"text": "QQ12ABC"}, {"QQ12ABC"}),
        ({"text": "qq-12 abc"}, {"QQ12ABC"}),
        ({"text": "Q12AB"}, {"QQ12ABC", "QQ12ABD", "Q12ABC", "ZQQ12AB"}),
        ({"text": "QQ12AB?"}, {"QQ12ABC", "QQ12ABD"}),
        ({"text": "QQ*"}, {"QQ12ABC", "QQ12ABD", "QQ99XYZ"}),
        ({"text": "QQ12ABC", "fuzzy": 1}, {"QQ12ABC", "QQ12ABD", "Q12ABC"}),
        ({"text": "QQ12ABC", "fuzzy": 2}, {"QQ12ABC", "QQ12ABD", "Q12ABC", "ZQQ12AB"}),
        ({"text": "Q12ABC", "from": "2099-01-01T00:00:00Z"}, set()),
    ],
)
def test_search_finds_what_matches(
    searched: Api, params: dict[str, Any], expected: set[str]
) -> None:
    found = searched.client.get("/plates", params={**params, "limit": 1000}).json()["plates"]
    assert {plate["text"] for plate in found if "Q" in plate["text"]} == expected


@pytest.mark.parametrize(
    "params", [{"text": "A%B"}, {"text": ""}, {"text": "A?", "fuzzy": 1}, {"fuzzy": 9}]
)
def test_a_bad_pattern_is_refused(api: Api, params: dict[str, Any]) -> None:
    assert api.client.get("/plates", params=params).status_code in (400, 422)


def test_a_correction_keeps_what_the_machine_read(api: Api) -> None:
    job_id = api.finished_job(["WW11WWW"])
    plate = api.client.get(f"/jobs/{job_id}/plates").json()["plates"][0]
    url = f"/plates/{plate['plate_id']}"
    corrected = api.client.patch(url, json={"text": "ww 11-wwv", "by": "kim"}).json()
    assert corrected["text"] == "WW11WWV"
    assert corrected["correction"]["machine_text"] == "WW11WWW"
    assert corrected["correction"]["by"] == "kim"
    assert api.client.get(f"/jobs/{job_id}/result").json()["plates"][0]["text"] == "WW11WWV"
    assert [p["text"] for p in api.client.get("/plates?text=WW11WWV").json()["plates"]] == [
        "WW11WWV"
    ]
    assert api.client.patch(url, json={"text": "<script>"}).status_code == 400
    assert api.client.patch(f"/plates/{uuid.uuid4()}", json={"text": "A"}).status_code == 404


def test_the_service_describes_itself(api: Api) -> None:
    assert api.client.get("/health").json()["status"] == "ok"
    ready = api.client.get("/ready")
    assert ready.status_code == 503  # no worker runs here, and it says so
    assert ready.json()["database"]["ok"]
    assert ready.json()["storage"]["ok"]
    assert not ready.json()["workers"]["ok"]
    assert api.client.get("/ready?workers=false").status_code == 200
    config = api.client.get("/config").json()
    assert config["s3_enabled"]
    assert config["upload_methods"] == ["s3", "s3-multipart", "api", "tus"]
    metrics = api.client.get("/metrics").text
    assert 'detect_api_http_requests_total{method="GET",route="/health",status="200"}' in metrics
    assert "detect_api_jobs{" in metrics


def test_every_route_has_an_example_and_describes_its_errors(api: Api) -> None:
    description = api.client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    schemas = description["components"]["schemas"]
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            assert route["summary"], path
            body = route.get("requestBody", {}).get("content", {})
            for kind, content in body.items():
                reference = content["schema"].get("$ref", "").rsplit("/", 1)[-1]
                example = content.get("example") or schemas.get(reference, {}).get("example")
                assert example, (method, path, kind)


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "/jobs/{job}/unread/99999999999.jpg", None),
        ("GET", "/plates?text=a%00b", None),
        ("GET", "/jobs?cursor=%00", None),
        ("PATCH", "/plates/{plate}", {"text": "AB1", "by": "\0"}),
        ("PATCH", "/plates/{plate}", {"text": "\0"}),
        ("POST", "/process/video/s3", {"s3_key": "videos/\0.mp4"}),
    ],
)
def test_odd_input_is_refused_and_no_error_of_ours(
    api: Api, method: str, url: str, body: dict[str, Any] | None
) -> None:
    job_id = api.finished_job(["AB12CDE"])
    plate = api.client.get(f"/jobs/{job_id}/plates").json()["plates"][0]["plate_id"]
    answer = api.client.request(method, url.format(job=job_id, plate=plate), json=body)
    assert 400 <= answer.status_code < 500, answer.text


def test_a_made_up_last_event_id_starts_from_the_beginning(api: Api) -> None:
    job_id = a_job(api)
    with api.parts.sessions.begin() as session:
        states.fail(session, job_id, 1, code="x", detail="y")
    with following(api, job_id, {"Last-Event-ID": "9" * 30}) as seen:
        pass
    assert seen[-1][1] == "failed"


def test_deleting_a_cancelled_upload_removes_what_still_arrives(api: Api) -> None:
    from detect_api.jobs.sweep import sweep
    from detect_api.jobs.workshop import Workshop

    form = api.presign(filename="a.mp4")
    api.client.post(f"/jobs/{form['job_id']}/cancel")
    api.client.delete(f"/jobs/{form['job_id']}")
    sent = httpx.post(
        form["upload_url"], data=form["upload_fields"], files={"file": ("a.mp4", b"late")}
    )
    assert sent.status_code in (200, 204)
    sweep(Workshop(api.parts.settings, api.parts.sessions, api.parts.store))
    assert form["s3_key"] not in api.objects()


def test_errors_have_one_shape(api: Api) -> None:
    for method, url, status in (
        ("GET", "/nowhere", 404), ("POST", "/health", 405), ("GET", "/jobs?limit=0", 422),
    ):  # fmt: skip
        answer = api.client.request(method, url, headers={"X-Request-ID": "my-request"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == "my-request"
        problem = answer.json()
        assert isinstance(problem["detail"], str)
        assert problem["request_id"] == "my-request"
        assert set(problem) >= {"type", "title", "status", "detail", "code"}


def test_what_changes_something_or_is_refused_is_logged_and_no_query_is(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level("INFO", logger="detect_api.api.middleware"),
        structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as written,
    ):
        form = api.presign(filename="a.mp4")
        api.client.get(f"/jobs/{form['job_id']}")
        api.client.get("/plates", params={"text": "SECRET1"})
        answer = api.client.post(f"/jobs/{form['job_id']}/retry")
        assert answer.status_code == 409
    lines = [line for line in written if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/process/video/upload/s3/presigned-url", 200),
        ("POST", "/jobs/{job_id}/retry", 409),
    ]
    assert lines[1]["job_id"] == form["job_id"]
    assert lines[1]["request_id"] == answer.headers["x-request-id"]
    assert "SECRET1" not in str(written)
