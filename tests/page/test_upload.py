"""Uploading on the page: large, over a bad line, and with the page closed in the middle."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from detect_api.local.stack import Stack
from tests.page.conftest import PATIENCE
from tests.page.video import pad_mp4
from tests.processing import Sample

MIB = 1024 * 1024
LARGE = 300 * MIB


@pytest.fixture(scope="module")
def large_video(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "junction.mp4"
    pad_mp4(sample.path, path, LARGE)
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


@pytest.mark.timeout(300)
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
    line.set(mbytes_per_second=40)
    page.locator("#files").set_input_files(large_video)
    row = page.get_by_role("listitem").filter(has_text="junction.mp4")
    bar = row.get_by_role("progressbar")

    wait_for_percent(bar, 10)
    line.set(cut=True)
    expect(row).to_contain_text("Waiting")
    line.set(mbytes_per_second=40)
    wait_for_percent(bar, percent(bar) + 10)

    page.reload()
    expect(row).to_contain_text("Choose the file again to go on")
    row.locator("input[type=file]").set_input_files(large_video)
    expect(row).to_contain_text("Uploading")
    wait_for_percent(bar, 45)
    line.set(cut=True)
    expect(row).to_contain_text("Waiting")
    line.set()

    expect(row).to_contain_text("Done", timeout=2 * PATIENCE)
    expect(row).to_contain_text(f"{len(sample.plates)} plates")
    expect(page.get_by_role("heading", name="Uploads")).to_have_count(0)
    job = httpx.get(f"{stack.api_url}/jobs/{row.get_attribute('data-job')}").json()
    assert job["file_size"] == LARGE
    # Neither a cut nor the reload made it send a part that the store had already.
    assert stored
    assert len(stored) == len(set(stored))
