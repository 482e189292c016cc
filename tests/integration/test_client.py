"""The Python client against a real API and real storage, over lines that do harm."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from detect_api.client import AsyncClient, Client, ClientError, Upload
from detect_api.client.options import Method
from detect_api.db.tables import Job
from tests.integration.conftest import Api, serve
from tests.integration.lines import Line, digest, line_to

pytestmark = pytest.mark.timeout(300)

MIB = 2**20
METHOD = "s3-multipart"


@pytest.fixture
def client(line: Line, tmp_path: Path) -> Iterator[Client]:
    with Client(line.to_api.url, state=tmp_path / "state") as found:
        yield found


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
    line.to_store.cuts = [3 * MIB, 1 * MIB, 5 * MIB, 100_000]
    line.to_api.cuts = [300, 1500]
    found = upload_with(kind, line, tmp_path, video, auto_process=False)
    assert line.to_store.made == 4
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.to_store.received < video.stat().st_size + 4 * 9 * MIB


def test_storage_refuses_a_damaged_part_and_it_is_sent_again(
    client: Client, line: Line, video: Path
) -> None:
    line.to_store.damages = [2 * MIB, 3 * MIB]
    found = client.upload(video, auto_process=False)
    assert line.to_store.damaged == 2
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.to_store.received > video.stat().st_size + 3 * MIB, "a part went again"


def test_addresses_that_expire_on_a_slow_line_are_signed_anew(
    line: Line, tmp_path: Path, video: Path
) -> None:
    with line_to(line.settings.model_copy(update={"s3_upload_expiration": 1})) as slow:
        slow.to_store.pause = 0.01  # a part takes more than a second
        with Client(slow.to_api.url, state=tmp_path / "state") as client:
            found = client.upload(video, auto_process=False, parallel=1)
        assert found.s3_key is not None
        assert slow.stored(found.s3_key) == digest(video)


def test_an_api_that_is_started_again_meanwhile_does_no_harm(
    line: Line, client: Client, video: Path
) -> None:
    line.to_store.pause = 0.002

    def restart(_sent: int, _total: int) -> None:
        line.to_api.point_at(other.url)
        line.to_api.hang_up(1.0)

    with contextmanager(serve)(line.settings) as other:
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


def break_off(line: Line, tmp_path: Path, video: Path) -> str:
    """Interrupts an upload when its first part is there; returns its id."""
    line.to_store.pause = 0.002
    with Client(line.to_api.url, state=tmp_path / "state") as client:
        stop = _once(lambda _sent, _total: client.interrupt())
        with pytest.raises(ClientError) as error:
            client.upload(video, auto_process=False, parallel=1, on_progress=stop)
    assert error.value.code == "interrupted"
    return _forget_the_line(line, tmp_path)


def _forget_the_line(line: Line, tmp_path: Path) -> str:
    line.to_store.hang_up()
    line.to_store.reset()
    (file,) = (tmp_path / "state").glob("*.json")
    upload_id: str = json.loads(file.read_text())["upload_id"]
    return upload_id


def kill_in_the_middle(line: Line, tmp_path: Path, video: Path) -> str:
    """Has a process upload and kills it; returns the id of its upload."""
    line.to_store.pause = 0.005
    process = start(line, tmp_path, video)
    end = time.monotonic() + 60
    while line.to_store.received < 10 * MIB:
        assert process.poll() is None, "it was not to end by itself"
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    return _forget_the_line(line, tmp_path)


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_another_process_sends_only_what_is_missing(
    kind: str, line: Line, tmp_path: Path, video: Path
) -> None:
    leave = kill_in_the_middle if kind == "Client" else break_off
    upload_id = leave(line, tmp_path, video)
    seen: list[int] = []
    found = upload_with(
        kind, line, tmp_path, video, auto_process=False, on_progress=lambda n, _: seen.append(n)
    )
    assert found.job_id == upload_id
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.to_store.received < video.stat().st_size - 7 * MIB
    assert seen[0] >= 8 * MIB, "progress begins with what is there already"
    assert not state_files(tmp_path)


def test_who_was_killed_before_the_first_answer_gets_the_same_upload(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    upload_id = break_off(line, tmp_path, video)
    (file,) = (tmp_path / "state").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "upload_id": None}))
    kept = file.read_text()
    assert client.upload(video, auto_process=False).job_id == upload_id
    upload_id = break_off(line, tmp_path, video)
    known = {**json.loads(file.read_text()), "upload_id": None}
    assert known["key"] not in kept
    file.write_text(json.dumps(known))
    client.cancel(upload_id)
    found = client.upload(video, auto_process=False)
    assert found.job_id != upload_id, "the server gives the cancelled one again: that is not used"
    assert line.api.job(found.job_id)["status"] == "uploaded"


def test_a_file_that_was_changed_starts_anew(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    upload_id = break_off(line, tmp_path, video)
    video.write_bytes(video.read_bytes()[::-1])
    found = client.upload(video, auto_process=False)
    assert found.job_id != upload_id
    assert found.s3_key is not None
    assert line.stored(found.s3_key) == digest(video)
    assert line.api.job(upload_id)["status"] == "cancelled", "the other one is given up"


def test_without_resuming_or_with_a_broken_state_file_it_starts_anew(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    first = break_off(line, tmp_path, video)
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
    upload_id = break_off(line, tmp_path, video)
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


def test_a_cancelled_task_leaves_what_is_needed_to_go_on(
    line: Line, client: Client, tmp_path: Path, video: Path
) -> None:
    line.to_store.pause = 0.002

    async def cancelled() -> None:
        going = asyncio.Event()
        async with AsyncClient(line.to_api.url, state=tmp_path / "state") as other:
            task = asyncio.ensure_future(
                other.upload(video, auto_process=False, on_progress=lambda *_: going.set())
            )
            await asyncio.wait_for(going.wait(), 60)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()

    asyncio.run(cancelled())
    upload_id = _forget_the_line(line, tmp_path)
    assert client.upload(video, auto_process=False).job_id == upload_id


# -- the other ways -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_a_small_video_goes_in_one_form_and_is_sent_again_if_cut(
    kind: str, line: Line, tmp_path: Path
) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(os.urandom(2 * MIB))
    line.to_store.cuts = [MIB]
    found = upload_with(kind, line, tmp_path, video, parameters={"min_confidence": 0.25})
    assert found.method == "s3"
    assert line.to_store.made == 1
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


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
@pytest.mark.parametrize("method", get_args(Method))
def test_whoever_is_to_be_told_is_named_to_the_server_on_every_way(
    telling_api: Api, tmp_path: Path, method: Method, kind: str
) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(os.urandom(MIB))
    url = "https://example.com/plates-are-there"

    async def run() -> Upload:
        async with AsyncClient(telling_api.url, state=tmp_path / "state") as client:
            return await client.upload(video, method=method, webhook_url=url)

    if kind == "AsyncClient":
        found = asyncio.run(run())
    else:
        with Client(telling_api.url, state=tmp_path / "state") as client:
            found = client.upload(video, method=method, webhook_url=url)
    with telling_api.parts.sessions() as session:
        job = session.get(Job, uuid.UUID(found.job_id))
    assert job is not None
    assert (job.type, job.parameters["webhook_url"]) == ("video", url)


def test_a_server_that_tells_nobody_says_so(client: Client, tmp_path: Path) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(os.urandom(MIB))
    with pytest.raises(ClientError) as error:
        client.upload(video, webhook_url="https://example.com/")
    assert error.value.code == "webhooks_unavailable"
    with pytest.raises(ClientError) as error:
        client.upload(video, webhook_url="https://example.com/", auto_process=False)
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
    text.rename(tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ClientError) as error:
        client.upload(tmp_path / "empty.mp4")
    assert error.value.code == "empty_file"


def test_a_name_that_is_no_text_is_sent_all_the_same(
    line: Line, client: Client, tmp_path: Path
) -> None:
    video = Path(os.fsdecode(os.fsencode(tmp_path) + b'/caf\xe9 "1".mp4'))
    video.write_bytes(os.urandom(MIB))
    found = client.upload(video)
    assert line.stored(found.s3_key or "") == digest(video)


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
