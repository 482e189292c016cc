"""What is deleted is gone, and a receipt says so; what is kept for a time goes when it is over."""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber
from pydantic import SecretStr
from sqlalchemy import delete, func, select, text, update

from detect_api.core import plate_text, signing
from detect_api.core.config import Settings
from detect_api.core.errors import StorageError
from detect_api.core.ids import plate_id
from detect_api.db.migrate import upgrade
from detect_api.db.tables import (
    Event,
    Job,
    Lease,
    Plate,
    Receipt,
    Removal,
    Segment,
    UnreadTrack,
    WebhookDelivery,
)
from detect_api.jobs import merge, receipts, states
from detect_api.jobs.sweep import sweep
from detect_api.jobs.views import plate_view
from detect_api.jobs.workshop import Workshop
from detect_api.storage.erase import Erased, erase
from detect_api.vision import pipeline, wire
from detect_api.vision.types import Merged, Parameters, SegmentResult
from tests.observations import passing, segment

from .conftest import Api, serve
from .databases import database

LONG_AGO = timedelta(days=40)
KEY = SecretStr("k" * 40)


@pytest.fixture(scope="module")
def own_database(embedded_database: str) -> Iterator[str]:
    """Retention and wishes to forget are about all jobs: other tests' would be among them."""
    with database(embedded_database) as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="module")
def api(own_database: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with S3 on a database of its own."""
    folder = tmp_path_factory.mktemp("privacy")
    yield from serve(s3.model_copy(update={"database_url": own_database, "data_dir": folder}))


@pytest.fixture
def shop(api: Api) -> Workshop:
    return Workshop(api.parts.settings, api.parts.sessions, api.parts.store)


def swept(api: Api, shop: Workshop, **settings: Any) -> None:
    """A round of the sweep, whoever else was at it, with late writers long gone."""
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
    sweep(Workshop(shop.settings.model_copy(update=settings), shop.sessions, shop.store))


def in_time(api: Api) -> None:
    """Makes the time in which late writers are waited for be over, and the last try long ago."""
    with api.parts.sessions.begin() as session:
        session.execute(
            update(Removal).values(
                keep_until=func.now() - timedelta(seconds=1),
                tried_at=func.now() - timedelta(minutes=5),
            )
        )


def an_old_job(api: Api, plates: list[str], **values: Any) -> str:
    job_id = api.finished_job(plates, 1)
    with api.parts.sessions.begin() as session:
        session.execute(
            update(Job)
            .where(Job.id == uuid.UUID(job_id))
            .values(completed_at=func.now() - LONG_AGO, **values)
        )
        for row in session.scalars(select(Plate).where(Plate.job_id == uuid.UUID(job_id))):
            states.add_event(session, row.job_id, "plate", plate_view(row))
    api.parts.store.put(f"videos/{job_id}.mp4", b"video", "video/mp4")
    return job_id


def receipt(api: Api, receipt_id: str) -> dict[str, Any]:
    answer = api.client.get(f"/receipts/{receipt_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def receipts_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    with api.parts.sessions() as session:
        rows = session.scalars(
            select(Receipt.id)
            .where(Receipt.subject["job_id"].astext == job_id)
            .order_by(Receipt.created_at)
        ).all()
    return [receipt(api, str(row)) for row in rows]


def count(api: Api, table: Any, job_id: str) -> int:
    with api.parts.sessions() as session:
        found = session.scalar(select(func.count()).where(table.job_id == uuid.UUID(job_id)))
        return found or 0


# -- receipts -----------------------------------------------------------------------------------


def test_a_receipt_tells_what_a_deletion_removed_and_is_finished_when_all_is_gone(
    api: Api, shop: Workshop
) -> None:
    job_id = an_old_job(api, ["AB12CDE", "FG34HIJ"])
    answer = api.client.delete(f"/jobs/{job_id}").json()
    opened = receipt(api, answer["receipt_id"])
    assert opened["status"] == "open", "a worker may yet be writing"
    assert opened["rows"]["plates"] == 2
    assert opened["rows"]["events"] == 2
    by_prefix = {entry["prefix"]: entry for entry in opened["objects"]}
    assert by_prefix[f"videos/{job_id}.mp4"]["keys"] == [f"videos/{job_id}.mp4"]
    pictures = by_prefix[f"videos/evidence/{job_id}/"]
    assert (pictures["removed"], len(pictures["keys"])) == (4, 4)

    late = f"videos/evidence/{job_id}/9-crop.jpg"
    api.parts.store.put(late, b"late", "image/jpeg")
    in_time(api)
    swept(api, shop)
    assert api.objects(f"videos/evidence/{job_id}/") == []
    finished = receipt(api, answer["receipt_id"])
    assert finished["status"] == "finished"
    (pictures,) = [e for e in finished["objects"] if e["prefix"].endswith(f"evidence/{job_id}/")]
    assert late in pictures["keys"]
    assert all(entry["gone_at"] for entry in finished["objects"])


def test_a_finished_receipt_is_signed_and_a_changed_one_is_not(api: Api, shop: Workshop) -> None:
    job_id = an_old_job(api, ["AB12CDE"])
    answer = api.client.delete(f"/jobs/{job_id}").json()
    in_time(api)
    swept(api, shop)
    found = receipt(api, answer["receipt_id"])
    public = api.client.get("/receipts/key").json()["public_key"]
    assert signing.is_signed(public, found["document"], found["signature"])
    assert job_id in found["document"]
    changed = found["document"].replace('"plates":1', '"plates":0')
    assert changed != found["document"]
    assert not signing.is_signed(public, changed, found["signature"])


MARK = "zq77mark.mp4"
STAYS = {"receipts", "removals", "audit_log", "tus_uploads"}
"""What is kept of a deletion: its proof, its objects until they are gone, who asked for it, and,
until a resumable upload would have expired, that it is gone."""


def by_form(api: Api) -> tuple[str, str | None]:
    body = {"filename": MARK, "content_type": "video/mp4", "file_size": 10}
    answer = api.client.post(
        "/process/video/upload/s3/presigned-url", json=body, headers={"Idempotency-Key": "mark-1"}
    )
    return answer.json()["job_id"], None


def by_parts(api: Api) -> tuple[str, str | None]:
    body = {"filename": MARK, "content_type": "video/mp4", "file_size": 10_000_000}
    answer = api.client.post("/uploads", json=body, headers={"Idempotency-Key": "mark-2"})
    return answer.json()["job_id"], None


def through_the_api(api: Api) -> tuple[str, str | None]:
    answer = api.client.post(
        "/process/video/upload/async", files={"file": (MARK, b"video", "video/mp4")},
        headers={"Idempotency-Key": "mark-3"},
    )  # fmt: skip
    return answer.json()["job_id"], None


def by_tus(api: Api) -> tuple[str, str | None]:
    named = b64encode(MARK.encode()).decode()
    answer = api.client.post(
        "/uploads/tus", content=b"video",
        headers={
            "Tus-Resumable": "1.0.0", "Upload-Length": "5", "Idempotency-Key": "mark-4",
            "Content-Type": "application/offset+octet-stream",
            "Upload-Metadata": f"filename {named},filetype {b64encode(b'video/mp4').decode()}",
        },
    )  # fmt: skip
    return answer.headers["Location"].rsplit("/", 1)[1], named


@pytest.mark.parametrize("upload", [by_form, by_parts, through_the_api, by_tus])
def test_nothing_of_a_deleted_upload_stays_in_any_table(
    api: Api, shop: Workshop, upload: Callable[[Api], tuple[str, str | None]]
) -> None:
    job_id, written = upload(api)
    view = api.job(job_id)
    words = {MARK, MARK.upper(), written or MARK}
    assert where(api, words) != {}
    processing = view.get("processing_job_id")
    assert api.client.delete(f"/jobs/{processing or job_id}").status_code == 200
    assert where(api, words) == {}
    ids = {job_id, processing or job_id}
    left = where(api, ids)
    assert left.keys() <= {*STAYS, "procrastinate_jobs", "procrastinate_events"}, left


def where(api: Api, words: set[str]) -> dict[str, list[str]]:
    """The rows of all tables that hold one of these words."""
    found: dict[str, list[str]] = {}
    with api.parts.sessions() as session:
        tables = session.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).all()
        assert {"jobs", "idempotency_keys", "tus_uploads", "events"} <= set(tables)
        for table in tables:
            for word in words:
                rows = session.scalars(
                    text(f'SELECT t::text FROM "{table}" t WHERE strpos(t::text, :word) > 0'),
                    {"word": word},
                ).all()
                if rows:
                    found.setdefault(table, []).extend(rows)
    return found


def test_a_receipt_stays_open_while_storage_still_has_something(
    api: Api, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = an_old_job(api, [])
    # As a store that says yes and keeps the object.
    monkeypatch.setattr(receipts, "erase", lambda store, prefix: Erased((), 0))
    answer = api.client.delete(f"/jobs/{job_id}").json()
    in_time(api)
    swept(api, shop)
    assert receipt(api, answer["receipt_id"])["status"] == "open"
    monkeypatch.undo()
    in_time(api)
    swept(api, shop)
    assert receipt(api, answer["receipt_id"])["status"] == "finished"
    assert api.objects(f"videos/{job_id}") == []


def test_versions_of_a_deleted_video_go_too(api: Api, shop: Workshop) -> None:
    client: Any = api.parts.store.client  # type: ignore[attr-defined]
    bucket = api.parts.settings.s3_bucket_name
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    try:
        job_id = an_old_job(api, [])
        key = f"videos/{job_id}.mp4"
        for _ in range(4):
            api.parts.store.put(key, b"again", "video/mp4")
        assert len(client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) == 5
        deleted: list[str] = []
        client.meta.events.register("before-call.s3", lambda model, **_: deleted.append(model.name))
        answer = api.client.delete(f"/jobs/{job_id}").json()
        left = client.list_object_versions(Bucket=bucket, Prefix=key)
        assert left.get("Versions", []) + left.get("DeleteMarkers", []) == []
        (entry,) = [e for e in receipt(api, answer["receipt_id"])["objects"] if e["prefix"] == key]
        assert entry["versions_checked"]
        assert entry["versions_removed"] == 5
        assert deleted.count("DeleteObjects") == 1, "all versions in one call"
    finally:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_versions_that_may_not_be_deleted_are_told_as_not_checked(
    api: Api, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = api.parts.store
    with Stubber(store.client) as stub:
        named = {"Key": "videos/a.mp4", "VersionId": "1"}
        for answer in ("AccessDenied", "InternalError"):
            stub.add_client_error("head_object", "404", http_status_code=404)
            listed = {"Versions": [{**named, "IsLatest": True}]}
            stub.add_response("list_object_versions", listed)
            stub.add_response("list_object_versions", listed)
            stub.add_response("delete_objects", {"Errors": [{**named, "Code": answer}]})
        assert erase(store, "videos/a.mp4") == Erased((), None)
        with pytest.raises(StorageError, match="InternalError"):
            erase(store, "videos/a.mp4")
        stub.assert_no_pending_responses()


def test_an_unknown_receipt_is_404(api: Api) -> None:
    answer = api.client.get(f"/receipts/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "receipt_not_found")


# -- retention ----------------------------------------------------------------------------------


def test_nothing_is_deleted_unless_a_time_is_set(api: Api, shop: Workshop) -> None:
    job_id = an_old_job(api, ["AB12CDE"])
    swept(api, shop)
    assert api.objects(f"videos/{job_id}.mp4") != []
    assert count(api, Plate, job_id) == 1


def test_each_kind_goes_when_its_time_is_over(api: Api, shop: Workshop) -> None:
    job_id, young = an_old_job(api, ["AB12CDE"]), an_old_job(api, ["FG34HIJ"])
    with api.parts.sessions.begin() as session:
        session.execute(
            update(Job).where(Job.id == uuid.UUID(young)).values(completed_at=func.now())
        )
    swept(api, shop, retention_video_days=30)
    assert api.objects(f"videos/{job_id}.mp4") == []
    assert api.objects(f"videos/{young}.mp4") != []
    assert api.client.get(f"/jobs/{job_id}/video").status_code == 410
    assert len(api.objects(f"videos/evidence/{job_id}/")) == 2

    swept(api, shop, retention_picture_days=30)
    assert api.objects(f"videos/evidence/{job_id}/") == []
    assert api.client.get(f"/jobs/{job_id}/result").status_code == 200

    swept(api, shop, retention_plate_days=30)
    for table in (Plate, UnreadTrack, Event):
        assert count(api, table, job_id) == 0, table
    for path in ("result", "plates", "plates.csv", "plates.jsonl"):
        answer = api.client.get(f"/jobs/{job_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (410, "plates_deleted"), path
    assert count(api, Plate, young) == 1
    in_time(api)
    swept(api, shop)
    found = receipts_of(api, job_id)
    assert [r["subject"]["what"] for r in found] == ["video", "picture", "plate"]
    assert {r["status"] for r in found} == {"finished"}
    assert found[2]["rows"]["plates"] == 1


def test_pictures_do_not_outlive_their_plates(api: Api, shop: Workshop) -> None:
    job_id = an_old_job(api, ["AB12CDE"])
    swept(api, shop, retention_plate_days=30, retention_picture_days=300)
    assert api.objects(f"videos/evidence/{job_id}/") == []


def test_a_video_stays_while_a_job_works_on_it(api: Api, shop: Workshop) -> None:
    job_id = an_old_job(api, [])
    other = uuid.uuid4()
    with api.parts.sessions.begin() as session:
        session.add(
            Job(
                id=other, type="video", status="processing", object_key=f"videos/{job_id}.mp4",
                object_etag="x", file_size=1,
            )
        )  # fmt: skip
    swept(api, shop, retention_video_days=30)
    assert api.objects(f"videos/{job_id}.mp4") != []
    with api.parts.sessions.begin() as session:
        session.execute(
            update(Job)
            .where(Job.id == other)
            .values(status="completed", completed_at=func.now() - LONG_AGO)
        )
    swept(api, shop, retention_video_days=30)
    assert api.objects(f"videos/{job_id}.mp4") == []


def test_what_is_due_can_be_seen(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    an_old_job(api, [])
    assert api.client.get("/retention").json()["videos"] == {"days": None, "jobs_due": 0}
    due = api.parts.settings.model_copy(update={"retention_video_days": 30})
    object.__setattr__(api.parts, "settings", due)
    try:
        answer = api.client.get("/retention").json()
    finally:
        object.__setattr__(
            api.parts, "settings", due.model_copy(update={"retention_video_days": None})
        )
    assert answer["videos"]["days"] == 30
    assert answer["videos"]["jobs_due"] >= 1
    assert answer["plates"] == {"days": None, "jobs_due": 0}


def test_what_was_read_frame_by_frame_goes_with_the_job_s_end(api: Api, shop: Workshop) -> None:
    job_id, running = api.finished_job([]), str(uuid.uuid4())
    nothing = wire.dump_result(
        SegmentResult(processed_frames=0, frames_with_detections=0, observations=())
    )
    with api.parts.sessions.begin() as session:
        session.add(
            Job(
                id=uuid.UUID(running), type="video", status="processing", object_key="videos/r.mp4",
                planned_segments=9, input_sha256="x",
            )
        )  # fmt: skip
        session.flush()
        for owner in (job_id, running):
            session.add(
                Segment(
                    job_id=uuid.UUID(owner), index=0, attempt=1, first_frame=0, end_frame=1,
                    start_seconds=0.0, end_seconds=1.0, cursor={}, result=nothing,
                )
            )  # fmt: skip
    swept(api, shop)
    with api.parts.sessions() as session:
        left = {
            str(row.job_id): row.result
            for row in session.scalars(
                select(Segment).where(Segment.job_id.in_([uuid.UUID(job_id), uuid.UUID(running)]))
            )
        }
    assert left == {job_id: None, running: nothing}
    api.client.delete(f"/jobs/{running}")


# -- forgetting ---------------------------------------------------------------------------------


def test_a_forgotten_plate_is_nowhere(api: Api, shop: Workshop) -> None:
    job_id = an_old_job(api, ["QX77ZZ", "QX77ZY"])
    with api.parts.sessions.begin() as session:
        rows = session.scalars(
            select(Plate).where(Plate.job_id == uuid.UUID(job_id)).order_by(Plate.track_id)
        ).all()
        other = rows[1]
        maybe = {"text": "QX77ZZ", "confidence": 0.1}
        other.details = {
            **other.details, "candidates": [*other.details["candidates"], maybe]
        }  # fmt: skip
        session.flush()
        states.add_event(session, other.job_id, "plate", plate_view(other))
        session.add(
            WebhookDelivery(
                id=uuid.uuid4(), job_id=other.job_id, event="job.completed",
                url="https://a.example/", origin="https://a.example",
                body='{"filename":"QX77ZZ.mp4"}',
            )
        )  # fmt: skip
    answer = api.client.post("/plates/forget", json={"text": "qx 77-zz"})
    assert answer.status_code == 202, answer.text
    assert "QX77ZZ" not in answer.text
    swept(api, shop)
    assert where(api, {"QX77ZZ"}) == {}
    assert api.client.get("/plates", params={"text": "QX77ZZ"}).json()["plates"] == []
    (left,) = api.client.get(f"/jobs/{job_id}/plates").json()["plates"]
    assert left["text"] == "QX77ZY"
    assert api.job(job_id)["plates_found"] == 1
    assert len(api.objects(f"videos/evidence/{job_id}/")) == 2
    in_time(api)
    swept(api, shop)
    found = receipt(api, answer.json()["receipt_id"])
    assert found["status"] == "finished"
    assert (found["rows"]["plates"], found["rows"]["candidates"]) == (1, 1)
    assert job_id in found["subject"]["videos_that_show_it"]


def test_forgetting_digits_leaves_the_numbers_of_a_webhook(api: Api, shop: Workshop) -> None:
    delivery = uuid.uuid4()
    with api.parts.sessions.begin() as session:
        session.add(
            WebhookDelivery(
                id=delivery, job_id=uuid.UUID(api.finished_job([])), event="job.completed",
                url="https://a.example/", origin="https://a.example",
                body='{"progress":1,"frames":{"total":1},"text":"1"}',
            )
        )  # fmt: skip
    assert api.client.post("/plates/forget", json={"text": "1"}).status_code == 202
    swept(api, shop)
    with api.parts.sessions() as session:
        row = session.get(WebhookDelivery, delivery)
        assert row is not None
        assert row.body == '{"progress":1,"frames":{"total":1},"text":""}'


def test_a_wish_to_forget_waits_for_jobs_in_work(api: Api, shop: Workshop) -> None:
    job_id = api.finished_job([])
    with api.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == uuid.UUID(job_id)).values(status="processing"))
    asked = api.client.post("/plates/forget", json={"text": "WT88ZZ"}).json()
    with api.parts.sessions.begin() as session:
        session.add(_row(uuid.UUID(job_id), "WT88ZZ"))
    swept(api, shop)
    in_time(api)
    swept(api, shop)
    assert receipt(api, asked["receipt_id"])["status"] == "open"
    assert count(api, Plate, job_id) == 0
    with api.parts.sessions.begin() as session:
        session.add(_row(uuid.UUID(job_id), "WT88ZZ"))
        # Other tests leave jobs in work behind.
        session.execute(update(Job).where(Job.status.in_(states.ACTIVE)).values(status="completed"))
    swept(api, shop)
    assert count(api, Plate, job_id) == 0
    in_time(api)
    swept(api, shop)
    assert receipt(api, asked["receipt_id"])["status"] == "finished"


def _row(job_id: uuid.UUID, words: str) -> Plate:
    return Plate(
        id=uuid.uuid4(), job_id=job_id, track_id=uuid.uuid4().int % 2**31, text=words,
        read_text=words, first_frame=0, confidence=0.9, details={"candidates": []},
        crop_key="", frame_key="",
    )  # fmt: skip


def test_what_is_no_plate_cannot_be_forgotten(api: Api) -> None:
    answer = api.client.post("/plates/forget", json={"text": "%"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_plate_text")


# -- hashes -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hashing(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    yield from serve(
        Settings(
            _env_file=None, enable_s3=False, database_url=own_database, plate_hash_key=KEY,
            data_dir=tmp_path_factory.mktemp("hashing"),
        )
    )  # fmt: skip


def merged_job(api: Api, words: str) -> str:
    """A job into which one plate was merged, as the worker does it."""
    job_id = uuid.uuid4()
    shop = Workshop(api.parts.settings, api.parts.sessions, api.parts.store)
    state = pipeline.Merge.new(Parameters())
    decided = state.advance(segment(passing(words, range(20))), 1000.0)
    (plate,) = [*decided.plates, *state.finish().plates]
    with api.parts.sessions.begin() as session:
        job = Job(
            id=job_id, type="video", status="completed", object_key="videos/h.mp4",
            merged_segments=1, plates_found=0, unread_found=0,
        )  # fmt: skip
        session.add(job)
        session.flush()
        merge._add(session, shop, job, Merged(plates=[plate]), {})
    return str(job_id)


def test_hashed_texts_are_all_that_is_kept(hashing: Api) -> None:
    job_id = merged_job(hashing, "HS12ABC")
    wanted = plate_text.kept(KEY, "HS12ABC")
    result = hashing.client.get(f"/jobs/{job_id}/result").json()
    assert [p["text"] for p in result["plates"]] == [wanted]
    assert (result["plates"][0]["candidates"], result["plates"][0]["characters"]) == ([], [])
    for path in ("plates.csv", "plates.jsonl", "plates", "tracks"):
        assert "HS12ABC" not in hashing.client.get(f"/jobs/{job_id}/{path}").text, path
    with hashing.parts.sessions() as session:
        for table in ("plates", "events"):
            hits = session.scalar(
                text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%HS12ABC%'")
            )
            assert hits == 0, table
    crop = hashing.client.get(result["plates"][0]["crop_url"])
    assert (crop.status_code, crop.json()["code"]) == (404, "picture_not_kept")


def test_a_hashed_plate_is_found_by_its_whole_text_only(hashing: Api) -> None:
    job_id = merged_job(hashing, "HS34ABC")

    def found(**params: Any) -> list[str]:
        answer = hashing.client.get("/plates", params=params).json()
        return [p["job_id"] for p in answer["plates"]]

    assert found(text="hs34-abc") == [job_id]
    assert found(text=plate_text.kept(KEY, "HS34ABC")) == [job_id]
    assert found(text="HS34AB") == []
    refused: list[dict[str, str]] = [{"text": "HS34*"}, {"text": "HS34ABC", "fuzzy": "1"}]
    for params in refused:
        answer = hashing.client.get("/plates", params=params)
        assert (answer.status_code, answer.json()["code"]) == (400, "plates_are_hashed")


def test_corrections_and_wishes_to_forget_are_hashed_too(hashing: Api) -> None:
    job_id = merged_job(hashing, "HS56ABC")
    row = plate_id(uuid.UUID(job_id), 1)
    corrected = hashing.client.patch(f"/plates/{row}", json={"text": "HS56ABD"}).json()
    assert corrected["text"] == plate_text.kept(KEY, "HS56ABD")
    assert "HS56" not in str(corrected)
    assert hashing.client.post("/plates/forget", json={"text": "HS56ABD"}).status_code == 202
    assert hashing.client.get(f"/plates/{row}").status_code == 404


def test_another_key_gives_another_hash() -> None:
    assert plate_text.kept(KEY, "AB12CDE") != plate_text.kept(NEW_KEY, "AB12CDE")
    assert plate_text.kept(KEY, "AB12CDE")[8:] != plate_text.kept(NEW_KEY, "AB12CDE")[8:]
    assert plate_text.HASH.fullmatch(plate_text.kept(KEY, "AB12CDE"))
    assert plate_text.id_in(plate_text.kept(KEY, "AB12CDE")) == plate_text.key_id(KEY)
    assert plate_text.kept(None, "AB12CDE") == "AB12CDE"


# -- keys of hashes that change -----------------------------------------------------------------

NEW_KEY = SecretStr("n" * 40)


@contextmanager
def keys(api: Api, current: SecretStr | None, *old: SecretStr) -> Iterator[None]:
    """As if the service were started anew with these keys."""
    before = api.parts.settings
    words = " ".join(key.get_secret_value() for key in old)
    changed = before.model_copy(
        update={"plate_hash_key": current, "plate_hash_old_keys": SecretStr(words) if old else None}
    )
    object.__setattr__(api.parts, "settings", changed)
    try:
        yield
    finally:
        object.__setattr__(api.parts, "settings", before)


def jobs_with(api: Api, words: str) -> list[str]:
    answer = api.client.get("/plates", params={"text": words})
    assert answer.status_code == 200, answer.text
    return [plate["job_id"] for plate in answer.json()["plates"]]


def forgotten(api: Api, words: str) -> dict[str, Any]:
    answer = api.client.post("/plates/forget", json={"text": words})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("current", [NEW_KEY, None], ids=["replaced", "unset"])
def test_what_an_old_key_hashed_is_found_and_forgotten(
    hashing: Api, current: SecretStr | None
) -> None:
    job_id = merged_job(hashing, "KA12ABC")
    with keys(hashing, current, KEY):
        assert jobs_with(hashing, "ka12 abc") == [job_id]
        told = forgotten(hashing, "KA12ABC")
    assert told["rows"]["plates"] == 1
    assert told["subject"]["plates_out_of_reach"] == 0
    assert count(hashing, Plate, job_id) == 0


@pytest.mark.parametrize("current", [NEW_KEY, None], ids=["replaced", "unset"])
def test_a_receipt_says_how_many_plates_were_hashed_by_keys_that_are_not_known(
    hashing: Api, shop: Workshop, current: SecretStr | None
) -> None:
    job_id = merged_job(hashing, "KB12ABC")
    with keys(hashing, current):
        assert jobs_with(hashing, "KB12ABC") == []
        told = forgotten(hashing, "KB12ABC")
    assert told["rows"]["plates"] == 0
    assert told["subject"]["plates_out_of_reach"] >= 1
    assert told["subject"]["keys_of_these"] == [plate_text.key_id(KEY)]
    assert count(hashing, Plate, job_id) == 1
    with hashing.parts.sessions.begin() as session:
        session.execute(update(Job).where(Job.status.in_(states.ACTIVE)).values(status="completed"))
        session.execute(delete(Lease))
    swept(hashing, shop)
    signed = receipt(hashing, told["receipt_id"])
    assert signed["status"] == "finished"
    assert f'"keys_of_these":["{plate_text.key_id(KEY)}"]' in signed["document"]
    with keys(hashing, current, KEY):
        assert forgotten(hashing, "KB12ABC")["rows"]["plates"] == 1
    assert count(hashing, Plate, job_id) == 0


def test_a_text_read_under_one_key_and_corrected_under_another_is_forgotten_by_both(
    hashing: Api,
) -> None:
    for wanted in ("KC12ABC", "KC12ABD"):
        job_id = merged_job(hashing, "KC12ABC")
        row = plate_id(uuid.UUID(job_id), 1)
        with keys(hashing, NEW_KEY, KEY):
            hashing.client.patch(f"/plates/{row}", json={"text": "KC12ABD"})
            assert forgotten(hashing, wanted)["rows"]["plates"] == 1
        assert count(hashing, Plate, job_id) == 0


def test_what_was_read_before_hashing_began_is_found_and_forgotten(hashing: Api) -> None:
    with keys(hashing, None):
        job_id = hashing.finished_job(["KD12ABC", "KD12ABD"], 1)
        assert jobs_with(hashing, "KD12AB") == [job_id, job_id]
    assert jobs_with(hashing, "KD12AB") == [], "a part of a text is no text"
    assert jobs_with(hashing, "KD12ABC") == [job_id]
    with hashing.parts.sessions.begin() as session:
        other = session.scalars(
            select(Plate).where(Plate.job_id == uuid.UUID(job_id), Plate.text == "KD12ABD")
        ).one()
        maybe = {"text": "KD12ABC", "confidence": 0.1}
        other.details = {**other.details, "candidates": [maybe]}
    told = forgotten(hashing, "KD12ABC")
    assert (told["rows"]["plates"], told["rows"]["candidates"]) == (1, 1)
    assert told["subject"]["plates_out_of_reach"] == 0
    with hashing.parts.sessions() as session:
        for table in ("plates", "events"):
            query = text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%KD12ABC%'")
            assert session.scalar(query) == 0, table


def test_the_digits_of_a_hash_are_no_part_of_a_plate(hashing: Api) -> None:
    job_id = merged_job(hashing, "KE12ABC")
    words = plate_text.kept(KEY, "KE12ABC")
    with keys(hashing, None):
        assert job_id not in jobs_with(hashing, words[10:14])
        assert job_id not in jobs_with(hashing, f"{words[:6]}*")
        assert jobs_with(hashing, words) == [job_id]
        assert forgotten(hashing, words)["rows"]["plates"] == 1


def test_hashes_of_the_first_version_are_found_and_counted_as_of_an_unknown_key(
    hashing: Api,
) -> None:
    job_id = merged_job(hashing, "KF12ABC")
    with hashing.parts.sessions.begin() as session:
        bare = func.right(Plate.text, 32)
        session.execute(
            update(Plate)
            .where(Plate.job_id == uuid.UUID(job_id))
            .values(text=bare, read_text=bare)
            .execution_options(synchronize_session=False)
        )
    assert jobs_with(hashing, "KF12ABC") == [job_id]
    other = forgotten(hashing, "KF12ABX")["subject"]
    assert (other["plates_out_of_reach"], other["keys_of_these"]) == (1, ["unknown"])
    told = forgotten(hashing, "KF12ABC")
    assert (told["rows"]["plates"], told["subject"]["plates_out_of_reach"]) == (1, 0)


def test_a_wish_by_a_hash_says_that_it_could_not_look_into_plain_texts(hashing: Api) -> None:
    with keys(hashing, None):
        hashing.finished_job(["KG12ABC"], 1)
    subject = forgotten(hashing, plate_text.kept(KEY, "KG12ABC"))["subject"]
    assert subject["plates_out_of_reach"] >= 1
    assert subject["keys_of_these"] == ["none"]


def test_old_keys_are_as_long_as_new_ones_and_have_no_spaces() -> None:
    def given(**values: str) -> Settings:
        return Settings(_env_file=None, enable_s3=False, **values)  # type: ignore[arg-type]

    assert given().plate_hash_keys == ()
    assert given(plate_hash_old_keys=f"{'a' * 32}  {'b' * 32}").plate_hash_keys == (
        SecretStr("a" * 32), SecretStr("b" * 32),
    )  # fmt: skip
    for wrong in ({"plate_hash_key": "a b" * 20}, {"plate_hash_old_keys": f"{'a' * 32} short"}):
        with pytest.raises(ValueError, match="PLATE_HASH"):
            given(**wrong)
