"""tus with the clients that people use, over a line that breaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.proxy import CuttingProxy

from .conftest import Api
from .test_tus import MIB, PART, URL, id_of, stored

CLIENTS = Path(__file__).parent.parent / "tus_clients"
SIZE = PART + 4 * MIB + 7
CUTS = [3 * MIB, 5 * MIB]


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the clients from npm installed."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("Node and npm are not installed here: the clients from npm are not tried")
    lock = CLIENTS / "package-lock.json"
    installed = CLIENTS / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        ran = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=CLIENTS, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        if ran.returncode != 0:
            pytest.skip(f"npm could not install the clients: {ran.stderr.strip()[-300:]}")
    return found


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "traffic.mp4"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture(params=["s3", "directory"])
def any_api(request: pytest.FixtureRequest) -> Api:
    """The API with S3, and the API without."""
    name = {"s3": "api", "directory": "api_without_s3"}[request.param]
    found: Api = request.getfixturevalue(name)
    return found


def check(api: Api, location: str, video: Path) -> None:
    """Asserts that the video arrived whole, once, with what the client said of it."""
    job_id = id_of(location)
    job = api.job(job_id)
    assert job["status"] == "pending"
    assert job["filename"] == "traffic.mp4"
    assert job["parameters"]["frame_skip"] == 2
    assert stored(api, job_id) == video.read_bytes()
    assert api.queued(job_id) == ["plan"]


@pytest.mark.parametrize("script", ["tus_js.mjs", "uppy.mjs"])
def test_clients_from_npm_go_on_after_cuts(
    any_api: Api, node: str, video: Path, script: str
) -> None:
    with CuttingProxy(any_api.url, CUTS).running() as proxy:
        ran = subprocess.run(
            [node, script, proxy.url + URL, str(video)],
            cwd=CLIENTS, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert proxy.made == len(CUTS)
    told = json.loads(ran.stdout)
    assert told["retries"] >= len(CUTS)
    check(any_api, told["url"], video)


ABOUT = {"filename": "traffic.mp4", "filetype": "video/mp4", "frame_skip": "2"}


@pytest.mark.parametrize("checked", [False, True])
def test_tuspy_goes_on_after_cuts(any_api: Api, video: Path, checked: bool) -> None:
    cuts = [MIB, 5 * MIB] if not checked else [MIB, 2 * MIB]
    with CuttingProxy(any_api.url, cuts).running() as proxy, video.open("rb") as file:
        uploader = TusClient(proxy.url + URL).uploader(
            file_stream=file,
            chunk_size=3 * MIB if checked else SIZE,
            metadata=ABOUT,
            retries=20,
            retry_delay=1,
            upload_checksum=checked,
        )
        uploader.upload()
        assert proxy.made == len(cuts)
    assert uploader.url is not None
    check(any_api, uploader.url, video)


def test_tuspy_goes_on_in_another_process(api: Api, video: Path) -> None:
    client = TusClient(api.url + URL)
    with CuttingProxy(api.url, [PART + 2 * MIB]).running() as proxy, video.open("rb") as file:
        first = TusClient(proxy.url + URL).uploader(
            file_stream=file, metadata=ABOUT, chunk_size=SIZE, retries=0
        )
        with pytest.raises(TusCommunicationError):
            first.upload()
    assert first.url is not None
    with video.open("rb") as file:
        second = client.uploader(file_stream=file, url=f"{api.url}{URL}/{id_of(first.url)}")
        assert second.offset > 0
        second.upload()
    check(api, first.url, video)
