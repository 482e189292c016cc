"""Playing a job's video, by redirect and through the API, and what is drawn over it."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from detect_api.api.ranges import Span, Unsatisfiable, span_of
from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable
from detect_api.db.tables import Job, Plate, UnreadTrack
from detect_api.services.playback_service import MOST_FRAMES, MOST_TRACKS
from detect_api.services.s3_service import S3Service
from detect_api.services.video_links import make_links
from detect_api.storage.s3 import make_client
from tests.conftest import make_settings

from .conftest import Api, plate_details

BODY = bytes(n * 7 % 251 for n in range(1_300_000))
"""More than one piece, and each piece another."""


def job_with_video(api: Api, body: bytes = BODY, **values: Any) -> str:
    """A completed job whose video is in storage."""
    job_id = api.finished_job(["AB12CDE"])
    key = f"videos/{job_id}.mp4"
    api.parts.store.put(key, body, "video/mp4")
    with api.parts.sessions.begin() as session:
        job = session.get_one(Job, uuid.UUID(job_id))
        job.object_etag = api.parts.store.head(key).etag
        for name, value in values.items():
            setattr(job, name, value)
    return job_id


# -- by redirect ----------------------------------------------------------------------------


def test_with_s3_the_video_is_played_from_a_signed_address(api: Api) -> None:
    job_id = job_with_video(api)
    answer = api.client.get(f"/jobs/{job_id}/video")
    assert answer.status_code == 307
    assert answer.headers["cache-control"] == "no-store"
    address = answer.headers["location"]
    assert parse_qs(urlsplit(address).query)["X-Amz-Expires"] == ["86400"]
    assert parts_links(api).origin == "://".join(urlsplit(address)[:2])
    part = httpx.get(address, headers={"Range": "bytes=5-9"})
    assert part.status_code == 206
    assert part.content == BODY[5:10]
    assert part.headers["content-type"] == "video/mp4"
    assert part.headers["content-disposition"] == "inline"
    assert httpx.get(address[:-3] + "000").status_code == 403, "storage checks the signature"


def parts_links(api: Api) -> Any:
    assert api.parts.links is not None
    return api.parts.links


def test_head_is_signed_for_head(api: Api) -> None:
    answer = api.client.head(f"/jobs/{job_with_video(api)}/video")
    assert answer.status_code == 307
    found = httpx.head(answer.headers["location"])
    assert (found.status_code, found.headers["content-length"]) == (200, str(len(BODY)))


def test_an_upload_plays_the_video_of_its_processing_job(api: Api) -> None:
    job_id = job_with_video(api)
    form = api.presign(filename="a.mp4")
    assert api.client.get(f"/jobs/{form['job_id']}/video").json()["code"] == "not_finished"
    with api.parts.sessions.begin() as session:
        upload = session.get_one(Job, uuid.UUID(form["job_id"]))
        upload.processing_job_id = uuid.UUID(job_id)
    answer = api.client.get(f"/jobs/{form['job_id']}/video")
    assert httpx.get(answer.headers["location"]).content == BODY


def test_a_video_that_is_not_there_says_why(api: Api) -> None:
    deleted = job_with_video(api, video_deleted_at="2026-01-01T00:00:00Z")
    lost = api.finished_job([])
    changed = job_with_video(api, object_etag="another")
    never = job_with_video(api, object_key=None)
    for job_id, status, code in (
        (deleted, 410, "video_deleted"),
        (lost, 410, "video_deleted"),
        (changed, 409, "object_changed"),
        (never, 409, "video_missing"),
        (str(uuid.uuid4()), 404, "job_not_found"),
    ):
        answer = api.client.get(f"/jobs/{job_id}/video")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


# -- CloudFront -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def cloudfront(file: Path) -> Settings:
    return make_settings(
        s3_bucket_name="videos", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="none",
        cloudfront_domain="d111111abcdef8.cloudfront.net", cloudfront_key_pair_id="K2JCJMDEHXQW5F",
        cloudfront_private_key_file=file,
    )  # fmt: skip


def links_of(chosen: Settings) -> Any:
    client = make_client(chosen, public=True)
    return make_links(chosen, S3Service(chosen, client, "videos"))


def from_cloudfront(text: str) -> bytes:
    """CloudFront's own spelling of base64."""
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")))


def test_cloudfront_gets_an_address_that_its_public_key_verifies(
    tmp_path: Path, private_key: rsa.RSAPrivateKey
) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(private_key))
    links = links_of(cloudfront(file))
    address = links.sign("videos/20260101_120000_a b.mp4", "video/mp4")
    resource, _, query = address.partition("?")
    assert resource == "https://d111111abcdef8.cloudfront.net/videos/20260101_120000_a%20b.mp4"
    assert links.origin == "https://d111111abcdef8.cloudfront.net"
    values = {name: value for name, _, value in (p.partition("=") for p in query.split("&"))}
    assert values["Key-Pair-Id"] == "K2JCJMDEHXQW5F"
    # The canned policy, as CloudFront puts it together from the request.
    until = {"DateLessThan": {"AWS:EpochTime": int(values["Expires"])}}
    policy = {"Statement": [{"Resource": resource, "Condition": until}]}
    signed = json.dumps(policy, separators=(",", ":")).encode()
    private_key.public_key().verify(
        from_cloudfront(values["Signature"]), signed, padding.PKCS1v15(), hashes.SHA1()
    )


def test_a_key_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    other = tmp_path / "ec.pem"
    other.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    broken = tmp_path / "broken.pem"
    broken.write_text("no key")
    for file, words in (
        (tmp_path / "none.pem", "cannot be read"),
        (broken, "cannot be read"),
        (other, "no RSA key"),
    ):
        with pytest.raises(Unavailable, match=words) as found:
            links_of(cloudfront(file))
        assert found.value.code == "cloudfront_key"


def test_half_of_the_settings_of_cloudfront_are_refused() -> None:
    with pytest.raises(ValidationError, match="all three or none"):
        make_settings(cloudfront_domain="d111111abcdef8.cloudfront.net")


# -- through the API ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(api_without_s3: Api) -> str:
    """The address of a video that goes through the API."""
    return f"/jobs/{job_with_video(api_without_s3)}/video"


def test_without_s3_the_bytes_come_through_the_api(api_without_s3: Api, played: str) -> None:
    answer = api_without_s3.client.get(played)
    assert answer.status_code == 200
    assert answer.content == BODY
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == "inline"
    head = api_without_s3.client.head(played)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "last-modified", "content-type"):
        assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize(
    ("key", "claimed", "sent"),
    [
        ("a.jpg", "image/svg+xml", "image/jpeg"),
        ("a.mkv", "text/html", "video/x-matroska"),
        ("a", "text/html", "application/octet-stream"),
        ("a", "video/x-special", "video/x-special"),
    ],
)
def test_no_upload_is_sent_as_what_a_browser_would_run(
    api_without_s3: Api, key: str, claimed: str, sent: str
) -> None:
    key = f"videos/{uuid.uuid4()}/{key}"
    api_without_s3.parts.store.put(key, b"<script>alert(1)</script>", claimed)
    etag = api_without_s3.parts.store.head(key).etag
    job_id = api_without_s3.finished_job([])
    with api_without_s3.parts.sessions.begin() as session:
        job = session.get_one(Job, uuid.UUID(job_id))
        job.object_key, job.object_etag, job.content_type = key, etag, claimed
    answer = api_without_s3.client.get(f"/jobs/{job_id}/video")
    assert answer.headers["content-type"] == sent
    assert answer.headers["x-content-type-options"] == "nosniff"


EDGES = [0, 1, 2, 1_048_575, 1_048_576, 1_048_577, len(BODY) - 1, len(BODY), len(BODY) + 1]
places = st.sampled_from(EDGES) | st.integers(0, len(BODY) + 10) | st.integers(0, 10**17)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.tuples(places, places | st.none()), st.tuples(st.none(), places)))
def test_every_range_gives_the_bytes_it_names(
    api_without_s3: Api, played: str, asked: tuple[int | None, int | None]
) -> None:
    first, last = asked
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    answer = api_without_s3.client.get(played, headers={"Range": header})
    size = len(BODY)
    if first is None:
        assert last is not None
        wanted = BODY[max(0, size - last) :] if last else b""
    elif last is not None and last < first:
        assert (answer.status_code, answer.content) == (200, BODY)  # no range at all
        return
    else:
        wanted = BODY[first : None if last is None else last + 1]
    if not wanted:
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{size}"
        assert answer.json()["code"] == "range_not_satisfiable"
        return
    assert answer.status_code == 206
    assert answer.content == wanted
    start = size - len(wanted) if first is None else first
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(wanted) - 1}/{size}"
    assert answer.headers["content-length"] == str(len(wanted))


@pytest.mark.parametrize(
    "header",
    ["bytes=-", "bytes=a-b", "bytes=5", "chapters=1-2", "bytes=0-1,4-5", "", "bytes=--5"],
)
def test_what_is_no_single_range_gets_everything(
    api_without_s3: Api, played: str, header: str
) -> None:
    answer = api_without_s3.client.get(played, headers={"Range": header})
    assert (answer.status_code, len(answer.content)) == (200, len(BODY))


@given(st.text(st.characters(max_codepoint=255)), st.integers(0, 10))
def test_no_header_breaks_the_parser(header: str, size: int) -> None:
    try:
        span = span_of(header, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span.start < span.end <= size


def test_an_empty_object_has_no_part() -> None:
    with pytest.raises(Unsatisfiable):
        span_of("bytes=0-", 0)
    assert span_of("bytes=-1", 3) == Span(2, 3)


def test_a_part_is_sent_only_of_the_version_that_if_range_names(
    api_without_s3: Api, played: str
) -> None:
    about = api_without_s3.client.head(played).headers
    for given_version, status in (
        (about["etag"], 206),
        (about["last-modified"], 206),
        ('"another"', 200),
        ("W/" + about["etag"], 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("yesterday", 200),
    ):
        answer = api_without_s3.client.get(
            played, headers={"Range": "bytes=0-4", "If-Range": given_version}
        )
        assert answer.status_code == status, given_version
        assert answer.content == (BODY[:5] if status == 206 else BODY)


def test_head_with_a_range_tells_its_length(api_without_s3: Api, played: str) -> None:
    answer = api_without_s3.client.head(played, headers={"Range": "bytes=10-"})
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(BODY) - 10)


# -- tracks ---------------------------------------------------------------------------------


def tracks(api: Api, job_id: str, **query: int) -> dict[str, Any]:
    answer = api.client.get(f"/jobs/{job_id}/tracks", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def with_path(api: Api, job_id: str, frames: list[int]) -> None:
    """Gives the job's only plate a path through these frames."""
    details = plate_details("AB12CDE", 0)
    details["first_seen"]["frame"], details["last_seen"]["frame"] = frames[0], frames[-1]
    with api.parts.sessions.begin() as session:
        (plate,) = session.query(Plate).filter_by(job_id=uuid.UUID(job_id))
        plate.first_frame, plate.details = frames[0], details
        plate.path = {
            "frames": frames,
            "seconds": [n / 10 for n in frames],
            "boxes": [[n, 0, n + 9, 5] for n in frames],
            "thinned": False,
        }


def test_tracks_come_for_the_frames_asked_for_with_a_neighbour_on_each_side(api: Api) -> None:
    job_id = api.finished_job(["AB12CDE"])
    with_path(api, job_id, [10, 12, 14, 30, 32])
    for first, to, frames in (
        (0, 100, [10, 12, 14, 30, 32]),
        (12, 14, [10, 12, 14]),
        (15, 29, [14, 30]),
        (31, 32, [30, 32]),
        (32, 40, [30, 32]),
        (33, 40, None),
        (0, 10, None),
    ):
        found = tracks(api, job_id, **{"from": first, "to": to})
        assert (found["from"], found["to"]) == (first, to)
        assert [t["frames"] for t in found["tracks"]] == ([frames] if frames else [])
        for track in found["tracks"]:
            assert [box[0] for box in track["boxes"]] == track["frames"]
            assert track["seconds"] == [n / 10 for n in track["frames"]]


def test_a_job_of_an_older_version_shows_the_best_box(api: Api) -> None:
    job_id = api.finished_job(["AB12CDE"], unread=1)
    read, unread = tracks(api, job_id)["tracks"]
    assert read["text"] == "AB12CDE"
    assert read["reason"] is None
    assert (read["frames"], read["boxes"]) == ([1], [[1.0, 2.0, 30.0, 12.0]])
    assert (unread["plate_id"], unread["text"], unread["reason"]) == (None, None, "blurred")


def test_an_answer_with_tracks_is_bounded_and_can_be_gone_on_from(api: Api) -> None:
    job_id = api.finished_job([])
    with api.parts.sessions.begin() as session:
        session.add_all(
            UnreadTrack(
                job_id=uuid.UUID(job_id),
                track_id=number,
                details={"reason": "blurred", **plate_details("X", number)},
                crop_key="none",
            )
            for number in range(MOST_TRACKS + 500)
        )
    seen: set[int] = set()
    first, answers = 0, 0
    while first < MOST_FRAMES:
        found = tracks(api, job_id, **{"from": first, "to": 10**6})
        assert len(found["tracks"]) <= MOST_TRACKS
        assert first < found["to"] <= first + MOST_FRAMES
        seen |= {track["track_id"] for track in found["tracks"]}
        first, answers = found["to"], answers + 1
    assert seen == set(range(MOST_TRACKS + 500))
    assert answers > 1


def test_frames_in_the_wrong_order_are_refused(api: Api) -> None:
    job_id = api.finished_job([])
    assert tracks(api, job_id, **{"from": 2**31 - 2, "to": 10**30})["tracks"] == []
    answer = api.client.get(f"/jobs/{job_id}/tracks?from=5&to=5")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_frames")
    assert api.client.get(f"/jobs/{uuid.uuid4()}/tracks").status_code == 404


def test_unread_plates_are_listed_in_pages(api: Api) -> None:
    job_id = api.finished_job(["AB12CDE"], unread=5)
    found: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = api.client.get(f"/jobs/{job_id}/unread", params=query).json()
        assert len(page["unread"]) <= 2
        found += [track["track_id"] for track in page["unread"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [1, 2, 3, 4, 5]
    wrong = api.client.get(f"/jobs/{job_id}/unread", params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_cursor")
