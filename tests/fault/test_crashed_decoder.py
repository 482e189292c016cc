"""A decoder that is killed while a video is planned or its pictures are taken costs nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import text

from detect_api.core.config import Settings
from detect_api.db.session import make_engine, make_session_factory
from detect_api.db.tables import Job
from detect_api.jobs import queue
from detect_api.jobs.tasks import make_app, register
from detect_api.jobs.workshop import Workshop
from detect_api.storage import make_store
from detect_api.storage.reader import ByteSource
from tests.processing import Sample


class Deadly:
    """A source whose reader dies of the first so many reads."""

    def __init__(self, source: ByteSource, deaths: list[int]) -> None:
        self._source = source
        self._deaths = deaths

    @property
    def size(self) -> int:
        return self._source.size

    def read_at(self, offset: int, length: int) -> bytes:
        if self._deaths:
            for child in psutil.Process().children():
                if any("detect_api.vision.child" in word for word in child.cmdline()):
                    child.kill()
                    self._deaths.pop()
                    break
        return self._source.read_at(offset, length)

    def close(self) -> None:
        self._source.close()


class DeadlyWorkshop(Workshop):
    """Kills so many decoders as ``deaths`` has entries."""

    deaths: list[int]

    @contextmanager
    def source(self, job: Job) -> Iterator[ByteSource]:
        with super().source(job) as source:
            yield Deadly(source, self.deaths)


@pytest.fixture
def shop(s3: Settings, database_url: str) -> Iterator[DeadlyWorkshop]:
    engine = make_engine(database_url)
    settings = s3.model_copy(update={"database_url": database_url})
    yield DeadlyWorkshop(settings, make_session_factory(engine), make_store(settings))
    engine.dispose()


def planned(shop: DeadlyWorkshop, sample: Sample) -> Job:
    """A job whose plan was worked on once, by a real worker."""
    job_id = uuid.uuid4()
    key = f"videos/{job_id}.mp4"
    shop.store.put(key, sample.path.read_bytes(), "video/mp4")
    with shop.sessions.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        session.add(
            Job(
                id=job_id, type="video", status="pending", object_key=key,
                file_size=sample.path.stat().st_size,
            )
        )  # fmt: skip
        session.flush()
        queue.defer_plan(session, job_id, 1)

    async def work() -> None:
        app = make_app(shop.settings.database_url or "")
        register(app, shop)
        async with app.open_async():
            await app.run_worker_async(
                queues=[queue.CONTROL], wait=False, install_signal_handlers=False,
                listen_notify=False, delete_jobs="always",
            )  # fmt: skip

    asyncio.run(work())
    with shop.sessions.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        return session.get_one(Job, job_id)


def test_a_video_is_planned_although_its_decoder_was_killed(
    shop: DeadlyWorkshop, sample: Sample
) -> None:
    shop.deaths = [1]
    job = planned(shop, sample)
    assert not shop.deaths
    assert (job.status, job.error_code) == ("processing", None)
    assert job.planned_segments


def test_a_video_that_kills_every_decoder_fails_and_says_so(
    shop: DeadlyWorkshop, sample: Sample
) -> None:
    shop.deaths = [1] * 20
    job = planned(shop, sample)
    assert (job.status, job.error_code) == ("failed", "decoder_crashed")
    assert len(shop.deaths) == 17, "it was tried three times"
