"""Uploading on the page: large, over a bad line, and with the page closed in the middle."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from detect_api.local.stack import Stack
from tests.integration.conftest import Api
from tests.page.conftest import PATIENCE
from tests.page.video import pad_mp4
from tests.processing import Sample

Check = Callable[[str], None]
MIB = 1024 * 1024
LARGE = 300 * MIB
SMALLER = 48 * MIB


@pytest.fixture(scope="module")
def large_video(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "junction.mp4"
    pad_mp4(sample.path, path, LARGE)
    return path


@pytest.fixture(scope="module")
def smaller_video(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smaller") / "bridge.mp4"
    pad_mp4(sample.path, path, SMALLER)
    return path


class Line:
    """The browser's network: how fast it is, and whether it is there."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Network.enable")

    def set(self, *, mbytes_per_second: float = -1, cut: bool = False) -> None:
        upload = mbytes_per_second * MIB if mbytes_per_second > 0 else -1
        self._session.send(
            "Network.emulateNetworkConditions",
            {
                "offline": cut, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload,
            },
        )  # fmt: skip


def percent(bar: Locator) -> int:
    return int(bar.get_attribute("aria-valuenow") or 0)


def wait_for_percent(bar: Locator, least: int) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while percent(bar) < least:
        assert time.monotonic() < end, percent(bar)
        time.sleep(0.1)


@pytest.mark.timeout(600)
def test_a_large_upload_survives_two_cuts_and_a_reload_and_becomes_its_job(
    page: Page, large_video: Path, stack: Stack, sample: Sample
) -> None:
    stored: list[str] = []
    page.on(
        "requestfinished",
        lambda request: (
            stored.extend(parse_qs(urlsplit(request.url).query).get("partNumber", []))
            if request.method == "PUT"
            else None
        ),
    )
    page.goto("/")
    line = Line(page)
    line.set(mbytes_per_second=12)
    page.locator("#files").set_input_files(large_video)
    row = page.get_by_role("listitem").filter(has_text="junction.mp4")
    bar = row.get_by_role("progressbar")

    wait_for_percent(bar, 10)
    line.set(cut=True)
    expect(row).to_contain_text("Waiting")
    line.set(mbytes_per_second=12)
    wait_for_percent(bar, percent(bar) + 10)

    page.reload()
    expect(row).to_contain_text("Choose the file again to go on")
    row.locator("input[type=file]").set_input_files(large_video)
    expect(row).to_contain_text("Uploading")
    wait_for_percent(bar, 45)
    line.set(cut=True)
    expect(row).to_contain_text("Waiting")
    line.set()

    expect(row).to_contain_text("Done", timeout=4 * PATIENCE)
    expect(row).to_contain_text(f"{len(sample.plates)} plates")
    expect(page.get_by_role("heading", name="Uploads")).to_have_count(0)
    job_url = f"{stack.api_url}/jobs/{row.get_attribute('data-job')}"
    assert httpx.get(job_url).json()["file_size"] == LARGE
    httpx.delete(job_url, timeout=60)
    # Neither a cut nor the reload made it send a part that the store had already.
    assert stored
    assert len(stored) == len(set(stored))


def test_without_s3_an_upload_goes_on_after_a_cut_and_a_reload_where_the_server_has_it(
    page: Page, smaller_video: Path, fresh: Api, shoot: Check, audit: Check
) -> None:
    offsets: list[int] = []
    page.on(
        "request",
        lambda request: (
            offsets.append(int(request.headers["upload-offset"]))
            if request.method == "PATCH"
            else None
        ),
    )
    page.goto(fresh.url)
    line = Line(page)
    line.set(mbytes_per_second=3)
    page.locator("#files").set_input_files(smaller_video)
    row = page.get_by_role("listitem").filter(has_text="bridge.mp4")
    bar = row.get_by_role("progressbar")

    wait_for_percent(bar, 30)
    line.set(cut=True)
    expect(row).to_contain_text("Waiting")
    line.set(mbytes_per_second=3)
    wait_for_percent(bar, 60)
    assert offsets[-1] > 0

    page.reload()
    expect(row).to_contain_text("Choose the file again to go on")
    shoot("unfinished")
    audit("unfinished")
    line.set()
    row.locator("input[type=file]").set_input_files(smaller_video)
    expect(row).to_contain_text("Waiting for a worker")
    assert offsets[-1] > offsets[-2] > 0
    job_id = row.get_attribute("data-job")
    assert fresh.job(str(job_id))["file_size"] == SMALLER
    fresh.client.delete(f"/jobs/{job_id}")


def test_another_file_does_not_go_on_with_an_upload(
    page: Page, smaller_video: Path, fresh: Api, tmp_path: Path
) -> None:
    page.goto(fresh.url)
    line = Line(page)
    line.set(mbytes_per_second=4)
    page.locator("#files").set_input_files(smaller_video)
    row = page.get_by_role("listitem").filter(has_text="bridge.mp4")
    wait_for_percent(row.get_by_role("progressbar"), 5)
    page.reload()
    other = tmp_path / "bridge.mp4"
    other.write_bytes(b"another")
    row.locator("input[type=file]").set_input_files(other)
    expect(row).to_contain_text("a changed version of the file")
    row.get_by_role("button", name="Cancel the upload of bridge.mp4").click()
    expect(row).to_contain_text("Cancelled")
    page.reload()
    # It is over for good: what is left is its job, which says so.
    expect(row).to_contain_text("Cancelled")
    fresh.client.delete(f"/jobs/{row.get_attribute('data-job')}")


def test_a_paused_form_upload_begins_anew_and_leaves_no_upload_waiting(
    page: Page, smaller_video: Path, stack: Stack
) -> None:
    page.goto("/")
    line = Line(page)
    line.set(mbytes_per_second=0.5)
    page.locator("#files").set_input_files(smaller_video)
    row = page.get_by_role("listitem").filter(has_text="bridge.mp4")
    wait_for_percent(row.get_by_role("progressbar").first, 2)
    row.get_by_role("button", name="Pause bridge.mp4").click()
    expect(row).to_contain_text("Paused")
    resume = row.get_by_role("button", name="Resume bridge.mp4")
    expect(resume).to_be_focused()
    line.set()
    resume.click()
    row = row.filter(has_not_text="Cancelled")
    expect(row.get_by_role("link", name="bridge.mp4")).to_be_visible()
    expect(page.get_by_role("heading", name="Uploads")).to_have_count(0)
    jobs = httpx.get(f"{stack.api_url}/jobs", params={"name": "bridge.mp4"}).json()["jobs"]
    assert "awaiting_upload" not in {job["status"] for job in jobs}
    for job in jobs:
        httpx.delete(f"{stack.api_url}/jobs/{job['job_id']}", timeout=60)
