"""The Python client against a real API and real storage, over lines that do harm."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detect_api.client import AsyncClient, Client, ClientError, Upload
from detect_api.core.config import Settings
from tests.integration.conftest import Api, serve
from tests.proxy import Proxy, proxied

pytestmark = pytest.mark.timeout(300)

MIB = 2**20
SIZE = 36 * MIB
"""More than the API's MAX_FILE_SIZE here, so that no form takes it: some parts, the last short."""

METHOD = "s3-multipart"


@dataclass(frozen=True)
class Line:
    """An API and its storage, each behind a proxy."""

    api: Api
    to_api: Proxy
    to_store: Proxy

    def stored(self, key: str) -> str:
        """The digest of an object."""
        found = self.api.parts.store.head(key)
        digest = hashlib.sha256()
        for offset in range(0, found.size, 4 * MIB):
            size = min(4 * MIB, found.size - offset)
            digest.update(self.api.parts.store.read_range(key, offset, size, found.etag))
        return digest.hexdigest()


@contextmanager
def line_to(settings: Settings) -> Iterator[Line]:
    """A line to an API of its own."""
    assert settings.s3_endpoint_url is not None
    with proxied(settings.s3_endpoint_url) as to_store:
        public = settings.model_copy(update={"s3_public_endpoint_url": to_store.url})
        with contextmanager(serve)(public) as api, proxied(api.url) as to_api:
            yield Line(api, to_api, to_store)


@pytest.fixture(scope="module")
def settings(database_url: str, s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("line")
    return s3.model_copy(
        update={"database_url": database_url, "data_dir": folder, "max_file_size": 30_000_000}
    )


@pytest.fixture(scope="module")
def module_line(settings: Settings) -> Iterator[Line]:
    with line_to(settings) as line:
        yield line


@pytest.fixture
def line(module_line: Line) -> Line:
    """A line in good order."""
    for proxy in (module_line.to_api, module_line.to_store):
        proxy.cut_after, proxy.damage_after = [], []
        proxy.open, proxy.pause = True, 0.0
        proxy.received = proxy.cuts = proxy.damaged = 0
    return module_line


@pytest.fixture
def client(line: Line, tmp_path: Path) -> Iterator[Client]:
    with Client(line.to_api.url, state=tmp_path / "state") as found:
        yield found


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE - 12_345)


@pytest.fixture
def video(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "large.mp4"
    path.write_bytes(content)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state").glob("*"))


def upload_with(kind: str, line: Line, tmp_path: Path, video: Path, **more: Any) -> Upload:
    """The same upload by either client."""
    if kind == "Client":
        with Client(line.to_api.url, state=tmp_path / "state") as client:
            return client.upload(video, **more)

    async def run() -> Upload:
        async with AsyncClient(line.to_api.url, state=tmp_path / "state") as client:
            return await client.upload(video, **more)

    return asyncio.run(run())


# -- in parts -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_a_large_video_goes_in_parts_and_is_processed(
    kind: str, line: Line, tmp_path: Path, video: Path
) -> None:
    seen: list[tuple[int, int]] = []
    found = upload_with(
        kind, line, tmp_path, video,
        parameters={"frame_skip": 3}, on_progress=lambda *counts: seen.append(counts),
    )  # fmt: skip
    assert found.method == METHOD
    assert found.processing
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert seen[-1] == (video.stat().st_size, video.stat().st_size)
    assert seen == sorted(seen)
    job = line.api.job(found.job_id)
    assert job["type"] == "video"
    assert job["parameters"]["frame_skip"] == 3
    assert line.api.queued(found.job_id), "it waits for a worker"
    assert not state_files(tmp_path)


@pytest.mark.parametrize("checksum", ["SHA256", None])
def test_other_checksums_or_none_may_be_chosen(
    client: Client, line: Line, video: Path, checksum: Any
) -> None:
    found = client.upload(video, auto_process=False, checksum=checksum)
    assert not found.processing
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.api.job(found.job_id)["status"] == "uploaded"


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_cut_connections_cost_only_what_was_on_its_way(
    kind: str, line: Line, tmp_path: Path, video: Path
) -> None:
    line.to_store.cut_after = [3 * MIB, 1 * MIB, 5 * MIB, 100_000]
    line.to_api.cut_after = [300, 1500]
    found = upload_with(kind, line, tmp_path, video, auto_process=False)
    assert line.to_store.cuts >= 4
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.to_store.received < video.stat().st_size + 4 * 9 * MIB


def test_storage_refuses_a_damaged_part_and_it_is_sent_again(
    client: Client, line: Line, video: Path
) -> None:
    line.to_store.damage_after = [2 * MIB, 3 * MIB]
    found = client.upload(video, auto_process=False)
    assert line.to_store.damaged == 2
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.to_store.received > video.stat().st_size + 8 * MIB, "two parts went twice"


def test_addresses_that_expire_on_a_slow_line_are_signed_anew(
    settings: Settings, tmp_path: Path, video: Path
) -> None:
    with line_to(settings.model_copy(update={"s3_upload_expiration": 1})) as line:
        line.to_store.pause = 0.01  # a part takes more than a second
        with Client(line.to_api.url, state=tmp_path / "state") as client:
            found = client.upload(video, auto_process=False, parallel=2)
        assert found.s3_key is not None
        assert line.stored(found.s3_key) == digest(video)


def test_an_api_that_is_started_again_meanwhile_does_no_harm(
    line: Line, client: Client, video: Path
) -> None:
    line.to_store.pause = 0.005

    def restart(_sent: int, _total: int) -> None:
        line.to_api.open = False
        line.to_api.cut_all()
        line.to_api.point_at(other.url)
        threading.Timer(1.0, lambda: setattr(line.to_api, "open", True)).start()

    with contextmanager(serve)(line.api.parts.settings) as other:
        try:
            found = client.upload(video, auto_process=False, on_progress=_once(restart))
        finally:
            line.to_api.point_at(line.api.url)
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)


def _once(call: Callable[[int, int], None]) -> Callable[[int, int], None]:
    done: list[bool] = []

    def wrapped(sent: int, total: int) -> None:
        if not done and sent > 10 * MIB:
            done.append(True)
            call(sent, total)

    return wrapped


# -- another process goes on ----------------------------------------------------------------

UPLOAD = """
import sys
from detect_api.client import Client
url, state, video = sys.argv[1:]
from pathlib import Path
with Client(url, state=Path(state)) as client:
    client.upload(video, auto_process=False, parallel=1)
"""


def start(line: Line, tmp_path: Path, video: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", UPLOAD, line.to_api.url, str(tmp_path / "state"), str(video)]
    )


def kill_in_the_middle(line: Line, tmp_path: Path, video: Path, sent: int = 22 * MIB) -> str:
    """Has a process upload and kills it; returns the id of its upload."""
    line.to_store.pause = 0.005
    process = start(line, tmp_path, video)
    end = time.monotonic() + 60
    while line.to_store.received < sent:
        assert process.poll() is None, "it was not to end by itself"
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    line.to_store.pause = 0.0
    line.to_store.cut_all()
    line.to_store.received = 0
    (file,) = (tmp_path / "state").glob("*.json")
    upload_id: str = json.loads(file.read_text())["upload_id"]
    return upload_id


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_after_a_kill_another_process_sends_only_what_is_missing(
    kind: str, line: Line, tmp_path: Path, video: Path
) -> None:
    upload_id = kill_in_the_middle(line, tmp_path, video)
    seen: list[int] = []
    found = upload_with(
        kind, line, tmp_path, video, auto_process=False, on_progress=lambda n, _: seen.append(n)
    )
    assert found.job_id == upload_id
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.to_store.received < video.stat().st_size - 8 * MIB
    assert seen[0] >= 8 * MIB, "progress begins with what is there already"
    assert not state_files(tmp_path)


def test_a_file_that_was_changed_starts_anew(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    upload_id = kill_in_the_middle(line, tmp_path, video)
    video.write_bytes(video.read_bytes()[::-1])
    found = client.upload(video, auto_process=False)
    assert found.job_id != upload_id
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.api.job(upload_id)["status"] == "cancelled", "the other one is given up"


def test_without_resuming_or_with_a_broken_state_file_it_starts_anew(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    first = kill_in_the_middle(line, tmp_path, video, sent=9 * MIB)
    (file,) = (tmp_path / "state").glob("*.json")
    kept = file.read_text()
    file.write_text(kept[: len(kept) // 2])
    second = client.upload(video, auto_process=False)
    assert second.job_id != first
    file.write_text(kept)
    third = client.upload(video, auto_process=False, resume=False)
    assert third.job_id not in (first, second.job_id)
    assert line.api.job(first)["status"] == "cancelled"


def test_an_upload_that_was_cancelled_meanwhile_starts_anew(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    upload_id = kill_in_the_middle(line, tmp_path, video, sent=9 * MIB)
    client.cancel(upload_id)
    found = client.upload(video, auto_process=False)
    assert found.job_id != upload_id
    assert line.api.job(found.job_id)["status"] == "uploaded"


def test_two_processes_do_not_upload_one_file_at_once(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    line.to_store.pause = 0.005
    process = start(line, tmp_path, video)
    try:
        end = time.monotonic() + 60
        while line.to_store.received < MIB:
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(ClientError) as error:
            client.upload(video, auto_process=False)
        assert error.value.code == "upload_in_progress"
    finally:
        process.kill()
        process.wait(60)


def test_an_interrupted_upload_ends_soon_and_goes_on(
    line: Line, tmp_path: Path, video: Path
) -> None:
    line.to_store.pause = 0.005
    with Client(line.to_api.url, state=tmp_path / "state") as client:
        stop = _once(lambda _sent, _total: client.interrupt())
        with pytest.raises(ClientError) as error:
            client.upload(video, auto_process=False, on_progress=stop)
    assert error.value.code == "interrupted"
    assert state_files(tmp_path)
    line.to_store.pause = 0.0

    async def cancelled() -> None:
        async with AsyncClient(line.to_api.url, state=tmp_path / "state") as client:
            task = asyncio.ensure_future(client.upload(video, auto_process=False))
            await asyncio.sleep(0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    found = upload_with("Client", line, tmp_path, video, auto_process=False)
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)


# -- the other ways -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_a_small_video_goes_in_one_form_and_is_sent_again_if_cut(
    kind: str, line: Line, tmp_path: Path
) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(os.urandom(2 * MIB))
    line.to_store.cut_after = [MIB]
    found = upload_with(kind, line, tmp_path, video, parameters={"min_confidence": 0.25})
    assert found.method == "s3"
    assert line.to_store.cuts == 1
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.api.job(found.job_id)["parameters"]["min_confidence"] == 0.25


def test_without_s3_a_small_video_goes_through_the_api(api_without_s3: Api, tmp_path: Path) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(os.urandom(MIB))
    with Client(api_without_s3.url, state=tmp_path / "state") as client:
        found = client.upload(video, {"frame_skip": 4})
        assert found.method == "api"
        assert client.job(found.job_id)["parameters"]["frame_skip"] == 4
        for wish in ({"auto_process": False}, {"parameters": {"delete_after_processing": True}}):
            with pytest.raises(ClientError) as error:
                client.upload(video, **wish)
            assert error.value.code == "usage"


def test_what_is_no_video_or_no_file_is_refused(client: Client, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ClientError) as error:
        client.upload(text)
    assert (error.value.code, error.value.status) == ("not_a_video", 400)
    assert error.value.request_id
    with pytest.raises(ClientError) as error:
        client.upload(tmp_path / "none.mp4")
    assert error.value.code == "file"


# -- results --------------------------------------------------------------------------------

TEXTS = ["AB12CDE", "XY34ZZZ", "../evil"]


def test_plates_are_listed_searched_corrected_and_saved(
    line: Line, client: Client, tmp_path: Path
) -> None:
    job_id = line.api.finished_job(TEXTS, unread=1)
    assert [plate["text"] for plate in client.plates(job_id)] == TEXTS
    assert job_id in [job["job_id"] for job in client.jobs(status=["completed"], limit=1)]
    found = [p for p in client.search("XY34ZZ?") if p["job_id"] == job_id]
    assert [plate["text"] for plate in found] == ["XY34ZZZ"]
    corrected = client.correct(found[0]["plate_id"], "XY34ZZ2", by="kim")
    assert corrected["correction"]["machine_text"] == "XY34ZZZ"
    assert job_id in [p["job_id"] for p in client.search("XY34ZZZ", fuzzy=1)]
    files = client.download_pictures(job_id, tmp_path / "pictures")
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "001-AB12CDE-crop.jpg", "001-AB12CDE-frame.jpg", "002-XY34ZZ2-crop.jpg",
        "002-XY34ZZ2-frame.jpg", "003-___evil-crop.jpg", "003-___evil-frame.jpg",
        "unread-001-crop.jpg",
    ]  # fmt: skip
    assert files[0].read_bytes() == b"crop"
    client.export(job_id, tmp_path / "plates.csv")
    assert "XY34ZZ2" in (tmp_path / "plates.csv").read_text()
    client.export(job_id, tmp_path / "plates.jsonl", "jsonl")
    lines = (tmp_path / "plates.jsonl").read_text().splitlines()
    assert "XY34ZZ2" in [json.loads(row).get("text") for row in lines]


def test_the_asynchronous_client_gives_the_same(line: Line, tmp_path: Path) -> None:
    job_id = line.api.finished_job(TEXTS)

    async def ask() -> None:
        async with AsyncClient(line.to_api.url) as client:
            assert [plate["text"] async for plate in client.plates(job_id)] == TEXTS
            assert [job["job_id"] async for job in client.jobs(limit=1)]
            states: list[Any] = []
            job = await client.wait(job_id, states.append, seconds=60)
            assert job["status"] == states[-1]["status"] == "completed"
            assert len(await client.download_pictures(job_id, tmp_path)) == 6
            with pytest.raises(ClientError) as error:
                await client.export("none", tmp_path / "none.csv")
            assert error.value.status == 422
            assert not (tmp_path / "none.csv").exists()
            assert (await client.delete(job_id))["deleted"]["plates"] == 3
            with pytest.raises(ClientError) as error:
                await client.result(job_id)
            assert error.value.code == "job_not_found"

    asyncio.run(ask())


def test_waiting_ends_when_time_is_up(line: Line, client: Client) -> None:
    job_id = line.api.presign(filename="a.mp4")["job_id"]
    with pytest.raises(ClientError) as error:
        client.wait(job_id, seconds=0.2)
    assert error.value.code == "timeout"
