"""Old and new versions on one database: their tables, and the jobs that one of them began."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, select, text

from detect_api.core.errors import VideoError
from detect_api.db import migrate, schema
from detect_api.db.schema import DatabaseVersion, await_fit
from detect_api.db.tables import Job, Lease, Segment
from detect_api.jobs import editions, merge, plan, queue, segment, states
from detect_api.jobs.sweep import sweep
from detect_api.jobs.workshop import Workshop
from detect_api.services import service_state
from detect_api.vision.edition import edition

from .conftest import Api
from .databases import database

AUTOSCALER = Path(__file__).parents[2] / "deploy/kubernetes/autoscale-keda/autoscale-keda.yaml"
OTHER = "0.0.another"
LONG_AGO = datetime.now(UTC) - timedelta(minutes=5)


# -- tables ---------------------------------------------------------------------------------


@pytest.fixture
def fresh(database_url: str) -> Iterator[str]:
    """URL of an empty database."""
    with database(database_url) as own:
        yield own


def revisions() -> list[str]:
    scripts = ScriptDirectory.from_config(schema.alembic_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default IS NOT NULL
      FROM information_schema.columns WHERE table_schema = 'public'
"""
_RULES = """
    SELECT conrelid::regclass::text, conname FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION SELECT indrelid::regclass::text, indexrelid::regclass::text FROM pg_index
           JOIN pg_class ON pg_class.oid = indexrelid
          WHERE indisunique AND relnamespace = 'public'::regnamespace
"""
_OLDEST = "SELECT to_regclass('oldest_version') IS NOT NULL"


def snapshot(address: str) -> tuple[dict[tuple[str, str], tuple[Any, ...]], set[Any], str]:
    """Columns, rules on rows, and the oldest version that the database is for."""
    with psycopg.connect(address) as connection:
        columns = {(t, c): (kind, *rest) for t, c, kind, *rest in connection.execute(_COLUMNS)}
        rules = set(connection.execute(_RULES).fetchall())
        oldest = "0001"
        if connection.execute(_OLDEST).fetchall()[0][0]:
            oldest = connection.execute("SELECT max(revision) FROM oldest_version").fetchall()[0][0]
    return columns, rules, oldest


def test_every_migration_only_adds_unless_it_says_which_versions_it_is_for(fresh: str) -> None:
    known = revisions()
    assert known == sorted(known), "versions are compared by their revisions' names"
    migrate.upgrade(fresh, known[0])
    columns, rules, oldest = snapshot(fresh)
    for revision in known[1:]:
        migrate.upgrade(fresh, revision)
        now, now_rules, now_oldest = snapshot(fresh)
        if now_oldest == oldest:
            tables = {table for table, _ in columns}
            changed = {name for name in columns if now.get(name) != columns[name]}
            assert not changed, f"{revision} changes {changed}: see docs/OPERATIONS.md, Upgrade"
            for (table, column), (_, nullable, default) in now.items():
                if table in tables and (table, column) not in columns:
                    assert nullable == "YES" or default, f"{revision}: {table}.{column}"
            stricter = {rule for rule in now_rules - rules if rule[0] in tables}
            assert not stricter, f"{revision} asks more of old versions' rows: {stricter}"
            assert rules <= now_rules, f"{revision}: ON CONFLICT of old versions needs {rules}"
        columns, rules, oldest = now, now_rules, now_oldest


FIRST_VERSIONS_SQL = """
INSERT INTO jobs (id, type, status, filename, content_type, file_size, object_key, object_etag,
                  multipart_id, upload, parameters, message)
     VALUES ('00000000-0000-0000-0000-000000000001', 'video', 'pending', 'a.mp4', 'video/mp4', 5,
             'videos/a.mp4', 'e', NULL, NULL, '{}', 'Waiting for a worker.');
UPDATE jobs SET status = 'processing', started_at = now(), software = 'detect-api 0.0',
                models = '[]', updated_at = now() WHERE status = 'pending' AND attempt = 1;
INSERT INTO segments (job_id, index, attempt, first_frame, end_frame, start_seconds, end_seconds,
                      cursor, result)
     VALUES ('00000000-0000-0000-0000-000000000001', 0, 1, 0, 5, 0, 1, '{}', NULL)
ON CONFLICT DO NOTHING;
UPDATE segments SET result = 'x', frames_done = 5, detections = 1, finished_at = now();
INSERT INTO plates (id, job_id, track_id, text, read_text, first_frame, confidence, details,
                    crop_key, frame_key)
     VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 1,
             'AB12', 'AB12', 0, 0.9, '{}', 'c', 'f');
INSERT INTO unread_tracks (job_id, track_id, details, crop_key)
     VALUES ('00000000-0000-0000-0000-000000000001', 2, '{}', 'c') ON CONFLICT DO NOTHING;
INSERT INTO events (job_id, type, data) VALUES ('00000000-0000-0000-0000-000000000001', 'plate',
                                                '{}');
INSERT INTO idempotency_keys (route, key, fingerprint, response) VALUES ('r', 'k', 'f', '{}')
ON CONFLICT (route, key) DO NOTHING;
INSERT INTO removals (prefix, keep_until) VALUES ('videos/a.mp4', now());
INSERT INTO leases (name, until) VALUES ('sweep', now())
ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE leases.until < now();
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('control', 'plan', 0, 'plan:1', NULL, '{}',
       NULL)::procrastinate_job_to_defer_v1]);
SELECT * FROM procrastinate_fetch_job_v2(ARRAY['control'], NULL);
UPDATE jobs SET status = 'completed', completed_at = now(), merged_segments = 1;
DELETE FROM jobs;
"""
"""What the version at 0001 writes, while a newer one has brought the database on."""


def test_what_the_first_version_writes_is_still_taken(fresh: str) -> None:
    migrate.upgrade(fresh)
    with psycopg.connect(fresh) as connection:
        oldest = connection.execute("SELECT max(revision) FROM oldest_version").fetchall()
        assert oldest == [("0001",)], "write here what the oldest version that is left writes"
        for statement in FIRST_VERSIONS_SQL.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode())


def move_on(address: str, *, oldest: str | None = None) -> None:
    """What a version of the future leaves behind."""
    with psycopg.connect(address) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '8888'")
        if oldest:
            connection.execute("UPDATE oldest_version SET revision = %s", (oldest,))


def test_a_version_works_with_a_newer_database_that_lets_it(fresh: str) -> None:
    migrate.upgrade(fresh)
    move_on(fresh)
    assert migrate.upgrade(fresh).state == "newer"
    await_fit(fresh)
    with psycopg.connect(fresh) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert found == [("8888",)], "an old version does not take it back"


def test_a_version_refuses_a_database_that_is_too_new(fresh: str) -> None:
    migrate.upgrade(fresh)
    move_on(fresh, oldest="7777")
    for refused in (await_fit, migrate.upgrade):
        with pytest.raises(DatabaseVersion, match="for versions that bring 7777 or later") as info:
            refused(fresh)
        assert "postgresql" not in str(info.value)


def test_a_version_waits_for_its_migrations_and_then_says_what_to_do(fresh: str) -> None:
    with pytest.raises(DatabaseVersion, match="run 'detect-api migrate'"):
        await_fit(fresh, 0.2)
    migrate.upgrade(fresh, "0008")
    assert migrate.look(fresh).state == "old"
    with pytest.raises(DatabaseVersion, match="is at revision 0008 and this version needs"):
        await_fit(fresh, 0.2)
    migrate.upgrade(fresh)
    await_fit(fresh, 0.2)


def test_a_database_that_is_away_is_told_without_its_password() -> None:
    with pytest.raises(DatabaseVersion, match="does not answer") as info:
        await_fit("postgresql://me:secret-word@127.0.0.1:1/none", 0.1)
    assert "secret-word" not in str(info.value)


# -- jobs -----------------------------------------------------------------------------------


@pytest.fixture
def shop(api: Api) -> Workshop:
    with api.parts.sessions.begin() as session:
        session.execute(delete(Lease))
    return Workshop(api.parts.settings, api.parts.sessions, api.parts.store)


def begun_by(api: Api, name: str | None, *, updated_at: datetime = LONG_AGO) -> uuid.UUID:
    """A job in the middle, of this edition, with one segment read and one waiting."""
    job_id = uuid.uuid4()
    with api.parts.sessions.begin() as session:
        session.add(
            Job(
                id=job_id, type="video", status="processing", updated_at=updated_at, edition=name,
                object_key=f"videos/{job_id}.mp4", object_etag="x", file_size=1, attempt=1,
                planned_segments=2, merged_segments=1, frames_done=5, frames_total=10,
                input_sha256="x", progress=0.5,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            Segment(
                job_id=job_id, index=1, attempt=1, first_frame=5, end_frame=10,
                start_seconds=0.5, end_seconds=1.0, cursor={},
            )
        )  # fmt: skip
        queue.defer_segment(session, job_id, 1, 1, edition=name)
    return job_id


def tasks(api: Api, job_id: uuid.UUID) -> list[tuple[str, str, int]]:
    with api.parts.sessions() as session:
        return [
            (row.queue_name, row.task_name, row.args["attempt"])
            for row in session.execute(
                text("SELECT * FROM procrastinate_jobs WHERE args->>'job_id' = :id ORDER BY id"),
                {"id": str(job_id)},
            )
        ]


def fetched(api: Api, *queues: str) -> str | None:
    """The job of the task that a worker of these queues would get; nothing is taken."""
    with api.parts.sessions() as session:
        found = session.execute(
            text("SELECT args->>'job_id' FROM procrastinate_fetch_job_v2(:queues, NULL)"),
            {"queues": list(queues)},
        ).scalar()
        session.rollback()
    return str(found) if found else None


def test_a_worker_is_given_no_work_of_another_edition(api: Api) -> None:
    name = f"0.0.{uuid.uuid4().hex[:8]}"
    job_id = begun_by(api, name)
    assert fetched(api, queue.named(queue.SEGMENTS, name)) == str(job_id)
    assert fetched(api, queue.named(queue.SEGMENTS, edition())) != str(job_id)
    assert fetched(api, queue.SEGMENTS) != str(job_id)


def test_a_short_video_does_not_wait_for_the_end_of_a_long_one(api: Api) -> None:
    name = f"0.0.{uuid.uuid4().hex[:8]}"
    long, short = uuid.uuid4(), uuid.uuid4()
    order = []
    with api.parts.sessions.begin() as session:
        for job_id, segments in ((long, 4), (short, 2)):
            for index in range(segments):
                queue.defer_segment(session, job_id, 1, index, edition=name)
        for _ in range(6):
            args = session.scalar(
                text("SELECT args FROM procrastinate_fetch_job_v2(:queues, NULL)"),
                {"queues": [queue.named(queue.SEGMENTS, name)]},
            )
            assert args is not None
            order.append((args["job_id"] == str(long), args["index"]))
        session.rollback()
    assert order == [(True, 0), (False, 0), (True, 1), (False, 1), (True, 2), (True, 3)]


def test_the_query_of_the_autoscaler_counts_the_segments_of_all_editions(api: Api) -> None:
    scaled = next(
        item
        for item in yaml.safe_load_all(AUTOSCALER.read_text())
        if item["kind"] == "ScaledObject"
    )
    query = text(scaled["spec"]["triggers"][0]["metadata"]["query"])

    def asked() -> int:
        with api.parts.sessions() as session:
            return int(session.scalar(query) or 0)

    before = asked()
    begun_by(api, edition(), updated_at=datetime.now(UTC))
    begun_by(api, OTHER, updated_at=datetime.now(UTC))
    assert asked() == before + 2


def test_the_queue_is_counted_over_all_editions(api: Api) -> None:
    def waiting() -> float:
        with api.parts.sessions() as session:
            service_state.fill_gauges(session, api.parts.metrics)
        value = api.parts.metrics.registry.get_sample_value(
            "detect_api_queue_tasks", {"queue": "segments"}
        )
        assert value is not None
        return value

    before = waiting()
    begun_by(api, edition(), updated_at=datetime.now(UTC))
    begun_by(api, OTHER, updated_at=datetime.now(UTC))
    assert waiting() == before + 2


def test_a_job_of_an_edition_that_is_worked_for_is_left_to_it(api: Api, shop: Workshop) -> None:
    job_id = begun_by(api, OTHER)
    with api.parts.sessions.begin() as session:
        editions.seen(session, OTHER)
    sweep(shop)
    assert tasks(api, job_id) == [(f"segments:{OTHER}", "segment", 1)]
    assert api.job(str(job_id))["status"] == "processing"


@pytest.mark.parametrize("name", [OTHER, None])
def test_a_job_that_nobody_can_finish_is_begun_anew_once(
    api: Api, shop: Workshop, name: str | None
) -> None:
    job_id = begun_by(api, name)
    sweep(shop)
    job = api.job(str(job_id))
    assert (job["status"], job["progress"]) == ("pending", 0.0)
    assert tasks(api, job_id) == [("control", "plan", 2)]
    with api.parts.sessions() as session:
        assert not session.scalar(select(func.count()).where(Segment.job_id == job_id))
    sweep(shop)
    assert tasks(api, job_id) == [("control", "plan", 2)]
    with pytest.raises(states.Superseded):  # what an old worker still has in its hands
        segment.segment(shop, job_id, 1, 1)


@pytest.mark.parametrize("name", [OTHER, None])
def test_work_that_another_version_queued_for_everybody_is_left_to_it(
    api: Api, shop: Workshop, name: str | None
) -> None:
    job_id = begun_by(api, name, updated_at=datetime.now(UTC))
    with pytest.raises(states.Superseded):
        segment.segment(shop, job_id, 1, 1)
    with api.parts.sessions.begin() as session:
        waiting = session.get_one(Segment, (job_id, 1))
        assert waiting.tries == 0
        waiting.result = b"in the other version's words"
    with pytest.raises(states.Superseded):
        merge.merge(shop, job_id, 1)
    assert api.job(str(job_id))["status"] == "processing"


def test_a_job_that_still_moves_is_not_begun_anew(api: Api, shop: Workshop) -> None:
    job_id = begun_by(api, OTHER, updated_at=datetime.now(UTC))
    sweep(shop)
    assert tasks(api, job_id) == [(f"segments:{OTHER}", "segment", 1)]


def test_work_of_a_cancelled_job_that_nobody_would_fetch_goes(api: Api, shop: Workshop) -> None:
    job_id = begun_by(api, OTHER)
    assert api.client.post(f"/jobs/{job_id}/cancel").status_code == 200
    sweep(shop)
    assert tasks(api, job_id) == []


def awaiting_plan(api: Api, **values: Any) -> tuple[uuid.UUID, int]:
    """A job whose video is none, and the task that is to find out."""
    job_id = uuid.uuid4()
    key = f"videos/{job_id}.mp4"
    api.parts.store.put(key, b"no video", "video/mp4")
    values = {"object_etag": api.parts.store.head(key).etag, **values}
    with api.parts.sessions.begin() as session:
        session.add(Job(id=job_id, type="video", status="pending", object_key=key, **values))
        session.flush()
        queue.defer_plan(session, job_id, 1)
        task_id = session.scalar(
            text("SELECT id FROM procrastinate_jobs WHERE args->>'job_id' = :id"),
            {"id": str(job_id)},
        )
        assert task_id is not None
    return job_id, task_id


def test_a_plan_that_has_begun_stays_with_its_edition(api: Api, shop: Workshop) -> None:
    job_id, task_id = awaiting_plan(api)
    with pytest.raises(VideoError):
        plan.plan(shop, job_id, 1, task_id)
    assert tasks(api, job_id) == [(queue.named(queue.CONTROL, edition()), "plan", 1)]
    with api.parts.sessions.begin() as session:
        job = session.get_one(Job, job_id)
        assert job.edition == edition()
        job.edition = OTHER
    with pytest.raises(states.Superseded):
        plan.plan(shop, job_id, 1, task_id)


def planned(api: Api, shop: Workshop, **values: Any) -> Job:
    """A job whose video is none, when its plan has come to see that."""
    job_id, task_id = awaiting_plan(api, **values)
    with pytest.raises(VideoError):
        plan.plan(shop, job_id, 1, task_id)
    with api.parts.sessions() as session:
        return session.get_one(Job, job_id)


def test_the_checksum_of_a_video_that_was_replaced_since_is_taken_again(
    api: Api, shop: Workshop
) -> None:
    assert planned(api, shop, input_sha256="known").input_sha256 == "known"
    replaced = planned(api, shop, input_sha256="known", object_etag="another")
    assert replaced.input_sha256 is None


def test_a_sign_of_life_lasts_and_is_never_shortened(api: Api) -> None:
    name = f"0.0.{uuid.uuid4().hex[:8]}"
    with api.parts.sessions.begin() as session:
        session.add(Lease(name=f"edition:{name}", until=datetime.now(UTC) + timedelta(hours=1)))
        session.flush()
        editions.seen(session, name)
        left = session.scalar(
            text("SELECT extract(epoch FROM until - now()) FROM leases WHERE name = :name"),
            {"name": f"edition:{name}"},
        )
    assert left is not None
    assert left > 3000
