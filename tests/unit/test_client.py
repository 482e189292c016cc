"""What the client decides, apart from any server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect_api.client import ClientError
from detect_api.client.events import Following
from detect_api.client.flow import Call, Patience, Wait, Work, patiently
from detect_api.client.memory import KEPT_SECONDS, Memory, Remembered, state_folder
from detect_api.client.multipart import BATCH_PARTS, SIGNATURES, _batches, _Sender
from detect_api.client.options import Options
from detect_api.client.source import VideoFile
from detect_api.client.tally import Tally
from detect_api.client.upload import SMALL, choose

MIB = 2**20
EVERYTHING = ["s3", "s3-multipart", "api", "tus"]


@pytest.mark.parametrize(
    ("methods", "size", "chosen"),
    [
        (EVERYTHING, 1, "s3"),
        (EVERYTHING, 100 * MIB - 1, "s3"),
        (EVERYTHING, 100 * MIB, "s3-multipart"),
        (["s3", "api"], 400 * MIB, "s3"),
        (["api", "tus"], SMALL, "api"),
        (["api", "tus"], SMALL + 1, "tus"),
        (["api"], 400 * MIB, "api"),
    ],
)
def test_the_way_follows_from_size_and_server(methods: list[str], size: int, chosen: str) -> None:
    config = {
        "upload_methods": methods,
        "max_file_size": 500 * MIB,
        "multipart_threshold": 100 * MIB,
    }
    assert choose(config, size) == chosen


def test_what_no_form_takes_goes_in_parts_whatever_the_threshold() -> None:
    config = {"upload_methods": EVERYTHING, "max_file_size": 10, "multipart_threshold": 100}
    assert choose(config, 10) == "s3"
    assert choose(config, 11) == "s3-multipart"


@given(
    st.lists(st.integers(1, 10_000), unique=True, max_size=300),
    st.integers(1, 16),
    st.sampled_from([5 * MIB, 8 * MIB, 600 * MIB]),
)
def test_batches_hold_every_part_once_and_are_bounded(
    numbers: list[int], parallel: int, part_size: int
) -> None:
    batches = list(_batches(numbers, part_size, parallel))
    assert [number for batch in batches for number in batch] == numbers
    for batch in batches:
        assert 1 <= len(batch) <= BATCH_PARTS
        assert len(batch) == 1 or len(batch) * part_size <= 64 * MIB


def test_pauses_grow_and_stay_bounded() -> None:
    patience = Patience(first_seconds=0.25, most_seconds=10)
    for tried in (1, 2, 5, 50, 5000):
        longest = min(10.0, 0.25 * 2 ** min(tried, 10))
        assert all(longest / 2 <= patience.pause(tried) <= longest for _ in range(20))


def test_temporary_failures_are_tried_again_and_refusals_are_not() -> None:
    def failing(*errors: ClientError) -> tuple[list[ClientError], Any]:
        left = list(errors)

        def attempt() -> Generator[Any, Any, str]:
            if left:
                raise left.pop(0)
            return "done"
            yield  # makes it a flow

        return left, patiently(attempt, Patience(tries=3))

    away = ClientError("away", status=503, code="database_unavailable")
    left, flow = failing(away, away)
    assert isinstance(next(flow), Wait)
    assert isinstance(next(flow), Wait)
    with pytest.raises(StopIteration, match="done"):
        next(flow)
    held = ClientError("status 423", status=423)  # so HEAD says that the database is away
    left, flow = failing(held)
    assert isinstance(next(flow), Wait)
    assert not held.refused
    left, flow = failing(ClientError("no", status=404), away)
    with pytest.raises(ClientError, match="no"):
        next(flow)
    left, flow = failing(away, away, away, away)
    next(flow)
    next(flow)
    with pytest.raises(ClientError, match="away"):
        next(flow)
    assert len(left) == 1, "there is a limit"


def test_checksums_are_as_s3_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"xx123456789yy")
    part = VideoFile.at(path).slice(2, 9)
    assert part.checksum("CRC32C") == base64.b64encode(bytes.fromhex("e3069283")).decode()
    wanted = base64.b64encode(hashlib.sha256(b"123456789").digest()).decode()
    assert part.checksum("SHA256") == wanted
    assert b"".join(part.pieces()) == b"123456789"


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(MIB))
    video = VideoFile.at(path)
    pieces = video.whole().pieces()
    next(pieces)
    os.truncate(path, MIB // 2)
    with pytest.raises(ClientError) as error:
        list(pieces)
    assert error.value.code == "file_changed"
    with pytest.raises(ClientError):
        video.check()
    with pytest.raises(ClientError):
        next(video.slice(0, 10).pieces())


def test_bytes_of_failed_requests_count_for_nothing() -> None:
    seen: list[tuple[int, int]] = []
    tally = Tally(100, lambda done, total: seen.append((done, total)))
    first = tally.attempt()
    first.add(60)
    tally.attempt().add(30)
    first.undo()
    tally.attempt().add(80)
    assert seen == [(60, 100), (90, 100), (30, 100), (100, 100)]


# -- parts ----------------------------------------------------------------------------------


def run(flow: Any, store: list[int], asked: list[Call]) -> None:
    """Runs a flow; storage answers with these statuses, one by one."""
    outcome: Any = None
    while True:
        try:
            effect = flow.send(outcome)
        except StopIteration:
            return
        outcome = None
        match effect:
            case Call(store=True):
                asked.append(effect)
                outcome = httpx.Response(store.pop(0), text="<Error><Code>X</Code></Error>")
            case Call():
                asked.append(effect)
                assert effect.json is not None
                signature = len([call for call in asked if not call.store])
                part = {"url": f"http://s3/{signature}", "headers": {}, "size": 10}
                parts = [{"part_number": n, **part} for n in effect.json["part_numbers"]]
                outcome = httpx.Response(200, json={"parts": parts, "expires_in": 3600})
            case Work():
                outcome = effect.function()


@pytest.fixture
def sender(tmp_path: Path) -> _Sender:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(30))
    view = {"upload_id": "u", "part_size": 10, "file_size": 30, "checksum": "CRC32C"}
    options = Options(tmp_path, patience=Patience(tries=7, first_seconds=0, most_seconds=0))
    return _Sender(view, VideoFile.at(path), options, Tally(30, None))


def shares(*batches: list[int]) -> Any:
    from detect_api.client.flow import Shares

    return Shares(iter(batches))


def test_a_batch_is_signed_at_once_with_its_checksums(sender: _Sender) -> None:
    asked: list[Call] = []
    run(sender.work(shares([1, 2, 3])), [200, 200, 200], asked)
    assert [call.store for call in asked] == [False, True, True, True]
    body = asked[0].json
    assert body is not None
    assert body["part_numbers"] == [1, 2, 3]
    assert set(body["checksums"]) == {"1", "2", "3"}


@pytest.mark.parametrize("status", [400, 403])
def test_a_part_whose_signature_or_checksum_is_refused_is_signed_anew(
    sender: _Sender, status: int
) -> None:
    asked: list[Call] = []
    run(sender.work(shares([2])), [status, 200], asked)
    sent = [call.url for call in asked if call.store]
    assert sent == ["http://s3/1", "http://s3/2"]


def test_a_part_is_sent_again_to_the_same_address_after_a_failure(sender: _Sender) -> None:
    asked: list[Call] = []
    run(sender.work(shares([2])), [503, 200], asked)
    assert [call.url for call in asked if call.store] == ["http://s3/1"] * 2


@pytest.mark.parametrize(("status", "tries"), [(500, 7), (403, SIGNATURES), (409, 1)])
def test_a_part_is_not_tried_for_ever(sender: _Sender, status: int, tries: int) -> None:
    asked: list[Call] = []
    with pytest.raises(ClientError) as error:
        run(sender.work(shares([2])), [status] * 9, asked)
    assert error.value.status == status
    assert len([call for call in asked if call.store]) == tries


def test_an_upload_that_is_gone_is_said_so_at_once(sender: _Sender) -> None:
    with pytest.raises(ClientError) as error:
        run(sender.work(shares([2])), [404, 200], [])
    assert error.value.code == "upload_over"


# -- events ---------------------------------------------------------------------------------


def test_events_are_parsed_and_taken_up_after_the_last_one() -> None:
    following = Following("j")
    lines = ["id: 7", "event: plate", 'data: {"text": "A"}', "", ": ping", "", "event: x", ""]
    events = [event for line in lines if (event := following.feed(line)) is not None]
    assert events == [("plate", {"text": "A"})]
    assert following.headers() == {"Last-Event-ID": "7"}


def test_following_ends_when_refused_or_late_or_after_many_breaks() -> None:
    with pytest.raises(ClientError) as error:
        Following("j").pause(ClientError("gone", status=404, code="job_not_found"))
    assert (error.value.code, error.value.status) == ("job_not_found", 404)
    following = Following("j")
    with pytest.raises(ClientError):
        for _ in range(1000):
            assert following.pause(httpx.ReadError("cut")) <= 5
    late = Following("j", 0.0)
    time.sleep(0.01)
    with pytest.raises(ClientError) as error:
        late.feed(": ping")
    assert error.value.code == "timeout"


# -- memory ---------------------------------------------------------------------------------

SERVER = "http://localhost:8000"


@pytest.fixture
def video(tmp_path: Path) -> VideoFile:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"video")
    return VideoFile.at(path)


def remembered(video: VideoFile) -> Remembered:
    return Remembered("s3-multipart", video.size, video.mtime_ns, {"frame_skip": 2}, "key", "id")


def test_what_is_remembered_is_private_and_gone_when_forgotten(
    tmp_path: Path, video: VideoFile
) -> None:
    folder = tmp_path / "state"
    with Memory(folder, SERVER, video) as memory:
        assert memory.read() is None
        memory.write(remembered(video))
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with Memory(folder, SERVER, video) as memory:
        assert memory.read() == remembered(video)
        memory.forget()
    assert not list(folder.iterdir()), "no lock and no state is left"
    with Memory(folder, "http://other:8000", video) as memory:
        assert memory.read() is None


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"kind": 1}', b"x" * 100_000,
        json.dumps({"kind": "tus", "size": 5, "mtime_ns": 1, "wishes": {}, "key": "",
                    "upload_id": None, "version": 1}).encode(),
        json.dumps({"kind": "tus", "size": 5, "mtime_ns": 1, "wishes": {}, "key": "k",
                    "upload_id": 3, "version": 1}).encode(),
        json.dumps({"kind": "tus", "size": 5, "mtime_ns": 1, "wishes": {}, "key": "k",
                    "upload_id": None, "version": 99}).encode(),
    ],
)  # fmt: skip
def test_a_state_file_that_is_not_understood_counts_as_none(
    tmp_path: Path, video: VideoFile, damage: bytes
) -> None:
    folder = tmp_path / "state"
    with Memory(folder, SERVER, video) as memory:
        memory.write(remembered(video))
        next(folder.glob("*.json")).write_bytes(damage)
        assert memory.read() is None


def test_a_changed_file_or_other_wishes_do_not_fit(tmp_path: Path, video: VideoFile) -> None:
    known = remembered(video)
    assert known.fits("s3-multipart", video, {"frame_skip": 2})
    assert not known.fits("tus", video, {"frame_skip": 2})
    assert not known.fits("s3-multipart", video, {"frame_skip": 3})
    video.path.write_bytes(b"other")
    assert not known.fits("s3-multipart", VideoFile.at(video.path), {"frame_skip": 2})


def test_two_uploads_of_one_file_do_not_collide(tmp_path: Path, video: VideoFile) -> None:
    folder = tmp_path / "state"
    with Memory(folder, SERVER, video):
        with pytest.raises(ClientError) as error, Memory(folder, SERVER, video):
            pass
        assert error.value.code == "upload_in_progress"
        with Memory(folder, "http://other:8000", video):
            pass
    with Memory(folder, SERVER, video):
        pass


def test_what_was_left_long_ago_is_removed(tmp_path: Path, video: VideoFile) -> None:
    folder = tmp_path / "state"
    with Memory(folder, SERVER, video) as memory:
        memory.write(remembered(video))
    old = next(folder.glob("*.json"))
    os.utime(old, (0, time.time() - KEPT_SECONDS - 60))
    forgotten = folder / "killed.lock"
    forgotten.touch()
    os.utime(forgotten, (0, time.time() - KEPT_SECONDS - 60))
    with Memory(folder, "http://other:8000", video):
        assert not old.exists()
        assert not forgotten.exists()
        assert len(list(folder.iterdir())) == 1, "the lock that is held"


def test_a_folder_that_cannot_be_used_is_said_so(tmp_path: Path, video: VideoFile) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClientError) as error, Memory(tmp_path / "file" / "x", SERVER, video):
        pass
    assert error.value.code == "state"


def test_the_state_folder_is_this_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    monkeypatch.setattr("sys.platform", "linux")
    assert state_folder() == Path("/elsewhere/detect-api/uploads")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder() == Path.home() / ".local/state/detect-api/uploads"
