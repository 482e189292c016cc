"""Frames have the numbers, times and pixels of one plain decode, however the video is cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from detect_api.core.errors import VideoError
from detect_api.vision.decode import DecodeLimits, frames, scan
from detect_api.vision.types import Frame, SegmentPlan, VideoInfo
from tests.videos import (
    Clip,
    MemorySource,
    Shown,
    decode_plainly,
    encode,
    number_in,
    picture,
    with_bytes,
)  # fmt: skip

LIMITS = DecodeLimits(stall_seconds=20)


def x264(**parameters: object) -> dict[str, str]:
    return {"x264-params": ":".join(f"{k.replace('_', '-')}={v}" for k, v in parameters.items())}


def x265(**parameters: object) -> dict[str, str]:
    pairs = [f"{k.replace('_', '-')}={v}" for k, v in parameters.items()]
    return {"x265-params": ":".join(["log-level=none", *pairs])}


OPEN_GOP = x264(open_gop=1, bframes=3, b_adapt=0, scenecut=0, keyint=12, min_keyint=12)
HEVC_OPEN_GOP = x265(open_gop=1, keyint=12, min_keyint=12, bframes=4)
LIBVPX = {"deadline": "good", "cpu-used": "5", "b": "400k"}
UNEVEN = tuple(itertools.accumulate([0] + [1000 + 700 * (i % 3) + 5 * i for i in range(71)]))

CLIPS = {
    "mp4 h264 open gop": Clip(options=OPEN_GOP),
    "mp4 h264 index first": Clip(container_options={"movflags": "faststart"}),
    "mp4 h264 fragmented": Clip(
        options=OPEN_GOP, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mp4 h264 fragmented without its own index": Clip(
        container_options={"movflags": "frag_keyframe+empty_moov+skip_trailer+default_base_moof"}
    ),
    "mov h264": Clip("mov", options=x264(bframes=2)),
    "mkv h264 open gop": Clip("matroska", options=OPEN_GOP),
    "mkv h264 without cues": Clip("matroska", container_options={"live": "1"}),
    "mkv h264 intra refresh": Clip("matroska", options=x264(intra_refresh=1, keyint=12)),
    "flv h264 open gop": Clip("flv", options=OPEN_GOP),
    "ts h264 open gop": Clip("mpegts", options=OPEN_GOP),
    "ts h264 intra refresh": Clip("mpegts", options=x264(intra_refresh=1, keyint=12)),
    "ts h264 interlaced": Clip("mpegts", options=x264(interlaced=1, tff=1, bframes=2)),
    "mp4 h264 interlaced": Clip(options=x264(interlaced=1, tff=1, bframes=2)),
    "mp4 h264 10 bit": Clip(pix_fmt="yuv420p10le"),
    "mp4 h264 odd size": Clip(width=161, height=121, pix_fmt="yuv444p"),
    "mp4 hevc open gop": Clip(codec="libx265", options=HEVC_OPEN_GOP),
    "mkv hevc 10 bit": Clip("matroska", "libx265", options=HEVC_OPEN_GOP, pix_fmt="yuv420p10le"),
    "ts hevc open gop": Clip("mpegts", "libx265", options=HEVC_OPEN_GOP),
    "webm vp8": Clip("webm", "libvpx", options=LIBVPX),
    "webm vp9": Clip("webm", "libvpx-vp9", options=LIBVPX | {"lag-in-frames": "16"}),
    "mp4 av1": Clip(codec="libsvtav1", options={"preset": "10", "crf": "30"}),
    "mkv av1": Clip("matroska", "libsvtav1", options={"preset": "10", "crf": "30"}),
    "avi mpeg4": Clip("avi", "mpeg4", options={"bf": "2"}),
    "mp4 mpeg4": Clip(codec="mpeg4", options={"bf": "2"}),
    "ts mpeg2": Clip("mpegts", "mpeg2video", options={"bf": "2"}),
    "mpeg program stream": Clip("mpeg", "mpeg2video", options={"bf": "2"}),
    "avi mjpeg": Clip("avi", "mjpeg", pix_fmt="yuvj420p"),
    "flv sorenson": Clip("flv", "flv1"),
    "mov prores": Clip("mov", "prores_ks", pix_fmt="yuv422p10le"),
    "mkv ffv1": Clip("matroska", "ffv1"),
    "mp4 rotated 90": Clip(rotation=90),
    "mov rotated 180": Clip("mov", rotation=180),
    "mp4 rotated 270": Clip(rotation=270, options=OPEN_GOP),
    "mp4 variable rate": Clip(times=UNEVEN, time_base=Fraction(1, 90000), options=OPEN_GOP),
    "mkv variable rate": Clip("matroska", times=UNEVEN, time_base=Fraction(1, 90000)),
    "mp4 ntsc": Clip(fps=Fraction(30000, 1001)),
    "mp4 audio first": Clip(audio="first"),
    "ts audio last": Clip("mpegts", audio="last"),
    "flv audio last": Clip("flv", audio="last"),
    "avi audio first": Clip("avi", "mpeg4", audio="first"),
    "mkv two videos": Clip("matroska", second_video=True),
    "ts two videos": Clip("mpegts", second_video=True),
}


def read(data: bytes, seconds: float) -> tuple[VideoInfo, list[SegmentPlan], list[Frame]]:
    """All frames, segment by segment."""
    source = MemorySource(data)
    found = list(scan(source, LIMITS, seconds))
    info, plans = found[-1], [item for item in found if isinstance(item, SegmentPlan)]
    assert isinstance(found[0], VideoInfo)
    assert isinstance(info, VideoInfo)

    def deliver(plan: SegmentPlan) -> list[Frame]:
        numbers = range(plan.first_frame, plan.end_frame)
        with frames(source, plan, numbers, info, LIMITS) as reader:
            taken = [Frame(f.number, f.seconds, f.image.copy()) for f in reader]
        assert reader.problems == []
        return taken

    with ThreadPoolExecutor(2) as pool:  # segments are independent of each other
        return info, plans, list(itertools.chain.from_iterable(pool.map(deliver, plans)))


def assert_same(taken: Iterable[Frame], expected: Iterable[Shown]) -> None:
    for frame, shown in zip(taken, expected, strict=True):
        assert frame.number == shown.number
        assert frame.seconds == shown.seconds
        assert np.array_equal(frame.image, shown.image)


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_those_of_a_plain_decode_whatever_the_segments(name: str) -> None:
    clip = CLIPS[name]
    clip.frames = 72
    data = encode(clip)
    expected = decode_plainly(data)
    assert [number_in(shown.image) for shown in expected] == list(range(72))
    for seconds in (0.5, 100.0):
        info, plans, taken = read(data, seconds)
        assert_same(taken, expected)
        assert info.total_frames == 72
        assert info.problems == ()
        assert not info.truncated
        assert (info.width, info.height) == (clip.width, clip.height)
        assert info.rotation == clip.rotation
        assert [p.index for p in plans] == list(range(len(plans)))
        assert plans[0].first_frame == 0
        assert plans[-1].end_frame == 72
        for earlier, later in itertools.pairwise(plans):
            assert earlier.end_frame == later.first_frame
            assert earlier.end_seconds == later.start_seconds
            assert later.start_seconds - earlier.start_seconds >= seconds - 1e-9
        for plan in plans:
            assert plan.start_seconds == expected[plan.first_frame].seconds
        if seconds > 10 or "refresh" in name:
            assert len(plans) == 1
        else:
            assert len(plans) >= 3
    if "variable" not in name:
        assert info.fps == pytest.approx(float(clip.fps), rel=2e-3)
        assert info.duration_seconds == pytest.approx(72 / float(clip.fps), abs=0.035)


@pytest.mark.parametrize("options", [x264(bframes=3, b_adapt=0), OPEN_GOP])
def test_h264_in_avi_which_has_no_presentation_times_is_counted_at_a_constant_rate(
    options: dict[str, str],
) -> None:
    data = encode(Clip("avi", options=options, frames=70))
    expected = decode_plainly(data)
    assert [number_in(shown.image) for shown in expected] == list(range(70))
    for seconds in (0.5, 100.0):
        info, _, taken = read(data, seconds)
        assert info.total_frames == 70
        assert [number_in(frame.image) for frame in taken] == list(range(70))
        steps = [b.seconds - a.seconds for a, b in itertools.pairwise(taken)]
        assert steps == pytest.approx([1 / 30] * 69)
        assert all(np.array_equal(a.image, b.image) for a, b in zip(taken, expected, strict=True))


def test_packed_b_frames_of_mpeg4_are_taken_apart_in_every_segment() -> None:
    held: list[Any] = []

    def pack(index: int, packet: Any) -> Any:
        """Writes a B-picture into the packet before it, and "not coded" where it was (DivX)."""
        data = bytes(packet)
        at = data.index(b"\0\0\1\xb6")
        if index == 0:
            return with_bytes(packet, data[:at] + b"\0\0\1\xb2DivX503b1393p" + data[at:])
        if data[at + 4] >> 6 == 2:
            not_coded = with_bytes(packet, b"\0\0\1\xb6\x50\x47")
            return [with_bytes(held[0], bytes(held.pop()) + data), not_coded]
        held.append(packet)
        return held.pop(0) if len(held) > 1 else None

    data = encode(Clip("avi", "mpeg4", frames=91, options={"bf": "1"}, alter_packet=pack))
    expected = decode_plainly(data)
    assert [number_in(shown.image) for shown in expected] == list(range(len(expected)))
    assert len(expected) > 85
    for seconds in (0.5, 100.0):
        info, plans, taken = read(data, seconds)
        assert info.total_frames == len(expected)
        assert len(plans) > 2 or seconds > 1
        assert [frame.number for frame in taken] == list(range(len(expected)))
        assert all(np.array_equal(a.image, b.image) for a, b in zip(taken, expected, strict=True))
        steps = [b.seconds - a.seconds for a, b in itertools.pairwise(taken)]
        assert steps == pytest.approx([1 / 30] * len(steps))


def test_a_single_frame_can_be_taken_out_of_the_middle() -> None:
    data = encode(Clip(options=OPEN_GOP, frames=90))
    source = MemorySource(data)
    *_, info = found = list(scan(source, LIMITS, 1.0))
    expected = decode_plainly(data)
    plans = [item for item in found if isinstance(item, SegmentPlan)]
    assert isinstance(info, VideoInfo)
    for number in (0, 35, 36, 41, 89):
        plan = next(p for p in plans if p.first_frame <= number < p.end_frame)
        with frames(source, plan, [number], info, LIMITS) as reader:
            assert_same(reader, [expected[number]])


def test_only_the_wanted_frames_come() -> None:
    data = encode(Clip(frames=60))
    source = MemorySource(data)
    found = list(scan(source, LIMITS, 100))
    plan, info = found[1], found[-1]
    assert isinstance(plan, SegmentPlan)
    assert isinstance(info, VideoInfo)
    for numbers in (range(4, 60, 7), [0, 1, 30, 59], range(0)):
        with frames(source, plan, numbers, info, LIMITS) as reader:
            assert [frame.number for frame in reader] == list(numbers)
        assert reader.missing == 0


def test_frames_outside_of_the_segment_are_refused() -> None:
    source = MemorySource(encode(Clip(frames=30)))
    found = list(scan(source, LIMITS, 100))
    plan, info = found[1], found[-1]
    assert isinstance(plan, SegmentPlan)
    assert isinstance(info, VideoInfo)
    with pytest.raises(ValueError, match="outside"):
        frames(source, plan, [29, 30], info, LIMITS)


def test_a_hidden_frame_of_vp8_is_not_counted() -> None:
    def hide(index: int, packet: Any) -> Any:
        data = bytearray(bytes(packet))
        if index % 10 == 5:  # clears show_frame (RFC 6386 9.1)
            data[0] &= ~0x10
            packet.update(bytes(data))
        return packet

    data = encode(Clip("webm", "libvpx", options=LIBVPX, alter_packet=hide, frames=90))
    expected = decode_plainly(data)
    assert len(expected) == 81
    for seconds in (0.5, 100.0):
        info, plans, taken = read(data, seconds)
        assert info.total_frames == 81
        assert_same(taken, expected)
        assert plans[0].cursor["by"] == "time"


def test_leading_pictures_that_refer_to_what_was_cut_off_are_not_counted() -> None:
    for clip in (
        Clip("mpegts", options=OPEN_GOP, frames=90),
        Clip("mpegts", "libx265", options=HEVC_OPEN_GOP, frames=90),
    ):
        clip.alter_packet = lambda index, packet: packet if index >= 12 else None
        data = encode(clip)
        expected = decode_plainly(data)
        assert 50 < len(expected) <= 78
        for seconds in (0.5, 100.0):
            info, _, taken = read(data, seconds)
            assert_same(taken, expected)
            assert info.total_frames == len(expected)


def test_an_edit_list_hides_what_it_cuts_away() -> None:
    # B-frames start the stream with a negative decoding time; dropping the first packets of a
    # copy leaves an edit list that starts in the middle of a group of pictures.
    data = encode(Clip(options=x264(bframes=3, b_adapt=0), frames=80))
    edited = data.replace(b"elst", b"elst", 1)
    at = edited.index(b"elst")
    start = int.from_bytes(edited[at + 16 : at + 20], "big")
    edited = edited[: at + 16] + (start + 20 * 512).to_bytes(4, "big") + edited[at + 20 :]
    expected = decode_plainly(edited)
    assert number_in(expected[0].image) == 20
    for seconds in (0.5, 100.0):
        info, _, taken = read(edited, seconds)
        assert_same(taken, expected)
        assert info.total_frames == len(expected)


def test_times_before_zero_go_on_to_the_left() -> None:
    data = encode(
        Clip("matroska", frames=60, times=range(-10, 50), time_base=Fraction(1, 30),
             container_options={"avoid_negative_ts": "disabled"})
    )  # fmt: skip
    info, _, taken = read(data, 0.5)
    assert [number_in(frame.image) for frame in taken] == list(range(60))
    times = [frame.seconds for frame in taken]
    assert times == pytest.approx([n / 30 for n in range(-10, 50)], abs=0.01)
    assert info.duration_seconds == pytest.approx(2.0, abs=0.01)


def test_a_stream_whose_clock_starts_again_is_counted() -> None:
    one = encode(Clip("mpegts", options=OPEN_GOP, frames=90))
    data = one + encode(Clip("mpegts", options=OPEN_GOP, frames=90))
    expected = decode_plainly(data)
    for seconds in (0.5, 100.0):
        info, _, taken = read(data, seconds)
        assert info.total_frames == len(expected)
        assert_same(taken, expected)


def test_the_cover_picture_is_not_the_video() -> None:
    data = encode(Clip("mp4", cover=True, frames=30))
    info, _, taken = read(data, 100)
    assert info.codec == "h264"
    assert [number_in(frame.image) for frame in taken] == list(range(30))


def test_a_change_of_size_further_on_is_scaled_to_the_first_size() -> None:
    data = encode(Clip("mpegts", frames=40)) + encode(
        Clip("mpegts", frames=40, width=320, height=240)
    )
    info, _, taken = read(data, 100)
    assert info.total_frames == len(taken) == len(decode_plainly(data))
    assert {frame.image.shape for frame in taken} == {(120, 160, 3)}


def test_an_mp4_with_an_index_is_scanned_without_reading_its_pictures() -> None:
    for movflags in ("faststart", "disable_chpl"):
        data = encode(
            Clip(frames=180, width=320, height=240, gop=12, noise=True,
                 options=x264(qp=10, bframes=2, scenecut=0) | {"preset": "ultrafast"},
                 container_options={"movflags": movflags})
        )  # fmt: skip
        source = MemorySource(data)
        found = list(scan(source, LIMITS, 1.2))
        info = found[-1]
        assert isinstance(info, VideoInfo)
        assert info.total_frames == 180
        assert len(found) - 2 == 5
        assert source.bytes_read < len(data) * 0.8


def test_work_can_start_before_the_scan_has_ended() -> None:
    data = encode(Clip("matroska", frames=300, noise=True))
    source = MemorySource(data)
    found = scan(source, LIMITS, 1.0)
    first, second = next(found), next(found)
    assert isinstance(first, VideoInfo)
    assert first.total_frames == pytest.approx(300, rel=0.1)
    assert isinstance(second, SegmentPlan)
    assert second.first_frame == 0
    found.close()


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "form"),
    [("mjpeg", "yuvj420p", "jpeg"), ("png", "rgb24", "png"),
     ("libwebp", "yuv420p", "webp"), ("bmp", "bgr24", "bmp")],
)  # fmt: skip
def test_a_still_picture_is_a_video_of_one_frame(codec: str, pix_fmt: str, form: str) -> None:
    data = encode(Clip("image2pipe", codec, frames=1, pix_fmt=pix_fmt, numbers=lambda _: 4711))
    source = MemorySource(data)
    info, plan, last = list(scan(source, LIMITS, 10, images=True))
    assert isinstance(info, VideoInfo)
    assert isinstance(plan, SegmentPlan)
    assert info == last
    assert (info.container, info.width, info.height, info.total_frames) == (form, 160, 120, 1)
    with frames(source, plan, [0], info, LIMITS) as reader:
        frame = next(reader)
        assert number_in(frame.image) == 4711
        assert np.abs(frame.image.astype(int) - picture(4711).astype(int)).mean() < 20
    with pytest.raises(VideoError) as refused:
        list(scan(source, LIMITS, 10))
    assert refused.value.code == "not_a_video"


def test_a_photograph_is_turned_as_its_exif_orientation_says() -> None:
    upright = picture(99, 120, 160)
    clip = Clip("image2pipe", "mjpeg", frames=1, width=160, height=120, pix_fmt="yuvj420p",
                numbers=lambda _: 99)  # fmt: skip
    plain = encode(clip)
    # Orientation 6: turn 90 degrees clockwise to be upright.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    source = MemorySource(data)
    info, plan, _ = list(scan(source, LIMITS, 10, images=True))
    assert isinstance(info, VideoInfo)
    assert isinstance(plan, SegmentPlan)
    assert (info.width, info.height, info.rotation) == (upright.shape[1], upright.shape[0], 90)
    with frames(source, plan, [0], info, LIMITS) as reader:
        turned = next(reader).image
    assert number_in(np.ascontiguousarray(np.rot90(turned, 1))) == 99


def test_a_video_is_not_taken_for_a_picture() -> None:
    with pytest.raises(VideoError) as refused:
        list(scan(MemorySource(encode(Clip(frames=5))), LIMITS, 10, images=True))
    assert refused.value.code == "not_a_video"
