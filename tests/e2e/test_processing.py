"""A video goes in, its plates come out: the whole service, with a real worker."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from detect_api.client import Client, ClientError
from detect_api.local.stack import Stack
from tests.processing import EVERY_OTHER, Sample, ended, essence, read_locally

pytestmark = pytest.mark.timeout(300)


def test_the_specifications_flow_finds_the_plates(
    client: Client, stack: Stack, sample: Sample, reference: dict[str, Any]
) -> None:
    sent: list[int] = []
    created = client.process(sample.path, EVERY_OTHER, lambda done, _total: sent.append(done))
    assert sent[-1] == sample.path.stat().st_size
    events = list(client.follow(created["job_id"]))
    plates = [data["text"] for name, data in events if name == "plate"]
    assert sorted(plates) == sorted(sample.plates)
    assert events[-1][0] == "completed"
    assert any(0 < data["progress"] < 1 for name, data in events if name == "progress"), (
        "progress moves while the video is read"
    )
    result = client.result(created["job_id"])
    assert [plate["text"] for plate in result["plates"]] == sample.plates
    assert essence(result) == essence(reference), "the service and the command line agree"
    assert result["provenance"]["models"]
    for plate in result["plates"]:
        for name in ("crop_url", "frame_url"):
            assert client.picture(plate[name]).startswith(b"\xff\xd8\xff")
    job = client.job(created["job_id"])
    assert job["progress"] == 1.0
    assert job["message"] == (
        f"Processed {job['frames']['done']}/{job['frames']['total']} frames "
        f"({len(sample.plates)} unique plates, {result['statistics']['total_detections']} "
        "total detections)"
    )
    found = httpx.get(f"{stack.api_url}/plates", params={"text": sample.plates[0]}).json()
    assert created["job_id"] in [plate["job_id"] for plate in found["plates"]]


def test_the_frame_picture_is_the_frame_that_was_read(client: Client, sample: Sample) -> None:
    import cv2
    import numpy as np

    created = client.process(sample.path, EVERY_OTHER)
    assert ended(client, created["job_id"])["status"] == "completed"
    plate = client.result(created["job_id"])["plates"][0]
    jpeg = np.frombuffer(client.picture(plate["frame_url"]), np.uint8)
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert picture is not None
    with av.open(str(sample.path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == plate["best"]["frame"]:
                truth = frame.to_ndarray(format="bgr24")
                break
    difference = np.abs(picture.astype(int) - truth.astype(int)).mean()
    assert difference < 6, "the same picture but for the JPEG"


@pytest.mark.parametrize("segment_seconds", [0.5, 1.7])
def test_the_result_is_the_same_for_any_segment_length(
    sample: Sample, reference: dict[str, Any], segment_seconds: float
) -> None:
    other = read_locally(sample.path, segment_seconds, **EVERY_OTHER)
    assert json.dumps(essence(other)) == json.dumps(essence(reference))


def test_frame_parameters_count_over_the_whole_video(client: Client, sample: Sample) -> None:
    chosen = {"frame_skip": 3, "start_frame": 20, "end_frame": 71}
    created = client.process(sample.path, dict(chosen))
    assert ended(client, created["job_id"])["status"] == "completed"
    result = client.result(created["job_id"])
    assert result["statistics"]["processed_frames"] == len(range(21, 71, 3))
    for plate in result["plates"]:
        assert plate["best"]["frame"] % 3 == 0
        assert 20 <= plate["first_seen"]["frame"] <= plate["last_seen"]["frame"] < 71
    assert essence(result) == essence(read_locally(sample.path, 100.0, **chosen))


def test_an_upload_through_the_api_gives_the_same(
    client: Client, sample: Sample, reference: dict[str, Any]
) -> None:
    created = client.upload_through_api(sample.path, EVERY_OTHER)
    assert ended(client, created["job_id"])["status"] == "completed"
    assert essence(client.result(created["job_id"])) == essence(reference)


def test_an_upload_that_nobody_reports_is_processed(
    stack: Stack, sample: Sample, reference: dict[str, Any]
) -> None:
    with httpx.Client(base_url=stack.api_url, timeout=60) as api:
        asked = {"filename": "sample.mp4", "auto_process": True, **EVERY_OTHER}
        form = api.post("/process/video/upload/s3/presigned-url", json=asked).json()
        with sample.path.open("rb") as file:
            sent = httpx.post(
                form["upload_url"], data=form["upload_fields"], files={"file": file}, timeout=60
            )
        assert sent.status_code in (200, 204)
        end = time.monotonic() + 240
        while True:
            # The list does not ask storage, as GET /jobs/{job_id} would.
            jobs = api.get("/jobs", params={"type": "video", "status": "completed"}).json()["jobs"]
            done = [job for job in jobs if job["s3_key"] == form["s3_key"]]
            if done:
                break
            assert time.monotonic() < end
            time.sleep(0.5)
        assert len(done) == 1
        result = api.get(f"/jobs/{form['job_id']}/result").json()
    assert essence(result) == essence(reference)


def test_the_video_is_deleted_after_processing_if_asked(
    client: Client, stack: Stack, sample: Sample
) -> None:
    form = client.upload_to_s3(sample.path)
    created = client.process_uploaded(
        form["s3_key"], {"delete_after_processing": True, "frame_skip": 5}
    )
    assert ended(client, created["job_id"])["status"] == "completed"
    end = time.monotonic() + 20
    while True:
        try:
            client.process_uploaded(form["s3_key"])
        except ClientError as error:
            assert "upload it first" in str(error)
            break
        assert time.monotonic() < end
        time.sleep(0.2)
    plate = client.result(created["job_id"])["plates"][0]
    assert client.picture(plate["crop_url"]), "the pictures stay"


def test_a_truncated_video_gives_what_was_readable_and_says_so(
    client: Client, sample: Sample, tmp_path: Path
) -> None:
    whole = tmp_path / "fast.mp4"
    _moov_first(sample.path, whole)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    created = client.process(cut, EVERY_OTHER)
    job = ended(client, created["job_id"])
    assert job["status"] == "failed"
    assert job["error"]["code"] == "truncated"
    assert "frames were read" in job["error"]["detail"]
    result = client.result(created["job_id"])
    assert 0 < result["statistics"]["processed_frames"] < frames_of(sample) // 2
    # Two cars are past where the file ends; of the others it shows a part only.
    whole_passes = [p for p in result["plates"] if p["last_seen"]["frame"] <= 56]
    assert [plate["text"] for plate in whole_passes] == sample.plates[:2]


def frames_of(sample: Sample) -> int:
    with av.open(str(sample.path)) as container:
        return sum(1 for _ in container.decode(video=0))


def _moov_first(source: Path, target: Path) -> None:
    with (
        av.open(str(source)) as opened,
        av.open(str(target), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = opened.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in opened.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("text.mp4", b"this is a text, not a video\n" * 50, "not_a_video"),
        ("list.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "not_a_video"),
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "not_a_video"),
    ],
)
def test_what_is_no_video_fails_with_a_reason(
    client: Client, tmp_path: Path, name: str, body: bytes, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    job = ended(client, client.process(path)["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", code)
    with pytest.raises(ClientError, match="has no result"):
        client.result(job["job_id"])


def test_a_range_behind_the_end_fails_with_a_reason(client: Client, sample: Sample) -> None:
    job = ended(client, client.process(sample.path, {"start_frame": 100_000})["job_id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "frame_range")


def test_a_cancelled_job_stops_and_can_be_started_again(
    client: Client, sample: Sample, reference: dict[str, Any]
) -> None:
    created = client.process(sample.path, EVERY_OTHER)
    for name, data in client.follow(created["job_id"]):
        if name == "progress" and data["frames"]["done"] > 3 and data["status"] == "processing":
            client.cancel(created["job_id"])
            break
    assert client.job(created["job_id"])["status"] == "cancelled"
    client.retry(created["job_id"])
    assert ended(client, created["job_id"])["status"] == "completed"
    assert essence(client.result(created["job_id"])) == essence(reference)


def test_deleting_a_job_leaves_no_object(client: Client, stack: Stack, sample: Sample) -> None:
    created = client.process(sample.path, {"frame_skip": 4})
    ended(client, created["job_id"])
    plate = client.result(created["job_id"])["plates"][0]
    key = client.job(created["job_id"])["s3_key"]
    gone = client.delete(created["job_id"])["deleted"]
    assert gone["video"] == key
    assert gone["plates"] >= 1
    with pytest.raises(ClientError):
        client.picture(plate["crop_url"])
    with pytest.raises(ClientError, match="upload it first"):
        client.process_uploaded(key)


def test_a_still_image_is_read_while_the_client_waits(
    client: Client, stack: Stack, sample: Sample, reference: dict[str, Any], tmp_path: Path
) -> None:
    import cv2

    wanted = reference["plates"][0]
    with av.open(str(sample.path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == wanted["best"]["frame"]:
                picture = frame.to_ndarray(format="bgr24")
                break
    for extension in (".png", ".jpg"):
        encoded = cv2.imencode(extension, picture)[1].tobytes()
        answer = httpx.post(
            f"{stack.api_url}/detect/upload",
            files={"file": (f"car{extension}", encoded)},
            timeout=70,
        )
        assert answer.status_code == 200, answer.text
        assert wanted["text"] in [plate["text"] for plate in answer.json()["plates"]]
    refused = httpx.post(
        f"{stack.api_url}/detect/upload", files={"file": ("car.jpg", b"no picture")}, timeout=70
    )
    assert refused.status_code == 422
    assert (
        httpx.post(
            f"{stack.api_url}/detect/upload", files={"file": ("car.txt", b"x")}, timeout=20
        ).status_code
        == 400
    )
