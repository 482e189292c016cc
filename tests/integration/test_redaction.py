"""A redacted copy of a film from a phone: what is covered in it, when, and what is not in it."""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import delete, select

from detect_api.core.config import Settings
from detect_api.core.ids import new_id
from detect_api.db.migrate import upgrade
from detect_api.db.session import make_engine, make_session_factory
from detect_api.db.tables import Job, Plate, Redaction, UnreadTrack
from detect_api.jobs import queue
from detect_api.jobs.tasks import make_app, register
from detect_api.jobs.views import REDACTED_TYPE
from detect_api.jobs.workshop import SharedEngine, Workshop
from detect_api.services import redaction_service
from detect_api.storage import make_store
from detect_api.vision.redact import Course
from detect_api.vision.types import Detection, ModelInfo
from tests.processing import Sample

from .databases import database

pytestmark = pytest.mark.timeout(300)

Picture = NDArray[np.uint8]

FRAMES = 75
GAP = 5
MILLISECONDS = Fraction(1, 1000)
MARKS = (b"Kims holiday", b"+52.5200+013.4050", b"PhoneMaker", b"said aloud")
"""What such a film says about who made it, where and with what, and what was said."""

STYLES = (
    b"[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)


def write_film(sample: Path, path: Path) -> None:
    """A film that lies on its side, with frames at uneven times, sound, subtitles and tags."""
    container: Any
    with av.open(str(sample), "r") as source:
        upright = [f.to_ndarray(format="bgr24") for f in islice(source.decode(video=0), FRAMES)]
    options = {"movflags": "use_metadata_tags"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        place = "+52.5200+013.4050/"
        container.metadata.update(title="Kims holiday", location=place, make="PhoneMaker")
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = upright[0].shape[1], upright[0].shape[0]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18"}
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = MILLISECONDS
        stream.set_display_rotation(-90)
        sound = container.add_stream("aac", rate=48000)
        sound.layout = "mono"
        words = container.add_stream("mov_text")
        words.time_base = words.codec_context.time_base = MILLISECONDS
        words.codec_context.subtitle_header = STYLES
        for number, image in enumerate(upright):
            stored: Any = np.ascontiguousarray(np.rot90(image))
            frame = av.VideoFrame.from_ndarray(stored, "bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(40 * (number + number % 3 * 0.3)), MILLISECONDS
            container.mux(stream.encode(frame))
            noise = np.random.default_rng(number).uniform(-1, 1, (1, 1920)).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            samples.pts, samples.sample_rate = number * 1920, 48000
            container.mux(sound.encode(samples))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
        said = MARKS[-1]
        packet = av.Packet(struct.pack(">H", len(said)) + said)
        packet.stream, packet.time_base = words, MILLISECONDS
        packet.pts, packet.dts, packet.duration = 500, 500, 1000
        container.mux(packet)


@dataclass(frozen=True)
class Shown:
    """What a player shows of a video: upright pictures at their times, and what it tells."""

    times: list[float]
    pictures: list[Picture]
    kinds: list[str]
    tags: dict[str, str]


def shown(path: Path) -> Shown:
    found = Shown([], [], [], {})
    with av.open(str(path), "r") as container:
        found.kinds.extend(sorted(stream.type for stream in container.streams))
        found.tags.update({**container.metadata, **container.streams.video[0].metadata})
        for frame in container.decode(video=0):
            turned: Any = np.rot90(frame.to_ndarray(format="bgr24"), round(frame.rotation / 90) % 4)
            found.times.append(float(frame.time or 0))
            found.pictures.append(turned)
    return found


@pytest.fixture(scope="module")
def shop(s3: Settings, embedded_database: str) -> Iterator[Workshop]:
    with database(embedded_database) as url:
        upgrade(url)
        engine = make_engine(url)
        settings = s3.model_copy(update={"database_url": url})
        yield Workshop(settings, make_session_factory(engine), make_store(settings))
        engine.dispose()


@pytest.fixture(scope="module")
def film(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_film(sample.path, path)
    assert all(mark in path.read_bytes() for mark in MARKS)
    assert shown(path).kinds == ["audio", "subtitle", "video"]
    return path


def work(shop: Workshop) -> None:
    """Does what is in the queue, as a worker does."""

    async def until_empty() -> None:
        app = make_app(shop.settings.database_url or "")
        register(app, shop)
        async with app.open_async():
            await app.run_worker_async(
                wait=False, install_signal_handlers=False, listen_notify=False, concurrency=1,
                delete_jobs="always",
            )  # fmt: skip

    asyncio.run(until_empty())


@pytest.fixture
def job_id(shop: Workshop, film: Path) -> uuid.UUID:
    """The film as a job that has completed."""
    found = new_id()
    key = f"videos/{found}.mp4"
    shop.store.put(key, film.read_bytes(), "video/mp4")
    with shop.sessions.begin() as session:
        job = Job(
            id=found, type="video", status="pending", object_key=key,
            object_etag=shop.store.head(key).etag, file_size=film.stat().st_size,
        )  # fmt: skip
        session.add(job)
        session.flush()
        queue.defer_plan(session, found, 1)
    work(shop)
    with shop.sessions() as session:
        job = session.get_one(Job, found)
        assert (job.status, job.error_detail) == ("completed", None)
        assert job.plates_found
    return found


def copy_of(shop: Workshop, job_id: uuid.UUID, path: Path) -> Path:
    """Has a redacted copy made; returns the file."""
    with shop.sessions.begin() as session:
        redaction_service.ask(session, job_id)
    work(shop)
    with shop.sessions() as session:
        row = session.get_one(Redaction, job_id)
        assert (row.status, row.error_detail) == ("completed", None)
        assert row.object_key is not None
        info = shop.store.head(row.object_key)
        path.write_bytes(shop.store.read_range(row.object_key, 0, info.size))
    assert info.content_type == REDACTED_TYPE
    assert info.metadata == {}
    return path


def courses(shop: Workshop, job_id: uuid.UUID) -> list[Course]:
    with shop.sessions() as session:
        paths = session.scalars(select(Plate.path).where(Plate.job_id == job_id)).all()
    return [Course.from_json(path) for path in paths if path]


def detail(picture: Picture, box: Sequence[float]) -> float:
    """How much there is to see in a box: letters have edges, what is painted over has none."""
    x1, y1, x2, y2 = (round(value) for value in box)
    return float(cv2.Laplacian(picture[y1:y2, x1:x2], cv2.CV_32F).std())


def assert_covered(original: Shown, copy: Shown, tracks: list[Course]) -> None:
    """Every track, in every frame from its first place to its last one."""
    looked = 0
    for course in tracks:
        for frame in range(course.frames[0], course.frames[-1] + 1):
            box = course.at(frame, 0)
            assert box is not None
            sides = (box.x1, box.y1, box.x2, box.y2)
            before = detail(original.pictures[frame], sides)
            assert detail(copy.pictures[frame], sides) < 0.25 * before, frame
            looked += 1
    assert looked > FRAMES / 2


def test_a_copy_is_upright_and_in_time_and_has_nothing_else_of_the_film(
    shop: Workshop, film: Path, job_id: uuid.UUID, tmp_path: Path
) -> None:
    path = copy_of(shop, job_id, tmp_path / "copy.webm")
    original, copy = shown(film), shown(path)
    assert copy.kinds == ["video"], "no sound, no subtitles"
    assert {name.upper() for name in copy.tags} <= {"ENCODER", "DURATION"}
    assert not [mark for mark in MARKS if mark in path.read_bytes()]
    assert copy.pictures[0].shape == original.pictures[0].shape
    assert len(set(np.diff(original.times).round(3))) > 1, "uneven times"
    assert copy.times == pytest.approx(original.times, abs=0.002)
    top = [picture[:40].mean() for picture in original.pictures]
    assert [picture[:40].mean() for picture in copy.pictures] == pytest.approx(top, abs=6)
    assert_covered(original, copy, courses(shop, job_id))


class Blind:
    """A detector that finds nothing."""

    models: tuple[ModelInfo, ...] = ()

    def detect(self, images: Sequence[Picture], *, still: bool = False) -> list[list[Detection]]:
        return [[] for _ in images]


def test_what_the_job_followed_is_covered_also_where_nothing_is_found(
    shop: Workshop, film: Path, job_id: uuid.UUID, tmp_path: Path
) -> None:
    """One plate as a track that was not read, and all with gaps between their places."""
    tracks = courses(shop, job_id)
    with shop.sessions.begin() as session:
        plates = session.scalars(select(Plate).where(Plate.job_id == job_id)).all()
        for row in plates:
            assert row.path is not None
            last = len(row.path["frames"]) - 1
            some = [i for i in range(last + 1) if i % GAP == 0 or i == last]
            row.path = {
                name: [values[i] for i in some]
                if name in ("frames", "boxes", "seconds")
                else values
                for name, values in row.path.items()
            }
        first = plates[0]
        session.add(
            UnreadTrack(
                job_id=job_id, track_id=first.track_id, details={}, path=first.path, crop_key=""
            )
        )
        session.flush()
        session.execute(delete(Plate).where(Plate.id == first.id))
    seeing = shop.engine
    shop._engine = SharedEngine(Blind(), seeing.reader)
    try:
        path = copy_of(shop, job_id, tmp_path / "copy.webm")
    finally:
        shop._engine = seeing
    assert_covered(shown(film), shown(path), tracks)


def test_copies_are_counted_by_how_they_ended(
    shop: Workshop, job_id: uuid.UUID, tmp_path: Path
) -> None:
    def counted(outcome: str) -> float:
        labels = {"task": queue.REDACT, "outcome": outcome}
        return shop.metrics.registry.get_sample_value("detect_api_tasks_total", labels) or 0.0

    done, failed = counted("done"), counted("failed")
    copy_of(shop, job_id, tmp_path / "copy.webm")
    assert (counted("done"), counted("failed")) == (done + 1, failed)
    with shop.sessions.begin() as session:
        key = session.get_one(Job, job_id).object_key
        session.execute(delete(Redaction).where(Redaction.job_id == job_id))
        redaction_service.ask(session, job_id)
    assert key is not None
    shop.store.delete(key)
    work(shop)
    assert (counted("done"), counted("failed")) == (done + 1, failed + 1)
    with shop.sessions() as session:
        assert session.get_one(Redaction, job_id).status == "failed"
