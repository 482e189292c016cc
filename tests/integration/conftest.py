"""The API on a real socket, against real PostgreSQL and real S3, without workers."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import text

from detect_api.api.deps import Parts
from detect_api.app import create_app
from detect_api.core.config import Settings
from detect_api.db.tables import Job, Plate, UnreadTrack
from tests.receiver import SECRET

if TYPE_CHECKING:
    from tests.integration.lines import Line


@dataclass(frozen=True)
class Api:
    """A running API and what is behind it."""

    url: str
    client: httpx.Client
    parts: Parts

    def presign(self, **body: Any) -> dict[str, Any]:
        """A form for an upload straight to S3."""
        answer = self.client.post("/process/video/upload/s3/presigned-url", json=body)
        assert answer.status_code == 200, answer.text
        form: dict[str, Any] = answer.json()
        return form

    def job(self, job_id: str) -> dict[str, Any]:
        """The job's state."""
        answer = self.client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    def wait_for(self, job_id: str, *status: str, seconds: float = 15.0) -> dict[str, Any]:
        """The job's state once it is one of these."""
        end = time.monotonic() + seconds
        while (view := self.job(job_id))["status"] not in status:
            assert time.monotonic() < end, view
            time.sleep(0.05)
        return view

    def wait_for_existence(self, job_id: str, seconds: float = 10.0) -> None:
        """Returns once the job is there."""
        end = time.monotonic() + seconds
        while self.client.get(f"/jobs/{job_id}").status_code == 404:
            assert time.monotonic() < end
            time.sleep(0.05)

    def queued(self, job_id: str) -> list[str]:
        """Names of the tasks that wait for this job."""
        with self.parts.sessions() as session:
            rows = session.execute(
                text("SELECT task_name FROM procrastinate_jobs WHERE args->>'job_id' = :id"),
                {"id": job_id},
            )
            return [row.task_name for row in rows]

    def objects(self, prefix: str = "videos/") -> list[str]:
        """Keys in the store under a prefix."""
        client = self.parts.store.client  # type: ignore[attr-defined]
        answer = client.list_objects_v2(Bucket=self.parts.settings.s3_bucket_name, Prefix=prefix)
        return [item["Key"] for item in answer.get("Contents", [])]

    def finished_job(self, plates: list[str], unread: int = 0) -> str:
        """A completed job with these plates, as the merge writes it; returns its id."""
        job_id = uuid.uuid4()
        with self.parts.sessions.begin() as session:
            session.add(
                Job(
                    id=job_id, type="video", status="completed", progress=1.0, message="done",
                    filename="a.mp4", file_size=10, object_key=f"videos/{job_id}.mp4",
                    object_etag="x", merged_segments=1, planned_segments=1,
                    plates_found=len(plates), frames_done=10, frames_total=10,
                )
            )  # fmt: skip
            session.flush()
            for number, plate in enumerate(plates):
                row_id = uuid.uuid4()
                for kind in ("crop", "frame"):
                    self.parts.store.put(
                        f"videos/evidence/{job_id}/{number}-{kind}.jpg", kind.encode(), "image/jpeg"
                    )
                session.add(
                    Plate(
                        id=row_id, job_id=job_id, track_id=number, text=plate, read_text=plate,
                        first_frame=number,
                        confidence=0.9, details=plate_details(plate, number),
                        crop_key=f"videos/evidence/{job_id}/{number}-crop.jpg",
                        frame_key=f"videos/evidence/{job_id}/{number}-frame.jpg",
                    )
                )  # fmt: skip
            for number in range(len(plates), len(plates) + unread):
                details = plate_details("X", number)
                session.add(
                    UnreadTrack(
                        job_id=job_id, track_id=number,
                        details={
                            "reason": "blurred",
                            **{k: details[k] for k in _TRACK},
                        },
                        crop_key=f"videos/evidence/{job_id}/0-crop.jpg",
                    )
                )  # fmt: skip
        return str(job_id)


_TRACK = ("first_seen", "last_seen", "observations", "best")


def plate_details(plate: str, number: int) -> dict[str, Any]:
    """Details of a plate as ``vision.wire`` writes them."""
    return {
        "text": plate,
        "confidence": 0.9,
        "candidates": [{"text": plate, "confidence": 0.9}],
        "characters": [{"char": c, "confidence": 0.9} for c in plate],
        "first_seen": {"frame": number, "seconds": number / 10},
        "last_seen": {"frame": number + 5, "seconds": (number + 5) / 10},
        "observations": 5,
        "best": {
            "frame": number + 1,
            "seconds": (number + 1) / 10,
            "bbox": {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 12.0},
            "detection_confidence": 0.8,
        },
    }


def serve(settings: Settings) -> Iterator[Api]:
    """Runs the API for these settings until the generator is closed."""
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=3)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end, "the API did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30) as client:
        yield Api(url, client, app.state.parts)
    server.should_exit = True
    thread.join(timeout=15)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def api(database_url: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with S3."""
    folder = tmp_path_factory.mktemp("api")
    yield from serve(
        s3.model_copy(
            update={"database_url": database_url, "data_dir": folder, "max_file_size": 30_000_000}
        )
    )


@pytest.fixture(scope="session")
def telling_api(
    database_url: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The API with S3 that sends webhooks."""
    update = {
        "database_url": database_url,
        "data_dir": tmp_path_factory.mktemp("telling"),
        "webhook_secret": SecretStr(SECRET),
    }
    yield from serve(s3.model_copy(update=update))


@pytest.fixture(scope="session")
def api_without_s3(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with ENABLE_S3=false."""
    folder: Path = tmp_path_factory.mktemp("no-s3")
    settings = Settings(_env_file=None, enable_s3=False, database_url=database_url, data_dir=folder)
    yield from serve(settings)


@pytest.fixture(scope="module")
def keyed(
    embedded_database: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The API with S3, for one module, on a database of its own, which has a key."""
    from tests.integration.keyed import keyed_api

    folder = tmp_path_factory.mktemp("keys")
    with keyed_api(embedded_database, s3, folder, max_file_size=30_000_000) as api:
        yield api


@pytest.fixture(scope="session")
def session_line(
    database_url: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line to an API with S3, in whatever state a test left it."""
    from tests.integration.lines import line_to

    folder = tmp_path_factory.mktemp("line")
    settings = s3.model_copy(
        update={"database_url": database_url, "data_dir": folder, "max_file_size": 16_000_000}
    )
    with line_to(settings) as line:
        yield line


@pytest.fixture
def line(session_line: Line) -> Line:
    """A line in good order to an API with S3."""
    session_line.to_api.reset()
    session_line.to_store.reset()
    return session_line


@pytest.fixture(scope="session")
def content() -> bytes:
    """Bytes of a video that goes in parts."""
    from tests.integration.lines import SIZE

    return os.urandom(SIZE - 12_345)


@pytest.fixture
def video(tmp_path: Path, content: bytes) -> Path:
    """A file that is taken for a video, of its own for each test."""
    path = tmp_path / "large.mp4"
    path.write_bytes(content)
    return path
