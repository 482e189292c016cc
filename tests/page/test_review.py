"""Looking at plates on the page: boxes in step with the video, jumps, corrections, search."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from pydantic import SecretStr
from sqlalchemy import insert

from detect_api.client import Client
from detect_api.core import plate_text
from detect_api.db.tables import Job, Plate
from detect_api.local.stack import Stack
from tests.conftest import make_settings
from tests.integration.conftest import Api, plate_details, serve
from tests.page.conftest import PATIENCE
from tests.processing import EVERY_OTHER, Sample, ended

pytestmark = pytest.mark.timeout(300)

Check = Callable[[str], None]

MANY = 10_000

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def job_id(stack: Stack, sample: Sample) -> str:
    """The sample as a job that has completed."""
    with Client(stack.api_url) as client:
        created: str = client.process(sample.path, EVERY_OTHER)["job_id"]
        assert ended(client, created)["status"] == "completed"
    return created


@pytest.fixture(scope="module")
def alone(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API without S3 and without workers: videos are played through it."""
    folder: Path = tmp_path_factory.mktemp("review")
    yield from serve(make_settings(enable_s3=False, database_url=database_url, data_dir=folder))


def open_review(page: Page, base: str, job_id: str, query: str = "") -> None:
    page.goto(f"{base}/#/jobs/{job_id}{query}")
    expect(page.locator(".plates .pass").first).to_be_visible()


def wait_for_video(page: Page) -> None:
    until(page, "() => document.querySelector('video')?.readyState >= 2")


def until(page: Page, condition: str) -> None:
    """Waits for a condition. Playwright's own way evaluates strings, which the policy forbids."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def row_of(page: Page, text: str) -> Locator:
    return page.locator(".plates .pass").filter(has_text=text)


def mark_of(page: Page, text: str) -> Locator:
    """The box of a plate over the video."""
    return page.locator(".mark").filter(has_text=text).locator(".mark-frame")


def in_video(page: Page, box: Locator) -> list[float]:
    """Where on the screen a box is, in pixels of the video."""
    found: list[float] = box.evaluate(
        """(box) => {
             const video = document.querySelector("video, .still-picture").getBoundingClientRect();
             const svg = document.querySelector("svg.overlay").viewBox.baseVal;
             const scale = Math.min(video.width / svg.width, video.height / svg.height);
             const left = video.x + (video.width - svg.width * scale) / 2;
             const top = video.y + (video.height - svg.height * scale) / 2;
             // Of a stroke that is 3.5 pixels wide, half lies outside.
             const shape = box.getBBox(), matrix = box.getScreenCTM();
             const at = (x, y) => new DOMPoint(x, y).matrixTransform(matrix);
             const a = at(shape.x, shape.y), b = at(shape.x + shape.width, shape.y + shape.height);
             return [a.x - left, a.y - top, b.x - left, b.y - top].map((side) => side / scale);
           }"""
    )
    return found


def clock(seconds: float) -> str:
    """A moment of the first minute as the page writes it."""
    return f"0:{seconds:05.2f}"


def sides(best: dict[str, Any]) -> list[float]:
    return [best["bbox"][side] for side in ("x1", "y1", "x2", "y2")]


def frame_of(sample: Sample, number: int) -> NDArray[np.uint8]:
    with av.open(str(sample.path)) as container:
        for at, frame in enumerate(container.decode(video=0)):
            if at == number:
                return frame.to_ndarray(format="rgb24").astype(np.uint8)
    raise AssertionError(number)


# -- the video ------------------------------------------------------------------------------


def test_a_click_jumps_to_the_frame_and_the_box_is_over_the_plate(
    page: Page, stack: Stack, job_id: str, sample: Sample, reference: dict[str, Any], audit: Check,
    shoot: Check,
) -> None:  # fmt: skip
    open_review(page, stack.api_url, job_id)
    wait_for_video(page)
    for plate in (reference["plates"][0], reference["plates"][-1]):
        row_of(page, plate["text"]).locator(".pass-jump").click()
        expect(mark_of(page, plate["text"])).to_be_visible()
        expect(page.locator(".clock b")).to_have_text(clock(plate["best"]["seconds"]))
        until(page, "() => !document.querySelector('video').seeking")
        x1, y1, x2, y2 = found = in_video(page, mark_of(page, plate["text"]))
        assert found == pytest.approx(sides(plate["best"]), abs=0.6)
        # What is shown there is what the pipeline saw there.
        page.evaluate("document.querySelector('svg.overlay').style.visibility = 'hidden'")
        shown = Image.open(io.BytesIO(page.locator("video").screenshot())).convert("RGB")
        page.evaluate("document.querySelector('svg.overlay').style.visibility = ''")
        truth = Image.fromarray(frame_of(sample, plate["best"]["frame"]))
        place = (int(x1), int(y1), int(x2), int(y2))
        one, two = (np.asarray(i.resize(truth.size).crop(place), int) for i in (shown, truth))
        assert np.abs(one - two).mean() < 25
    expect(page.locator(".pass.selected")).to_have_count(1)
    expect(page.locator(".pass.selected")).to_contain_text(reference["plates"][-1]["text"])
    shoot("review")
    audit("review")


PLAYED = """(count) => new Promise((done) => {
  const video = document.querySelector("video"), seen = [];
  const look = (_now, { mediaTime }) => {
    const marks = [...document.querySelectorAll(".mark")].filter((m) => m.style.display !== "none");
    seen.push([mediaTime, Object.fromEntries(marks.map((mark) => {
      const box = mark.querySelector(".mark-frame");
      return [mark.querySelector("text").textContent,
              ["x", "y", "width", "height"].map((name) => Number(box.getAttribute(name)))];
    }))]);
    if (seen.length < count && !video.ended) video.requestVideoFrameCallback(look);
    else { video.pause(); done(seen); }
  };
  video.requestVideoFrameCallback(look);
})"""


def test_boxes_run_in_step_with_the_frames(page: Page, stack: Stack, job_id: str) -> None:
    tracks = httpx.get(f"{stack.api_url}/jobs/{job_id}/tracks", timeout=60).json()["tracks"]
    open_review(page, stack.api_url, job_id)
    wait_for_video(page)
    expect(page.locator(".mark").first).to_be_attached()
    page.keyboard.press("Space")
    seen = page.evaluate(PLAYED, 30)
    assert len(seen) > 10
    checked = 0
    for seconds, marks in seen:
        for track in tracks:
            box = where(track, seconds)
            if box is None:
                assert track["text"] not in marks, (track["text"], seconds)
            else:
                x, y, width, height = marks[track["text"]]
                assert [x, y, x + width, y + height] == pytest.approx(box, abs=0.2)
                checked += 1
    assert checked > 10
    # What is in the picture is what is selected in the table.
    now = {track["text"] for track in tracks if where(track, seen[-1][0])}
    assert page.locator(".pass.selected .pass-text").inner_text() in now


def where(track: dict[str, Any], seconds: float) -> list[float] | None:
    """A track's box in a frame: where it was seen, or on the line between two such places."""
    times = track["seconds"]
    if not times[0] - 0.01 < seconds < times[-1] + 0.01:
        return None
    box = [np.interp(seconds, times, [b[side] for b in track["boxes"]]) for side in range(4)]
    return [float(side) for side in box]


def test_keys_step_by_frames_and_go_from_plate_to_plate(
    page: Page, stack: Stack, job_id: str, reference: dict[str, Any]
) -> None:
    open_review(page, stack.api_url, job_id)
    wait_for_video(page)
    shown = page.locator(".clock b")
    first, second = reference["plates"][:2]
    page.keyboard.press("]")
    expect(page.locator(".pass.selected")).to_have_count(1)
    row_of(page, first["text"]).locator(".pass-jump").click()
    expect(shown).to_have_text(clock(first["best"]["seconds"]))
    page.keyboard.press(".")
    expect(shown).to_have_text(clock(first["best"]["seconds"] + 1 / 12))
    page.keyboard.press(",")
    page.keyboard.press(",")
    expect(shown).to_have_text(clock(first["best"]["seconds"] - 1 / 12))
    page.keyboard.press("]")
    expect(page.locator(".pass.selected")).to_contain_text(second["text"])
    expect(shown).to_have_text(clock(second["best"]["seconds"]))
    page.locator(".timeline").focus()
    page.keyboard.press("Home")
    expect(shown).to_have_text("0:00.00")
    page.keyboard.press("Shift+>")
    expect(page.get_by_label("Speed")).to_have_value("1.5")


def test_a_mark_on_the_timeline_is_a_plate(
    page: Page, stack: Stack, job_id: str, reference: dict[str, Any]
) -> None:
    open_review(page, stack.api_url, job_id)
    wait_for_video(page)
    plate = reference["plates"][1]
    line = page.locator(".timeline")
    box = line.bounding_box()
    assert box is not None
    length = page.evaluate("document.querySelector('video').duration")
    line.click(position={"x": plate["best"]["seconds"] / length * box["width"], "y": 15})
    expect(page.locator(".pass.selected")).to_contain_text(plate["text"])


def test_marks_have_the_colour_of_their_confidence_also_without_motion(
    page: Page, alone: Api, sample: Sample
) -> None:
    created = alone.finished_job(["AB12CDE", "XY34ZZZ"])
    give_video(alone, created, sample.path.read_bytes(), ABOUT)
    with alone.parts.sessions.begin() as session:
        for plate in session.query(Plate).filter_by(job_id=uuid.UUID(created)):
            seconds, confidence = (2.0, 0.99) if plate.text == "AB12CDE" else (6.0, 0.55)
            best = {**plate.details["best"], "seconds": seconds}
            plate.details = {**plate.details, "confidence": confidence, "best": best}
    page.emulate_media(reduced_motion="reduce", color_scheme="light")
    open_review(page, alone.url, created)
    wait_for_video(page)
    for seconds, colour in ((2.0, [20, 115, 63]), (6.0, [179, 38, 30])):
        until(
            page,
            f"""() => {{
              const canvas = document.querySelector(".timeline canvas");
              const x = Math.min(canvas.width - 1, {seconds / 8} * canvas.width + 1);
              const found = canvas.getContext("2d").getImageData(x, 15, 1, 1).data;
              return {colour}.every((part, i) => Math.abs(part - found[i]) < 12);
            }}""",
        )


def test_plates_appear_while_the_job_runs(
    page: Page, stack: Stack, client: Client, sample: Sample
) -> None:
    created = client.process(sample.path, EVERY_OTHER)
    page.goto(f"{stack.api_url}/#/jobs/{created['job_id']}")
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(page.locator(".plates .pass")).to_have_count(len(sample.plates))
    expect(page.locator(".review-title .tag")).to_have_text("done")
    wait_for_video(page)
    row_of(page, sample.plates[0]).locator(".pass-jump").click()
    expect(mark_of(page, sample.plates[0])).to_be_visible()


# -- corrections and search -----------------------------------------------------------------


def test_a_reading_is_corrected_in_place_and_the_machines_stays_visible(
    page: Page, stack: Stack, client: Client, job_id: str, sample: Sample
) -> None:
    read = sample.plates[1]
    wrong = f"{read[:-1]}{'B' if read[-1] != 'B' else 'C'}"
    open_review(page, stack.api_url, job_id)
    wait_for_video(page)
    field = page.get_by_role("textbox", name="Correct text of")

    row_of(page, read).locator(".pass-jump").click()
    page.keyboard.press("e")
    expect(field).to_be_focused()
    field.fill("NEVER")
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(row_of(page, read)).to_have_count(1)

    row_of(page, read).get_by_role("button", name=f"Correct {read}").click()
    field.fill("§")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("letters A to Z and digits")
    field.fill(f" {wrong.lower()[:4]} {wrong.lower()[4:]}")
    page.keyboard.press("Enter")
    corrected = row_of(page, wrong)
    expect(corrected).to_contain_text(f"read {read}")
    expect(corrected).to_contain_text("by hand")
    expect(corrected.locator(".pass-jump")).to_be_focused()
    expect(mark_of(page, wrong)).to_be_visible()
    stored = {plate["text"]: plate for plate in client.result(job_id)["plates"]}
    assert stored[wrong]["correction"]["machine_text"] == read

    page.reload()
    expect(corrected).to_contain_text(f"read {read}")
    corrected.get_by_role("button", name=f"Take back read {read}").click()
    expect(row_of(page, wrong)).to_have_count(0)
    assert read in [plate["text"] for plate in client.result(job_id)["plates"]]


def test_a_candidate_is_taken_by_a_click(page: Page, alone: Api) -> None:
    created = alone.finished_job(["AB12CDE"])
    with alone.parts.sessions.begin() as session:
        (plate,) = session.query(Plate).filter_by(job_id=uuid.UUID(created))
        details = plate_details("AB12CDE", 0)
        details["candidates"].append({"text": "A812CDE", "confidence": 0.08})
        plate.details = details
    open_review(page, alone.url, created)
    page.get_by_role("button", name="Correct to A812CDE").click()
    expect(page.locator(".pass-text")).to_have_text("A812CDE")
    found = alone.client.get(f"/jobs/{created}/plates").json()["plates"][0]
    assert (found["text"], found["correction"]["machine_text"]) == ("A812CDE", "AB12CDE")


def test_a_search_with_a_wrong_letter_leads_to_the_moment(
    page: Page, stack: Stack, job_id: str, sample: Sample, reference: dict[str, Any], audit: Check,
    shoot: Check,
) -> None:  # fmt: skip
    plate = reference["plates"][2]
    asked = f"{plate['text'][:2]}8{plate['text'][3:]}"
    page.goto(f"{stack.api_url}/#/search")
    page.get_by_label("Plate").fill(asked)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No plate fits.")).to_be_visible()
    page.get_by_role("link", name="Allow a wrong letter").click()
    hit = page.locator(f".result[href*='{job_id}']")
    expect(hit).to_contain_text("sample.mp4")
    expect(hit.locator("mark")).to_have_text(plate["text"][2])
    shoot("search")
    audit("search")
    hit.click()
    expect(page.locator(".pass.selected")).to_contain_text(plate["text"])
    expect(page.locator(".clock b")).to_have_text(clock(plate["best"]["seconds"]))
    expect(mark_of(page, plate["text"])).to_be_visible()

    page.goto(f"{stack.api_url}/#/search?text={plate['text'][:2]}%3F*&to=2020-01-01")
    expect(page.get_by_text("No plate fits.")).to_be_visible()
    page.goto(f"{stack.api_url}/#/search?text={plate['text'][:2]}%3F*")
    expect(hit).to_be_visible()


# -- what is special ------------------------------------------------------------------------


ABOUT = {
    "container": "mp4", "codec": "h264", "width": 960, "height": 540, "fps": 12.0,
    "duration_seconds": 8.0, "total_frames": 96,
}  # fmt: skip


def give_video(alone: Api, job_id: str, body: bytes, video: dict[str, Any] | None = None) -> None:
    """Puts the video of a made-up job into storage."""
    key = f"videos/{job_id}.mp4"
    alone.parts.store.put(key, body, "video/mp4")
    with alone.parts.sessions.begin() as session:
        job = session.get_one(Job, uuid.UUID(job_id))
        job.object_etag = alone.parts.store.head(key).etag
        job.video = video


def test_what_was_not_read_stands_apart_with_its_reason_in_words(
    page: Page, alone: Api, sample: Sample, audit: Check
) -> None:
    created = alone.finished_job(["AB12CDE"], unread=2)
    give_video(alone, created, sample.path.read_bytes(), ABOUT)
    open_review(page, alone.url, created)
    wait_for_video(page)
    section = page.get_by_role("region", name="Not read 2")
    expect(section.locator(".pass").first).to_contain_text("Blurred: no frame shows it sharply")
    section.locator(".pass-jump").first.click()
    expect(page.locator(".mark.unread.selected")).to_contain_text("not read")
    expect(page.locator(".clock b")).to_have_text("0:00.17")
    audit("unread")


def test_a_video_that_the_browser_cannot_play_is_told_and_shown_in_pictures(
    page: Page, alone: Api, sample: Sample
) -> None:
    created = alone.finished_job(["AB12CDE", "XY34ZZZ"])
    about = {**ABOUT, "container": "avi", "codec": "mpeg4"}
    give_video(alone, created, b"RIFF no video that a browser knows", about)
    picture = io.BytesIO()
    Image.fromarray(frame_of(sample, 0)).save(picture, "JPEG")
    for number in range(2):
        key = f"videos/evidence/{created}/{number}-frame.jpg"
        alone.parts.store.put(key, picture.getvalue(), "image/jpeg")
    open_review(page, alone.url, created)
    expect(page.get_by_text("This browser cannot play the video (AVI with MPEG4)")).to_be_visible()
    row_of(page, "XY34ZZZ").locator(".pass-jump").click()
    expect(page.get_by_alt_text("The frame in which XY34ZZZ was read")).to_be_visible()
    expect(mark_of(page, "XY34ZZZ")).to_be_visible()
    assert in_video(page, mark_of(page, "XY34ZZZ")) == pytest.approx([1, 2, 30, 12], abs=0.6)

    alone.parts.store.delete(f"videos/{created}.mp4")
    page.reload()
    expect(page.get_by_text("The video was deleted from storage.")).to_be_visible()


def test_ten_thousand_plates_stay_fluid(page: Page, alone: Api, sample: Sample) -> None:
    created = alone.finished_job([])
    give_video(alone, created, sample.path.read_bytes())
    with alone.parts.sessions.begin() as session:
        session.execute(
            insert(Plate),
            [
                {
                    "id": uuid.uuid4(), "job_id": uuid.UUID(created), "track_id": n,
                    "text": f"A{n:05}Z", "read_text": f"A{n:05}Z", "first_frame": n,
                    "confidence": 0.9, "details": plate_details(f"A{n:05}Z", n),
                    "crop_key": "none", "frame_key": "none",
                }
                for n in range(MANY)
            ],
        )  # fmt: skip
    open_review(page, alone.url, created)
    expect(page.get_by_role("heading", name="Plates")).to_contain_text("10,000")
    most = page.evaluate(
        """async () => {
             const list = document.querySelector(".plates .virtual");
             let most = 0;
             for (let step = 0; step <= 40; step++) {
               list.scrollTop = (list.scrollHeight * step) / 40;
               await new Promise(requestAnimationFrame);
               await new Promise(requestAnimationFrame);
               most = Math.max(most, document.querySelectorAll(".plates .virtual-row").length);
             }
             return most;
           }"""
    )
    assert most < 100
    last = page.locator(".plates .pass").last
    expect(last).to_contain_text(f"A{MANY - 1:05}Z")
    expect(last.locator("..")).to_have_attribute("aria-setsize", str(MANY))
    # The selected row is there at once, wherever it lies.
    page.get_by_label("Show only plates with").fill("A05000")
    row_of(page, "A05000Z").locator(".pass-jump").click()
    page.get_by_label("Show only plates with").fill("")
    expect(page.locator(".pass.selected")).to_contain_text("A05000Z")
    page.locator(".pass.selected .pass-jump").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".pass.selected")).to_contain_text("A05001Z")
    expect(page.locator(".pass.selected .pass-jump")).to_be_focused()
    expect(page.locator(".pass.selected")).to_be_in_viewport()


def test_a_job_that_is_gone_is_told(page: Page, alone: Api) -> None:
    page.goto(f"{alone.url}/#/jobs/{uuid.uuid4()}")
    expect(page.get_by_role("heading", name="This job cannot be shown")).to_be_visible()


# -- hashed plates --------------------------------------------------------------------------


@pytest.fixture
def hashing(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API where texts of plates are kept as hashes."""
    folder: Path = tmp_path_factory.mktemp("hashing")
    settings = make_settings(
        enable_s3=False, database_url=database_url, data_dir=folder, plate_hash_key=HASH_KEY
    )
    yield from serve(settings)


HASH_KEY = SecretStr("k" * 40)


def test_hashed_plates_are_short_tokens_and_found_by_their_text(
    page: Page, hashing: Api, shoot: Check, audit: Check
) -> None:
    plates = ["PH12ABC", "PH34DEF", "PH56GHJ"]
    created = hashing.finished_job([plate_text.kept(HASH_KEY, words) for words in plates])
    open_review(page, hashing.url, created)
    texts = page.locator(".plates .pass-text")
    whole = plate_text.kept(HASH_KEY, "PH12ABC")
    token = f"#{whole[8:14].lower()}…"
    expect(texts.first).to_have_text(token)
    expect(texts.first).to_have_attribute("title", f"Hash of the plate: {whole}")
    expect(page.locator(".about-hashes")).to_have_count(1)
    expect(page.get_by_text("No picture of it is kept.")).to_be_visible()
    expect(page.locator(".plates .pass img").first).to_be_hidden()
    shoot("review-hashed")
    audit("review-hashed")

    row_of(page, token).get_by_role("button", name="Correct hashed plate").click()
    field = page.get_by_role("textbox", name="Correct text of hashed plate")
    expect(field).to_have_value("")
    field.fill("PH12ABD")
    field.press("Enter")
    corrected = f"#{plate_text.kept(HASH_KEY, 'PH12ABD')[8:14].lower()}…"
    expect(texts.first).to_have_text(corrected)
    expect(page.locator(".pass").first).to_contain_text(f"read {token}")
    expect(page.get_by_role("button", name="Take back")).to_have_count(0)

    page.goto(f"{hashing.url}/#/search")
    page.get_by_label("Plate", exact=True).fill("ph34 def")
    page.get_by_role("button", name="Search", exact=True).click()
    found = page.locator(".results .plate")
    expect(found).to_have_text([f"#{plate_text.kept(HASH_KEY, 'PH34DEF')[8:14].lower()}…"])
    expect(page.get_by_label("Wrong letters")).to_be_disabled()
    shoot("search-hashed")
    audit("search-hashed")
