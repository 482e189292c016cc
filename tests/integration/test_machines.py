"""Several machines: workers that share a database and a bucket, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from detect_api.client import Client
from detect_api.core.config import Settings
from detect_api.db.migrate import upgrade
from detect_api.jobs.tasks import MAX_TRIES
from detect_api.local.postgres import server_folder
from detect_api.local.stack import as_environment
from tests.processing import EVERY_OTHER, Sample, ended, essence

from .conftest import Api, serve
from .databases import database

PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def service(database_url: str, s3: Settings, tmp_path: Path) -> Iterator[Api]:
    """The API with a database of its own, without workers."""
    with database(database_url) as own:
        upgrade(own)
        yield from serve(
            s3.model_copy(
                update={"database_url": own, "data_dir": tmp_path / "api", "segment_seconds": 2.0}
            )
        )


@dataclass
class Machine:
    """A worker that has a disk of its own."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def value(self, name: str) -> float:
        """A metric that the worker tells, summed over its labels."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        found = [
            line.rsplit(" ", 1)[1] for line in lines if line.startswith((f"{name} ", name + "{"))
        ]
        return sum(float(number) for number in found)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return httpx.get(f"{self.url}/ready", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        return (self.folder / "log").read_text()[-4000:]


WORKER = (str(Path(sys.executable).with_name("detect-api")), "worker")
WORKER_OF_ANOTHER_EDITION = (
    sys.executable,
    "-c",
    "from detect_api.vision import edition\nedition.STEPS = 99\n"
    "from detect_api.jobs.worker import main\nmain()",
)

WORKER_THAT_HANGS = (
    sys.executable,
    "-c",
    "import asyncio, time\nfrom detect_api.jobs import worker\n"
    "worker.DRAIN_SECONDS = 0.5\n"
    "async def hangs(*_): await asyncio.to_thread(time.sleep, 600)\n"
    "worker._lane = hangs\nworker.main()",
)
"""Its threads wait for something that never comes, as in a storage that does not answer."""


@contextmanager
def machine(
    settings: Settings, folder: Path, command: tuple[str, ...] = WORKER
) -> Iterator[Machine]:
    """A worker as another machine would run it: no home, no data folder."""
    (folder / "tmp").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "data_dir": folder / "none", "worker_metrics_port": port, "worker_threads": 1,
        "log_level": "DEBUG",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder / "no-home"),
                "TMPDIR": str(folder / "tmp"),
                **as_environment(settings.model_copy(update=own)),
            },
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Machine(process, f"http://127.0.0.1:{port}", folder)
    finally:
        process.kill()
        process.wait(60)


def until(condition: Callable[[], object], *machines: Machine) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "\n".join(m.log() for m in machines)
        time.sleep(0.05)


def test_two_machines_share_a_video_and_one_may_leave(
    service: Api, sample: Sample, reference: dict[str, Any], tmp_path: Path
) -> None:
    settings = service.parts.settings
    with (
        machine(settings, tmp_path / "a") as one,
        machine(settings, tmp_path / "b") as two,
        Client(service.url) as client,
    ):
        until(lambda: one.is_ready() and two.is_ready(), one, two)
        assert httpx.get(f"{service.url}/ready", timeout=30).json()["ready"]
        job = client.process(sample.path, EVERY_OTHER)
        begun = "detect_api_segment_wait_seconds_count"
        until(lambda: one.value(begun) and two.value(begun), one, two)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(PATIENCE_SECONDS) == 0, one.log()
        with service.parts.sessions() as session:
            held = session.scalar(
                text(
                    "SELECT count(*) FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w "
                    "ON w.id = j.worker_id WHERE j.status = 'doing' AND w.id IS NULL"
                )
            )
        assert held == 0, "what it had in its hands is in the queue again"
        assert ended(client, job["job_id"])["status"] == "completed", two.log()
        assert essence(client.result(job["job_id"])) == essence(reference)
        assert two.value("detect_api_frames_total") > 0
        told = httpx.get(f"{two.url}/metrics", timeout=30).text
        secret = [*sample.plates, job["job_id"], sample.path.name]
        assert not [word for word in secret if word in told], "counts and states, nothing else"
        two.process.send_signal(signal.SIGTERM)
        assert two.process.wait(PATIENCE_SECONDS) == 0, two.log()
    for folder in (one.folder, two.folder):
        assert sorted(path.name for path in folder.iterdir()) == ["log", "tmp"]
        assert list((folder / "tmp").iterdir()) == []


def test_a_worker_that_is_stopped_while_it_loads_its_models_ends_in_good_order(
    service: Api, tmp_path: Path
) -> None:
    for number in range(4):
        with machine(service.parts.settings, tmp_path / str(number)) as worker:
            until(lambda worker=worker: "worker_ready" in worker.log(), worker)  # type: ignore[misc]
            time.sleep(number / 10)
            worker.process.send_signal(signal.SIGTERM)
            assert worker.process.wait(PATIENCE_SECONDS) == 0, worker.log()


def test_a_worker_that_hangs_while_it_stops_is_ended(service: Api, tmp_path: Path) -> None:
    with machine(service.parts.settings, tmp_path / "a", WORKER_THAT_HANGS) as worker:
        until(worker.is_ready, worker)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(PATIENCE_SECONDS) == 1, worker.log()


def test_a_video_on_which_workers_die_is_given_up(
    service: Api, sample: Sample, tmp_path: Path
) -> None:
    with Client(service.url) as client:
        job = client.process(sample.path)
        with service.parts.sessions.begin() as session:
            tries = {"tries": MAX_TRIES}
            session.execute(text("UPDATE procrastinate_jobs SET attempts = :tries"), tries)
        with machine(service.parts.settings, tmp_path / "a"):
            found = ended(client, job["job_id"])
        assert (found["status"], found["error"]["code"]) == ("failed", "task_died")


def test_a_job_of_a_version_that_is_gone_is_begun_anew_and_completes(
    service: Api, sample: Sample, reference: dict[str, Any], tmp_path: Path
) -> None:
    settings = service.parts.settings
    with Client(service.url) as client:
        with machine(settings, tmp_path / "old", WORKER_OF_ANOTHER_EDITION) as old:
            until(old.is_ready, old)
            job_id = client.process(sample.path, EVERY_OTHER)["job_id"]
            until(lambda: old.value("detect_api_segment_wait_seconds_count"), old)
            old.process.send_signal(signal.SIGTERM)
            assert old.process.wait(PATIENCE_SECONDS) == 0, old.log()
        assert client.job(job_id)["status"] == "processing"
        with service.parts.sessions.begin() as session:  # two minutes pass
            session.execute(text("UPDATE leases SET until = until - interval '2 minutes'"))
            session.execute(text("UPDATE jobs SET updated_at = updated_at - interval '2 minutes'"))
        with machine(settings, tmp_path / "new") as new:
            assert ended(client, job_id)["status"] == "completed", new.log()
            assert essence(client.result(job_id)) == essence(reference)
            assert "job_begun_anew" in (new.folder / "log").read_text()
    with service.parts.sessions() as session:
        assert session.scalar(text("SELECT max(attempt) FROM jobs")) == 2
        left = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"
        assert session.scalar(text(left)) == 0


def test_a_worker_refuses_a_database_that_is_too_new_in_one_sentence(
    database_url: str, s3: Settings, tmp_path: Path
) -> None:
    with database(database_url) as own:
        upgrade(own)
        program = str(Path(sys.executable).with_name("detect-api"))
        environment = {
            "PATH": os.environ["PATH"],
            **as_environment(s3.model_copy(update={"database_url": own, "data_dir": tmp_path})),
        }

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [program, *words], env=environment, cwd=tmp_path, capture_output=True, text=True,
                timeout=PATIENCE_SECONDS, check=False,
            )  # fmt: skip

        psql(own, "UPDATE alembic_version SET version_num = '9999'")
        psql(own, "UPDATE oldest_version SET revision = '9998'")
        for words in (["worker"], ["serve", "--workers", "0", "--port", "0"]):
            ran = run(*words)
            assert ran.returncode == 1, words
            said = ran.stdout + ran.stderr
            assert "install the newer version of detect-api" in said, said
            assert "Traceback" not in said
            assert own not in said


def psql(address: str, statement: str) -> None:
    subprocess.run(
        [str(server_folder() / "bin" / "psql"), "--quiet", "--dbname", address, "-c", statement],
        check=True, timeout=60,
    )  # fmt: skip


def test_a_backup_brings_everything_back(service: Api, database_url: str, tmp_path: Path) -> None:
    """The steps of docs/OPERATIONS.md: the database first, then the bucket."""
    programs = server_folder() / "bin"
    settings = service.parts.settings
    store, bucket = service.parts.store, settings.s3_bucket_name
    client = store.client  # type: ignore[attr-defined]
    job_id = service.finished_job(["AB12CDE", "XY34ZZZ"], unread=1)
    mine = service.objects(f"videos/evidence/{job_id}/")
    result = service.client.get(f"/jobs/{job_id}/result").json()
    pictures = [
        service.client.get(plate[kind]).content
        for plate in result["plates"]
        for kind in ("crop_url", "frame_url")
    ]
    dump = tmp_path / "detect-api.dump"
    subprocess.run(
        [programs / "pg_dump", "--format=custom", f"--file={dump}", str(settings.database_url)],
        check=True, timeout=120,
    )  # fmt: skip
    kept = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in mine}

    for key in mine:
        client.delete_object(Bucket=bucket, Key=key)
    assert service.objects(f"videos/evidence/{job_id}/") == []

    with database(database_url) as other:
        subprocess.run(
            [programs / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={other}", dump],
            check=True, timeout=120,
        )  # fmt: skip
        for key, content in kept.items():
            client.put_object(Bucket=bucket, Key=key, Body=content, ContentType="image/jpeg")
        upgrade(other)
        shutil.rmtree(settings.data_dir, ignore_errors=True)
        again = settings.model_copy(update={"database_url": other, "data_dir": tmp_path / "other"})
        restored = serve(again)
        api = next(restored)
        try:
            found = api.client.get(f"/jobs/{job_id}/result").json()
            assert found == result
            assert pictures == [
                api.client.get(plate[kind]).content
                for plate in found["plates"]
                for kind in ("crop_url", "frame_url")
            ]
            assert api.job(job_id)["status"] == "completed"
            plates = api.client.get("/plates", params={"text": "AB12CDE"}).json()
            assert [p["text"] for p in plates["plates"]] == ["AB12CDE"], plates
            form = api.presign(filename="next.mp4")
            assert form["job_id"] != job_id
        finally:
            next(restored, None)
