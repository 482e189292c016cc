"""A worker whose clock is wrong takes nothing from anybody: deadlines are the database's."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text

from detect_api.db.session import SessionFactory, make_engine, make_session_factory
from detect_api.db.tables import IdempotencyKey, Job, Lease, Removal
from tests.fault import odd_clock

ODD_CLOCK = Path(odd_clock.__file__)
ROOT = ODD_CLOCK.parents[2]
DAYS = timedelta(days=2)


@pytest.fixture(scope="module")
def sessions(database_url: str) -> Iterator[SessionFactory]:
    engine = make_engine(database_url)
    yield make_session_factory(engine)
    engine.dispose()


def sweep_with_a_clock_wrong_by(
    time: timedelta, sessions: SessionFactory, database_url: str, folder: Path
) -> None:
    with sessions.begin() as session:
        session.execute(delete(Lease))
    offset = folder / "clock"
    offset.write_text(str(time.total_seconds()))
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
