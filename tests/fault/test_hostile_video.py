"""Whatever the bytes are: a clear outcome, a healthy service, nothing left behind.

``MUTANTS=2000`` makes it longer.
"""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest

from detect_api.core.errors import ObjectChanged, ObjectMissing, StorageError, VideoError
from detect_api.vision.decode import DecodeLimits, frames, scan
from detect_api.vision.sandbox import Sandbox
from detect_api.vision.types import SegmentPlan, VideoInfo
from tests.fault.mutate import elements, mutant
from tests.videos import Clip, MemorySource, decode_plainly, encode, number_in, with_bytes

LIMITS = DecodeLimits(stall_seconds=10)

MUTANTS = int(os.environ.get("MUTANTS", "12"))
"""How many files ``mutate`` makes; each is the same in every run."""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    before = open_descriptors()
    yield
    gc.collect()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        names = [t.name for t in threading.enumerate()]
        ended = "decoding-child" not in names and not any(
            name.startswith("read-ahead") for name in names
        )
        # The stack of other tests may run beside and have a connection open for a moment.
        if ended and open_descriptors() <= before:
            break
        time.sleep(0.02)
    assert decoders() == []
    assert open_descriptors() <= before


def decoders() -> list[psutil.Process]:
    """The decoding children of this process."""
    return [
        child
        for child in psutil.Process().children()
        if any("child" in word for word in _words(child))
    ]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def open_descriptors() -> int:
    return psutil.Process().num_fds()


def refusal(data: bytes, limits: DecodeLimits = LIMITS, *, images: bool = False) -> VideoError:
    with pytest.raises(VideoError) as refused:
        list(scan(MemorySource(data), limits, 10, images=images))
    return refused.value


def scanned(source: MemorySource, seconds: float = 100) -> tuple[VideoInfo, list[SegmentPlan]]:
    *found, info = list(scan(source, LIMITS, seconds))
    assert isinstance(info, VideoInfo)
    return info, [item for item in found if isinstance(item, SegmentPlan)]


def delivered(data: bytes, seconds: float = 100) -> tuple[VideoInfo, dict[int, Any], list[str]]:
    source = MemorySource(data)
    info, plans = scanned(source, seconds)
    images: dict[int, Any] = {}
    missing = 0
    problems = list(info.problems)
    for plan in plans:
        numbers = range(plan.first_frame, plan.end_frame)
        with frames(source, plan, numbers, info, LIMITS) as reader:
            images |= {frame.number: frame.image.copy() for frame in reader}
        problems += reader.problems
        missing += reader.missing
        assert len(images) + missing == plan.end_frame
    return info, images, problems


# -- what is no video -----------------------------------------------------------------------------


def test_an_empty_file_is_called_empty() -> None:
    error = refusal(b"")
    assert (error.code, error.detail) == ("empty_file", "the file is empty")


@pytest.mark.parametrize(
    "data",
    [b"This is not a video.\n" * 500, b"x", bytes(100_000), random.Random(1).randbytes(99_999)],
)
def test_what_is_not_a_video_is_called_so(data: bytes) -> None:
    assert refusal(data).code in ("not_a_video", "unsupported_container")


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {path}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nconcat:http://localhost/x|{path}\n",
        '<?xml version="1.0"?><MPD><BaseURL>{path}</BaseURL></MPD>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_list_that_names_other_files_is_refused(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(encode(Clip(frames=5)))
    error = refusal(text.format(path=other).encode())
    assert error.code in ("not_a_video", "unsupported_container")
    assert str(other) not in error.detail


def test_a_track_that_lies_in_another_file_is_not_followed(tmp_path: Path) -> None:
    clip = encode(Clip("mov", frames=30))
    other = tmp_path / "o"
    other.write_bytes(encode(Clip("mov", frames=30, numbers=lambda index: index + 1000)))
    name = str(other).encode()
    reference = b"\0\0\0\x0curl \0\0\0\1"  # "in this very file"
    assert clip.count(reference) == 1
    elsewhere = b"\0\0\0\0url \0\0\0\0" + name + b"\0"
    elsewhere = len(elsewhere).to_bytes(4, "big") + elsewhere[4:]
    grown = _with_longer_box(clip, reference, elsewhere)
    _, images, _ = delivered(grown)
    assert [number_in(image) for image in images.values()] == list(range(30))


def _with_longer_box(data: bytes, old: bytes, new: bytes) -> bytes:
    """``old`` replaced by ``new`` inside moov, with the sizes of all boxes around it put right."""
    at = data.index(old)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        box = data.rindex(kind, 0, at) - 4
        size = int.from_bytes(data[box : box + 4], "big") + len(new) - len(old)
        data = data[:box] + size.to_bytes(4, "big") + data[box + 4 :]
    return data.replace(old, new)


def test_sound_alone_is_no_video() -> None:
    out = io.BytesIO()
    container: Any
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert refusal(out.getvalue()).code == "no_video_stream"


def test_a_codec_that_is_not_there_is_named_as_the_reason() -> None:
    data = encode(Clip(frames=10)).replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC")
    assert refusal(data).code == "unsupported_codec"


def test_a_header_of_thirty_hours_is_too_long() -> None:
    data = encode(Clip("mp4", frames=3, times=[0, 1, 108_000], fps=Fraction(1)))
    error = refusal(data)
    assert error.code == "too_long"
    assert "30.0 hours" in error.detail


# -- too many pixels ------------------------------------------------------------------------------


def sps(width: int, height: int) -> bytes:
    """An H.264 sequence parameter set (7.3.2.1) of the baseline profile for this size."""
    bits = ""

    def golomb(value: int) -> str:
        code = f"{value + 1:b}"
        return "0" * (len(code) - 1) + code

    bits = f"{66:08b}{0:08b}{62:08b}"
    bits += golomb(0) + golomb(0) + golomb(2) + golomb(1) + "0"
    bits += golomb(width // 16 - 1) + golomb(height // 16 - 1) + "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    body = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    for _ in range(3):
        body = body.replace(b"\0\0\0", b"\0\0\3\0").replace(b"\0\0\1", b"\0\0\3\1")
    return b"\x67" + body


def blown_up(from_packet: int) -> Callable[[int, Any], Any]:
    def alter(index: int, packet: Any) -> Any:
        data = bytes(packet)
        if index >= from_packet and b"\0\0\1\x67" in data:
            start = data.index(b"\0\0\1\x67") + 3
            end = data.index(b"\0\0\1", start)
            data = data[:start] + sps(16384, 16384) + b"\0" + data[end:]
            return with_bytes(packet, data)
        return packet

    return alter


BASELINE = {"profile": "baseline", "x264-params": "scenecut=0"}


def test_a_picture_of_16384_x_16384_is_refused_before_it_takes_memory() -> None:
    tight = DecodeLimits(stall_seconds=10, memory_bytes=1024**3)
    stream = Clip("mpegts", options=BASELINE, frames=40, alter_packet=blown_up(0))
    assert refusal(encode(stream), tight).code == "too_many_pixels"
    stated = encode(Clip("matroska", "mjpeg", pix_fmt="yuvj420p", frames=5))
    assert b"\x00\x78\x00\xa0" in stated
    assert refusal(stated.replace(b"\x00\x78\x00\xa0", b"\x40\x00\x40\x00"), tight).code == (
        "too_many_pixels"
    )
    picture = encode(Clip("image2pipe", "png", frames=1, pix_fmt="rgb24"))
    large = picture.replace(b"\0\0\0\xa0\0\0\0\x78", b"\0\0\x40\0\0\0\x40\0", 1)
    assert refusal(large, tight, images=True).code in ("too_many_pixels", "corrupt_video")


def test_a_picture_that_grows_too_large_further_on_ends_the_segment() -> None:
    data = encode(Clip("mpegts", options=BASELINE, frames=120, alter_packet=blown_up(96)))
    source = MemorySource(data)
    info, plans = scanned(source)
    with (
        frames(source, plans[0], range(info.total_frames), info, LIMITS) as reader,
        pytest.raises(VideoError) as refused,
    ):
        for _ in reader:
            pass
    assert refused.value.code == "too_many_pixels"


# -- damage ---------------------------------------------------------------------------------------

WHOLE = {
    "mp4": Clip(frames=80, container_options={"movflags": "faststart"}),
    "fragmented mp4": Clip(frames=80, container_options={"movflags": "frag_keyframe+empty_moov"}),
    "mkv": Clip("matroska", frames=80),
    "webm": Clip(
        "webm", "libvpx-vp9", frames=80, options={"cpu-used": "8", "deadline": "realtime"}
    ),
    "avi": Clip("avi", "mpeg4", frames=80),
    "flv": Clip("flv", frames=80),
    "ts": Clip("mpegts", frames=80),
}


@pytest.mark.parametrize("name", WHOLE)
def test_of_a_file_that_was_cut_off_what_is_there_is_read(name: str) -> None:
    data = encode(WHOLE[name])
    whole = decode_plainly(data)
    cuts = random.Random(name).sample(range(1, len(data) - 200), 3)
    for cut in [10, *cuts, len(data) - 150]:
        try:
            info, images, problems = delivered(data[:cut])
        except VideoError as error:
            assert error.code in ("not_a_video", "corrupt_video", "no_frames", "no_video_stream")
            assert cut < len(data) / 2
            continue
        assert info.truncated or name == "mkv"
        assert not any("-1" in problem for problem in problems)
        if info.truncated:
            seconds, count = f"{info.duration_seconds:.1f}", info.total_frames
            assert problems[0] == f"truncated after {seconds} s; {count} frames were read"
        assert info.total_frames <= 80
        correct = sum(np.array_equal(image, whole[n].image) for n, image in images.items())
        assert correct >= len(images) - 3
        assert correct >= info.total_frames - 3


def test_an_flv_that_was_cut_off_just_behind_a_tag_is_truncated() -> None:
    data = encode(WHOLE["flv"])
    at = 13
    for _ in range(40):
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    info, images, _ = delivered(data[:at])
    assert info.truncated
    assert len(images) == info.total_frames > 30
    assert not delivered(data)[0].truncated


def test_an_mp4_that_lost_its_index_says_so() -> None:
    data = encode(Clip(frames=60))
    error = refusal(data[: data.index(b"moov") - 4])
    assert error.code == "corrupt_video"
    assert "index (moov)" in error.detail


@pytest.mark.parametrize(
    "clip",
    [
        Clip(frames=90), Clip("matroska", frames=90),
        Clip("matroska", "libvpx-vp9", frames=90, options={"cpu-used": "8"}),
        Clip("avi", "mpeg4", frames=90),
        Clip("mp4", "libsvtav1", frames=90, options={"preset": "10"}),
        Clip(codec="libx265", frames=90, options={"x265-params": "log-level=none:keyint=12"}),
    ],
    ids=lambda clip: f"{clip.container} {clip.codec}",
)  # fmt: skip
@pytest.mark.parametrize("spared", [0, 12])
def test_damage_costs_the_frames_it_hits_and_no_other_their_number(clip: Clip, spared: int) -> None:
    hit: list[bytes] = []

    def note(index: int, packet: Any) -> Any:
        if index >= 40 and not hit and packet.size > 60:
            hit.append(bytes(packet)[4 + spared :])
        return packet

    clip.alter_packet = note
    data = encode(clip)
    whole = decode_plainly(data)
    assert data.count(hit[0]) == 1
    damaged = data.replace(hit[0], bytes(byte ^ 0x55 for byte in hit[0]))
    info, images, _ = delivered(damaged, 1.0)
    assert info.total_frames == 90
    for number in [*range(24), *range(64, 90)]:
        assert np.array_equal(images[number], whole[number].image)


REFUSALS = (
    "not_a_video", "corrupt_video", "no_frames", "no_video_stream", "unsupported_container",
    "unsupported_codec", "too_long", "too_many_pixels",
)  # fmt: skip
"""What may come of a damaged file, if no frames do. A decoder that dies or hangs is none of it."""


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_crash_nothing(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(encode(list(WHOLE.values())[seed % len(WHOLE)]))
    for _ in range(2 + 20 * (seed // len(WHOLE)) * len(data) // 1000):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        info, images, _ = delivered(bytes(data), 1.5)
    except VideoError as error:
        assert error.code in REFUSALS
    else:
        assert images.keys() <= set(range(info.total_frames))


@pytest.fixture(scope="module")
def whole_files() -> dict[str, bytes]:
    return {name: encode(replace(clip, frames=40)) for name, clip in WHOLE.items()}


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Counter[str]]:
    """How often each outcome came; printed at the end."""
    counted: Counter[str] = Counter()
    yield counted
    print(f"\n{counted.total()} mutants: {dict(counted.most_common())}")


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "ts"])
def test_the_mutator_knows_the_elements_of(name: str, whole_files: dict[str, bytes]) -> None:
    data = whole_files[name]
    found = elements(data)
    assert len(found) >= 30
    for element in found:
        size = data[element.size_at : element.size_at + element.size_bytes]
        assert size == element.written(element.end - element.body)
    outer = [element for element in found if not element.parents]
    assert all(one.end == two.start for one, two in pairwise(outer))
    assert outer[-1].end == len(data)


@pytest.mark.parametrize("number", range(MUTANTS))
def test_a_mutant_is_read_or_refused(
    number: int, whole_files: dict[str, bytes], outcomes: Counter[str]
) -> None:
    what, data = mutant(number, whole_files)
    try:
        seen = looked_through(data)
    except VideoError as error:
        outcomes[error.code] += 1
        # An element that says it is huge may ask for more memory than a decoder is given.
        known = {*REFUSALS, "empty_file", "decoder_memory"}
        assert error.code in known, f"{what}: {error.code}: {error.detail}"
    else:
        outcomes["read whole" if seen == 40 else "read in part" if seen < 40 else "more"] += 1


def looked_through(data: bytes) -> int:
    """How many frames came of a video; none is kept, for they may be huge."""
    source, seen = MemorySource(data), 0
    info, plans = scanned(source)
    for plan in plans:
        wanted = range(plan.first_frame, plan.end_frame)
        with frames(source, plan, wanted, info, LIMITS) as reader:
            numbers = [frame.number for frame in reader]
        assert numbers == sorted(set(numbers))
        assert set(numbers) <= set(wanted)
        assert len(numbers) + reader.missing == len(wanted)
        seen += len(numbers)
    return seen


# -- storage --------------------------------------------------------------------------------------


class Failing(MemorySource):
    def __init__(self, data: bytes, error: Exception, after: int) -> None:
        super().__init__(data)
        self.error, self.left = error, after

    def read_at(self, offset: int, length: int) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().read_at(offset, length)


@pytest.mark.parametrize(
    "error", [StorageError("no answer"), ObjectMissing("gone"), ObjectChanged("overwritten")]
)
def test_what_storage_raises_comes_out_as_it_is(error: Exception) -> None:
    data = encode(
        Clip(
            "matroska",
            frames=60,
            width=320,
            height=240,
            noise=True,
            options={"preset": "ultrafast", "qp": "10"},
        )
    )
    with pytest.raises(type(error)) as raised:
        list(scan(Failing(data, error, 0), LIMITS, 1))
    assert raised.value is error
    info, plans = scanned(MemorySource(data))
    assert len(data) > 5_000_000
    with (
        pytest.raises(type(error)) as raised,
        frames(Failing(data, error, 2), plans[0], range(60), info, LIMITS) as reader,
    ):
        list(map(type, reader))
    assert raised.value is error
    error.__traceback__ = None  # it holds this function's frames, and they hold pictures


class Slow(MemorySource):
    def read_at(self, offset: int, length: int) -> bytes:
        time.sleep(1.0)
        return super().read_at(offset, length)


def test_slow_storage_is_not_a_hung_decoder() -> None:
    data = encode(Clip(frames=10))
    found = list(scan(Slow(data), DecodeLimits(stall_seconds=0.6), 10))
    assert len(found) == 3


# -- the child ------------------------------------------------------------------------------------


def child() -> psutil.Process:
    (process,) = decoders()
    return process


@pytest.fixture(scope="module")
def clip() -> bytes:
    return encode(Clip(frames=200))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_child_that_dies_is_a_crash(number: signal.Signals, clip: bytes) -> None:
    source = MemorySource(clip)
    info, plans = scanned(source)
    with frames(source, plans[0], range(200), info, LIMITS) as reader:
        next(reader)
        child().send_signal(number)
        with pytest.raises(VideoError) as crashed:
            list(reader)
    assert crashed.value.code == "decoder_crashed"


def test_a_child_that_stops_is_killed_in_time(clip: bytes) -> None:
    source = MemorySource(clip)
    info, plans = scanned(source)
    reader = frames(source, plans[0], range(200), info, DecodeLimits(stall_seconds=1))
    with reader:
        next(reader)
        child().suspend()
        start = time.monotonic()
        with pytest.raises(VideoError) as hung:
            list(reader)
        assert 0.9 < time.monotonic() - start < 3
    assert hung.value.code == "decoder_hung"


def test_reading_can_stop_early_and_the_child_is_gone(clip: bytes) -> None:
    source = MemorySource(clip)
    info, plans = scanned(source)
    reader = frames(source, plans[0], range(200), info, LIMITS)
    next(reader)
    process = child()
    reader.close()
    assert not process.is_running()
    found = scan(source, LIMITS, 1)
    next(found)
    process = child()
    found.close()
    assert not process.is_running()


def test_a_child_that_outgrows_its_memory_is_told_from_a_crash() -> None:
    small = encode(Clip("image2pipe", "png", frames=1, pix_fmt="rgb24"))
    large = small.replace(b"\0\0\0\xa0\0\0\0\x78", b"\0\0\x30\0\0\0\x30\0", 1)
    start = large.index(b"IHDR")
    checksum = zlib.crc32(large[start : start + 17]).to_bytes(4, "big")
    large = large[: start + 17] + checksum + large[start + 21 :]
    limits = DecodeLimits(memory_bytes=256 * 1024**2, max_pixels=10**9)
    error = refusal(large, limits, images=True)
    assert error.code == "decoder_memory"


def test_decoded_pictures_do_not_pile_up_in_the_child() -> None:
    source = MemorySource(encode(Clip(frames=260, width=640, height=480)))
    info, plans = scanned(source)
    grown = {}
    with frames(source, plans[0], range(260), info, LIMITS) as reader:
        for frame in reader:
            if frame.number in (60, 250):
                grown[frame.number] = child().memory_info().rss
    # A picture takes 1.4 MB in its two forms.
    assert grown[250] - grown[60] < 40 * 1024**2


def test_the_child_does_not_outlive_the_service(tmp_path: Path, clip: bytes) -> None:
    video = tmp_path / "video"
    video.write_bytes(clip)
    script = f"""
        import sys, time, psutil
        from pathlib import Path
        from detect_api.storage.reader import FileSource
        from detect_api.vision.decode import DecodeLimits, frames, scan
        source = FileSource(Path({str(video)!r}))
        *_, plan, info = scan(source, DecodeLimits(), 100)
        reader = frames(source, plan, range(200), info, DecodeLimits())
        next(reader)
        print(psutil.Process().children()[0].pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as service:  # fmt: skip
        assert service.stdout is not None
        pid = int(service.stdout.readline())
        service.kill()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.02)
    else:
        assert not psutil.pid_exists(pid)


def behaving(behave: str, stall_seconds: float = 5) -> list[dict[str, Any]]:
    with Sandbox(
        MemorySource(b"x"), {"behave": behave}, stall_seconds=stall_seconds,
        child="tests.misbehaving_child",
    ) as sandbox:  # fmt: skip
        return list(sandbox.messages())


def test_the_child_sees_no_secrets_and_reaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    report = behaving("report")[0]["segment"]
    assert report["reached"] == []
    assert set(report["environment"]) <= {
        "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LC_ALL", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"
    }  # fmt: skip


@pytest.mark.parametrize("behave", ["garbage", "endless message", "list", "abort"])
def test_nonsense_from_the_child_is_a_crash(behave: str) -> None:
    with pytest.raises(VideoError) as crashed:
        behaving(behave)
    assert crashed.value.code == "decoder_crashed"


def test_a_talkative_child_is_not_stopped_by_its_talk() -> None:
    assert behaving("noise") == [{"done": True}]


def test_a_silent_child_is_hung() -> None:
    with pytest.raises(VideoError) as hung:
        behaving("sleep", stall_seconds=0.7)
    assert hung.value.code == "decoder_hung"


def test_a_child_that_only_computes_is_hung() -> None:
    with pytest.raises(VideoError) as hung:
        behaving("spin")
    assert hung.value.code == "decoder_hung"
