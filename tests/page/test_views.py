"""What a person finds on the page: the first look, the list of videos, keys and themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.integration.conftest import Api
from tests.page.conftest import PATIENCE
from tests.processing import Sample

Check = Callable[[str], None]


@pytest.fixture
def listed(fresh: Api) -> Iterator[list[str]]:
    """Four jobs, the first one last; gone afterwards."""
    ids = [fresh.finished_job(["AB12CDE", "XY34ZZZ"], unread=1) for _ in range(4)]
    yield ids
    for job_id in ids:
        fresh.client.delete(f"/jobs/{job_id}")


def test_a_newcomer_is_told_what_to_do(page: Page, fresh: Api, shoot: Check, audit: Check) -> None:
    page.goto(fresh.url)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Read the number plates")
    expect(page.get_by_role("button", name="Choose videos")).to_be_enabled()
    expect(page.get_by_role("button", name="Try the sample")).to_be_visible()
    shoot("welcome")
    audit("welcome")


def test_the_sample_is_one_click_away(page: Page, fresh: Api) -> None:
    page.goto(fresh.url)
    page.get_by_role("button", name="Try the sample").click()
    row = page.locator("li.row").filter(has_text="sample.mp4")
    expect(row).to_contain_text("Waiting for a worker", timeout=2 * PATIENCE)
    fresh.client.delete(f"/jobs/{row.get_attribute('data-job')}")


def test_the_list_is_searched_and_a_job_deleted_only_after_a_warning(
    page: Page, fresh: Api, listed: list[str], shoot: Check, audit: Check
) -> None:
    page.goto(fresh.url)
    rows = page.locator("li.row").filter(has_text="a.mp4")
    expect(rows).to_have_count(len(listed))
    expect(rows.first).to_contain_text("2 plates")
    shoot("videos")
    audit("videos")

    page.get_by_label("Name contains").fill("nothing like it")
    expect(rows).to_have_count(0)
    expect(page.get_by_text("Nothing matches the filter.")).to_be_visible()
    page.get_by_label("Name contains").fill("A.MP")
    expect(rows).to_have_count(len(listed))
    page.get_by_label("State").select_option("failed")
    expect(rows).to_have_count(0)
    page.get_by_label("State").select_option("")
    expect(rows).to_have_count(len(listed))

    doomed = page.locator(f'li[data-job="{listed[-1]}"]')
    remove = doomed.get_by_role("button", name="Delete a.mp4")
    remove.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 plates")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    shoot("delete")
    audit("delete")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(remove).to_be_focused()
    assert fresh.client.get(f"/jobs/{listed[-1]}").status_code == 200

    remove.click()
    page.get_by_role("button", name="Delete for good").click()
    expect(doomed).to_have_count(0)
    assert fresh.client.get(f"/jobs/{listed[-1]}").status_code == 404


def test_a_file_that_is_no_video_is_refused_by_name(page: Page, fresh: Api, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no video")
    page.goto(fresh.url)
    expect(page.get_by_role("button", name="Choose videos")).to_be_enabled()
    page.locator("#files").set_input_files(notes)
    row = page.get_by_role("listitem").filter(has_text="notes.txt")
    expect(row).to_contain_text("not a video that can be read")
    row.get_by_role("button", name="Dismiss notes.txt").click()
    expect(row).to_have_count(0)


def test_without_s3_a_video_goes_through_the_api_and_waits_for_a_worker(
    page: Page, fresh: Api, sample: Sample
) -> None:
    page.goto(fresh.url)
    expect(page.get_by_role("button", name="Choose videos")).to_be_enabled()
    page.locator("#files").set_input_files(sample.path)
    row = page.get_by_role("listitem").filter(has_text="sample.mp4")
    expect(row).to_contain_text("Waiting for a worker")
    expect(page.get_by_role("heading", name="Uploads")).to_have_count(0)
    job_id = row.get_attribute("data-job")
    row.get_by_role("button", name="Cancel sample.mp4").click()
    expect(row).to_contain_text("Cancelled")
    assert fresh.job(str(job_id))["status"] == "cancelled"
    fresh.client.delete(f"/jobs/{job_id}")


def test_everything_is_reached_with_the_keyboard(page: Page, fresh: Api, listed: list[str]) -> None:
    page.goto(fresh.url)
    expect(page.locator("li.row").filter(has_text="a.mp4")).to_have_count(len(listed))
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('aria-label') "
                                     "?? document.activeElement.textContent.trim()"))  # fmt: skip
    for name in ("Skip to the content", "Search", "Choose videos", "Delete a.mp4"):
        assert name in reached, (name, reached)


def test_a_chosen_theme_stays(page: Page, fresh: Api) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(fresh.url)
    switch = page.get_by_role("button", name="Theme:")
    switch.click()
    switch.click()
    dark = "getComputedStyle(document.documentElement).colorScheme"
    assert page.evaluate(dark) == "dark"
    page.reload()
    expect(switch).to_be_visible()
    assert page.evaluate(dark) == "dark"


def test_an_unknown_address_leads_back(page: Page, fresh: Api, audit: Check) -> None:
    page.goto(f"{fresh.url}/#/nowhere/at/all")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    audit("unknown")
    page.get_by_role("link", name="Back to the videos").click()
    expect(page.get_by_role("button", name="Choose videos")).to_be_visible()
