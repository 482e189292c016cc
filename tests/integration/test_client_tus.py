"""The Python client by tus, against an API without S3, over lines that do harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detect_api.client import AsyncClient, Client, ClientError, Upload
from tests.integration.conftest import Api
from tests.integration.lines import MIB, Line, digest
from tests.proxy import CuttingProxy

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def module_line(api_without_s3: Api) -> Iterator[Line]:
    with CuttingProxy(api_without_s3.url).running() as proxy:
        yield Line(api_without_s3, proxy, proxy)


@pytest.fixture
def line(module_line: Line) -> Line:
    module_line.to_api.reset()
    return module_line


def upload_with(kind: str, line: Line, tmp_path: Path, video: Path, **more: Any) -> Upload:
    """The same upload by either client."""
    state = tmp_path / "state"
    if kind == "Client":
        with Client(line.to_api.url, state=state) as client:
            return client.upload(video, **more)

    async def run() -> Upload:
        async with AsyncClient(line.to_api.url, state=state) as client:
            return await client.upload(video, **more)

    return asyncio.run(run())


def assert_arrived(line: Line, found: Upload, video: Path) -> dict[str, Any]:
    job = line.api.job(found.job_id)
    assert found.method == "tus"
    assert found.processing
    assert job["file_size"] == video.stat().st_size
    assert line.api.queued(found.job_id), "it waits for a worker"
    assert line.stored(found.s3_key or "") == digest(video)
    return job


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_without_s3_a_large_video_goes_by_tus_over_cut_connections(
    kind: str, line: Line, tmp_path: Path, video: Path
) -> None:
    line.to_api.cuts = [5 * MIB, MIB, 300]
    seen: list[tuple[int, int]] = []
    found = upload_with(
        kind, line, tmp_path, video,
        parameters={"frame_skip": 3}, on_progress=lambda *counts: seen.append(counts),
    )  # fmt: skip
    assert line.to_api.made == 3
    assert assert_arrived(line, found, video)["parameters"]["frame_skip"] == 3
    assert seen[-1] == (video.stat().st_size, video.stat().st_size)
    assert line.to_api.received < 2 * video.stat().st_size, "it went on where it was"
    assert not list((tmp_path / "state").iterdir())


def break_off(line: Line, tmp_path: Path, video: Path) -> str:
    """Interrupts an upload past its first half; returns its id."""
    line.to_api.pause = 0.002
    with Client(line.to_api.url, state=tmp_path / "state") as client:

        def stop(sent: int, total: int) -> None:
            if sent > total // 2:
                client.interrupt()

        with pytest.raises(ClientError) as error:
            client.upload(video, on_progress=stop)
    assert error.value.code == "interrupted"
    line.to_api.reset()
    (file,) = (tmp_path / "state").glob("*.json")
    key: str = json.loads(file.read_text())["key"]
    return key


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_another_process_goes_on_by_tus(kind: str, line: Line, tmp_path: Path, video: Path) -> None:
    job_id = break_off(line, tmp_path, video)
    found = upload_with(kind, line, tmp_path, video)
    assert found.job_id == job_id
    assert_arrived(line, found, video)
    assert line.to_api.received < video.stat().st_size - 4 * MIB


def test_an_upload_by_tus_that_is_gone_or_not_wanted_starts_anew(
    line: Line, tmp_path: Path, video: Path
) -> None:
    first = break_off(line, tmp_path, video)
    with Client(line.to_api.url) as client:
        client.cancel(first)
    second = break_off(line, tmp_path, video)
    assert second != first
    third = upload_with("Client", line, tmp_path, video, resume=False)
    assert third.job_id != second
    assert_arrived(line, third, video)
    assert line.api.job(second)["status"] == "cancelled"


def test_who_was_killed_before_the_first_answer_finds_the_upload_again(
    line: Line, tmp_path: Path, video: Path
) -> None:
    job_id = break_off(line, tmp_path, video)
    (file,) = (tmp_path / "state").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "upload_id": None}))
    found = upload_with("Client", line, tmp_path, video)
    assert found.job_id == job_id
    assert_arrived(line, found, video)
    assert line.to_api.received < video.stat().st_size - 4 * MIB


def test_the_last_answer_may_be_lost(line: Line, tmp_path: Path, video: Path) -> None:
    with CuttingProxy(line.api.url, answers=True).running() as proxy:

        def cut(sent: int, total: int) -> None:
            if sent == total and not proxy.made:
                proxy.cuts = [1]

        with Client(proxy.url, state=tmp_path / "state") as client:
            found = client.upload(video, on_progress=cut)
        assert proxy.made == 1
    assert_arrived(line, found, video)


def test_tus_may_be_chosen_where_s3_is_on(line: Line, api: Api, tmp_path: Path) -> None:
    video = tmp_path / "small.mp4"
    video.write_bytes(bytes(MIB))
    with Client(api.url, state=tmp_path / "state") as client:
        found = client.upload(video, method="tus")
    assert found.method == "tus"
    assert found.s3_key in api.objects()
