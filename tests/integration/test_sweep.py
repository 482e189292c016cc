"""What the sweep brings to an end when nobody else does."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Select, delete, func, select, text, update

from detect_api.core.errors import StorageError
from detect_api.db.tables import AuditEntry, IdempotencyKey, Job, Lease, Removal, Segment
from detect_api.jobs import multipart, queue, receipts, retention, rounds, tasks
from detect_api.jobs import sweep as sweeping
from detect_api.jobs.progress import Interrupted
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.storage.base import ObjectInfo, ObjectStore
from detect_api.vision import wire
from detect_api.vision.edition import edition
from detect_api.vision.types import SegmentResult

from .conftest import Api

LONG_AGO = datetime.now(UTC) - timedelta(minutes=5)
NOTHING = wire.dump_result(
    SegmentResult(processed_frames=0, frames_with_detections=0, observations=())
)


@pytest.fixture
def shop(api: Api) -> Workshop:
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
    return Workshop(api.parts.settings, api.parts.sessions, api.parts.store)


def a_job(api: Api, **values: Any) -> uuid.UUID:
    job_id = uuid.uuid4()
    with api.parts.sessions.begin() as session:
        chosen = {
            "type": "video", "status": "processing", "updated_at": LONG_AGO, "object_etag": "x",
            "object_key": f"videos/{job_id}.mp4", "file_size": 1,
            "edition": edition(), **values,
        }  # fmt: skip
        session.add(Job(id=job_id, **chosen))
    return job_id


def a_segment(api: Api, job_id: uuid.UUID, index: int, result: bytes | None = None) -> None:
    with api.parts.sessions.begin() as session:
        session.add(
            Segment(
                job_id=job_id, index=index, attempt=1, first_frame=index, end_frame=index + 1,
                start_seconds=0.0, end_seconds=1.0, cursor={}, result=result,
            )
        )  # fmt: skip


def test_a_job_whose_plan_was_lost_is_planned(api: Api, shop: Workshop) -> None:
    waiting, running = a_job(api, status="pending"), a_job(api)
    fresh = a_job(api, status="pending", updated_at=datetime.now(UTC))
    sweep(shop)
    assert api.queued(str(waiting)) == ["plan"]
    assert api.queued(str(running)) == ["plan"]
    assert api.queued(str(fresh)) == []
    sweep(shop)
    assert api.queued(str(waiting)) == ["plan"], "once"


def test_a_segment_that_nobody_reads_is_queued(api: Api, shop: Workshop) -> None:
    job_id = a_job(api, planned_segments=2, input_sha256="x")
    a_segment(api, job_id, 0)
    a_segment(api, job_id, 1)
    with api.parts.sessions.begin() as session:
        queue.defer_segment(session, job_id, 1, 1, edition=edition())
    sweep(shop)
    assert api.queued(str(job_id)) == ["segment", "segment"]


def test_a_merge_that_nobody_does_is_queued(api: Api, shop: Workshop) -> None:
    next_is_there = a_job(api, planned_segments=2, input_sha256="x")
    a_segment(api, next_is_there, 0, NOTHING)
    all_merged = a_job(api, planned_segments=1, merged_segments=1, input_sha256="x")
    sweep(shop)
    assert api.queued(str(next_is_there)) == ["merge"]
    assert api.queued(str(all_merged)) == ["merge"]


def test_a_dead_workers_task_goes_back_to_the_queue(api: Api, shop: Workshop) -> None:
    job_id = a_job(api, updated_at=datetime.now(UTC))
    with api.parts.sessions.begin() as session:
        queue.defer_plan(session, job_id, 1)
        worker = session.scalar(text("SELECT procrastinate_register_worker_v1()"))
        session.execute(
            text(
                "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker "
                "WHERE args->>'job_id' = :job"
            ),
            {"worker": worker, "job": str(job_id)},
        )
    sweep(shop)
    assert status_of(api, job_id) == "doing", "its worker is alive"
    with api.parts.sessions.begin() as session:
        session.execute(
            text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'")
        )
    sweep(shop)
    assert status_of(api, job_id) == "todo"


def test_a_dead_workers_task_that_waits_a_second_time_does_not_block_it(
    api: Api, shop: Workshop
) -> None:
    job_id = a_job(api, planned_segments=1, merged_segments=1, input_sha256="x")
    with api.parts.sessions.begin() as session:
        queue.defer_merge(session, job_id, 1, edition=edition())
        session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing' WHERE args->>'job_id' = :job"),
            {"job": str(job_id)},
        )
        queue.defer_merge(session, job_id, 1, edition=edition())
    sweep(shop)
    with api.parts.sessions() as session:
        statuses = session.scalars(
            text("SELECT status FROM procrastinate_jobs WHERE args->>'job_id' = :job ORDER BY id"),
            {"job": str(job_id)},
        ).all()
    assert statuses == ["todo"], "what was given up does not stay in the queue for ever"


def status_of(api: Api, job_id: uuid.UUID) -> Any:
    with api.parts.sessions() as session:
        return session.scalar(
            text("SELECT status FROM procrastinate_jobs WHERE args->>'job_id' = :job"),
            {"job": str(job_id)},
        )


def test_a_silent_upload_fails_and_its_parts_are_dropped(api: Api, shop: Workshop) -> None:
    key = f"videos/{uuid.uuid4()}.mp4"
    begun = api.parts.store.begin(key, "video/mp4", {})
    job_id = a_job(api, status="uploading", object_key=key, multipart_id=begun.id)
    sweep(shop)
    job = api.job(str(job_id))
    assert (job["status"], job["error"]["code"]) == ("failed", "upload_broken")
    client = api.parts.store.client  # type: ignore[attr-defined]
    uploads = client.list_multipart_uploads(Bucket=api.parts.settings.s3_bucket_name)
    assert key not in [upload["Key"] for upload in uploads.get("Uploads", [])]


def test_a_late_upload_counts_although_its_url_expired(api: Api, shop: Workshop) -> None:
    key = f"videos/{uuid.uuid4()}.mp4"
    api.parts.store.put(key, b"video", "video/mp4")
    arrived = a_job(
        api, type="upload", status="awaiting_upload", object_key=key, expires_at=LONG_AGO
    )
    missing = a_job(api, type="upload", status="awaiting_upload", expires_at=LONG_AGO)
    sweep(shop)
    assert api.job(str(arrived))["status"] == "uploaded"
    assert api.job(str(missing))["status"] == "expired"


class HangingStore:
    """A storage that says only after a while that it cannot be reached."""

    def __init__(self, real: ObjectStore) -> None:
        self._real = real
        self.asked = 0

    def head(self, key: str) -> ObjectInfo:
        self.asked += 1
        time.sleep(0.2)
        raise StorageError(f"No answer for {key}.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_a_storage_that_hangs_does_not_keep_the_sweep_from_everything_else(
    api: Api, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SECONDS", 0.5)
    late = [
        a_job(api, type="upload", status="awaiting_upload", expires_at=LONG_AGO) for _ in range(20)
    ]
    hanging = HangingStore(api.parts.store)
    assert sweep(replace(shop, store=cast("ObjectStore", hanging)))
    assert 0 < hanging.asked < 10
    monkeypatch.undo()
    sweep(shop)
    assert {api.job(str(job_id))["status"] for job_id in late} == {"expired"}


def test_pictures_of_a_deleted_job_are_removed_again_for_a_while(api: Api, shop: Workshop) -> None:
    job_id = api.finished_job(["AB12CDE"])
    api.client.delete(f"/jobs/{job_id}")
    mine = Removal.prefix.contains(job_id)
    late = f"videos/evidence/{job_id}/7-crop.jpg"
    api.parts.store.put(late, b"written by a worker that had not heard of it", "image/jpeg")
    with api.parts.sessions.begin() as session:
        # Of this job alone: a sweep has its time, and others have left removals here, too.
        session.execute(update(Removal).where(mine).values(tried_at=LONG_AGO))
    sweep(shop)
    assert late not in api.objects()
    with api.parts.sessions.begin() as session:
        assert session.query(Removal).filter(mine).count() == 1
        session.execute(update(Removal).where(mine).values(keep_until=LONG_AGO, tried_at=LONG_AGO))
    sweep(shop)
    with api.parts.sessions() as session:
        assert session.query(Removal).filter(mine).count() == 0


LATER = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("age", "since", "over", "due"),
    [
        (100, None, -LATER, True),
        (10, 4, -LATER, False),
        (10, 6, -LATER, True),
        (300, 50, -LATER, False),
        (300, 61, -LATER, True),
        (300, 5, timedelta(seconds=1), True),
        (300, 1, timedelta(seconds=5), False),
    ],
    ids=[
        "never tried", "pause", "pause over", "longest pause", "longest pause over",
        "time over since the last try", "tried when the time was over",
    ],
)  # fmt: skip
def test_pauses_between_tries_of_a_removal_grow_and_end_when_its_time_is_over(
    api: Api, age: int, since: int | None, over: timedelta, due: bool
) -> None:
    prefix = f"videos/evidence/{uuid.uuid4()}/"
    with api.parts.sessions.begin() as session:
        now = session.scalar(select(func.now()))
        assert now is not None
        session.add(
            Removal(
                prefix=prefix, created_at=now - timedelta(seconds=age), keep_until=now - over,
                tried_at=None if since is None else now - timedelta(seconds=since),
            )
        )  # fmt: skip
        session.flush()
        found = session.scalars(receipts.due_removals()).all()
        assert (prefix in [removal.prefix for removal in found]) == due
        session.rollback()


def test_a_removal_in_ten_minutes_is_tried_a_few_times_and_not_hundreds(api: Api) -> None:
    prefix, tries = f"videos/evidence/{uuid.uuid4()}/", 0
    with api.parts.sessions() as session:
        session.add(Removal(prefix=prefix, keep_until=func.now() + LATER, tried_at=func.now()))
        session.flush()
        mine = update(Removal).where(Removal.prefix == prefix)
        for _ in range(2, int(LATER.total_seconds()), 2):
            # Two seconds pass: everything lies so much further back.
            back = timedelta(seconds=2)
            session.execute(
                mine.values(
                    created_at=Removal.created_at - back, tried_at=Removal.tried_at - back,
                    keep_until=Removal.keep_until - back,
                )
            )  # fmt: skip
            due = session.scalars(receipts.due_removals()).all()
            if prefix in [removal.prefix for removal in due]:
                tries += 1
                session.execute(mine.values(tried_at=func.now()))
        assert 10 <= tries <= 20
        session.rollback()


def test_what_storage_does_not_let_go_keeps_nothing_else(api: Api, shop: Workshop) -> None:
    client: Any = api.parts.store.client  # type: ignore[attr-defined]
    bucket = api.parts.settings.s3_bucket_name
    kept, gone = (f"videos/{uuid.uuid4()}.mp4" for _ in range(2))
    for key in (kept, gone):
        api.parts.store.put(key, b"video", "video/mp4")
    deny = {
        "Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/{kept}"],
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    client.put_bucket_policy(Bucket=bucket, Policy=policy)
    try:
        with api.parts.sessions.begin() as session:
            for key in (kept, gone):
                session.add(Removal(prefix=key, keep_until=LONG_AGO))
                session.flush()
        sweep(shop)
        assert api.objects(kept) == [kept]
        assert api.objects(gone) == []
        with api.parts.sessions() as session:
            left = session.scalars(select(Removal).where(Removal.prefix.in_((kept, gone)))).one()
            assert left.prefix == kept
            assert left.tried_at is not None
    finally:
        client.delete_bucket_policy(Bucket=bucket)
    with api.parts.sessions.begin() as session:
        session.execute(update(Removal).values(tried_at=LONG_AGO))
        session.execute(delete(Lease))
    sweep(shop)
    assert api.objects(kept) == []


def test_a_video_that_was_to_go_after_processing_goes(api: Api, shop: Workshop) -> None:
    key = f"videos/{uuid.uuid4()}.mp4"
    api.parts.store.put(key, b"video", "video/mp4")
    a_job(api, status="completed", object_key=key, parameters={"delete_after_processing": True})
    sweep(shop)
    assert key not in api.objects()


def test_a_frozen_sweeper_does_not_keep_others_from_it(api: Api, shop: Workshop) -> None:
    with api.parts.sessions.begin() as session:
        session.add(Lease(name="sweep", until=datetime.now(UTC) + timedelta(seconds=10)))
    assert not sweep(shop)
    with api.parts.sessions.begin() as session:
        session.execute(update(Lease).values(until=LONG_AGO))
    assert sweep(shop)


def test_old_entries_go_a_limited_number_at_a_time(
    api: Api, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "FORGET_AT_ONCE", 2)
    ancient = datetime(1999, 1, 1, tzinfo=UTC)
    with api.parts.sessions.begin() as session:
        for number in range(3):
            session.add(AuditEntry(at=ancient, tenant="default", action="old"))
            session.add(
                IdempotencyKey(
                    route="old", key=str(number), fingerprint="", response={}, created_at=ancient
                )
            )

    def left() -> tuple[int, int]:
        with api.parts.sessions() as session:
            return (
                session.query(AuditEntry).filter_by(action="old").count(),
                session.query(IdempotencyKey).filter_by(route="old").count(),
            )

    sweep(shop)
    assert left() == (1, 1)
    sweep(shop)
    assert left() == (0, 0)


MANY_ENDED_JOBS = """
    INSERT INTO jobs (id, type, status, object_key, completed_at)
    SELECT gen_random_uuid(), kind, status, 'videos/' || n || status, now()
      FROM generate_series(1, 5000) n,
           (VALUES ('video', 'completed'), ('upload', 'expired')) AS ended (kind, status)
"""


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (retention.first_due("video", 1), "jobs_videos_kept_idx"),
        (retention.first_due("picture", 1), "jobs_pictures_kept_idx"),
        (retention.first_due("plate", 1), "jobs_plates_kept_idx"),
        (sweeping.videos_to_go(), "jobs_video_to_go_idx"),
        (multipart.with_parts_to_go(), "jobs_parts_to_go_idx"),
    ],
    ids=["video", "picture", "plate", "video to go", "parts to go"],
)
def test_what_is_due_is_found_without_reading_all_jobs(
    api: Api, query: Select[Any], index: str
) -> None:
    statement = query.compile(api.parts.engines[0], compile_kwargs={"literal_binds": True})
    with api.parts.sessions() as session:
        session.execute(text(MANY_ENDED_JOBS))
        session.execute(text("ANALYZE jobs"))
        plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}").scalars().all()
        session.rollback()
    assert index in "\n".join(plan)


def test_a_merge_that_is_interrupted_while_another_one_waits_blocks_nothing(
    api: Api, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, own = a_job(api), "of-this-test"
    named = {"lock": f"merge:{job_id}"}
    runs: list[uuid.UUID] = []

    def interrupted_once(_shop: Workshop, job: uuid.UUID, attempt: int) -> None:
        runs.append(job)
        if len(runs) == 1:
            with api.parts.sessions.begin() as session:
                queue.defer_merge(session, job, attempt, edition=own)
            raise Interrupted

    monkeypatch.setattr(tasks, "merge", interrupted_once)
    with api.parts.sessions.begin() as session:
        queue.defer_merge(session, job_id, 1, edition=own)
    app = tasks.make_app(api.parts.settings.database_url or "")
    tasks.register(app, shop)

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(
                queues=[queue.named(queue.CONTROL, own)], wait=False,
                install_signal_handlers=False, delete_jobs="always",
            )  # fmt: skip

    asyncio.run(work())
    with api.parts.sessions() as session:
        left = session.execute(
            text("SELECT status, attempts FROM procrastinate_jobs WHERE lock = :lock"), named
        ).all()
    assert left == []
    assert runs == [job_id, job_id, job_id]
