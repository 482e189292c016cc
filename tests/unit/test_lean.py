"""Frames in parts show what whole frames show, at the same numbers and times."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect_api.vision.decode import DecodeLimits, frames, lean_frames, scan
from detect_api.vision.lean import LeanFrame, Turn, detection_size
from detect_api.vision.slots import LeanSlots
from detect_api.vision.types import AnyFrame, Frame, Image, SegmentPlan, VideoInfo
from tests.videos import Clip, MemorySource, encode, number_in

LIMITS = DecodeLimits(stall_seconds=20)


def large(container: str = "mp4", codec: str = "libx264", **others: Any) -> Clip:
    """Eight frames that are larger than the detector's picture."""
    return Clip(container, codec, **{"width": 724, "height": 406, "frames": 8} | others)


def x264(**parameters: object) -> dict[str, str]:
    return {"x264-params": ":".join(f"{k}={v}" for k, v in parameters.items())}


CLIPS = {
    "h264": large(),
    "h264 bt709": large(options=x264(colormatrix="bt709")),
    "h264 bt709 full range": large(options=x264(colormatrix="bt709", fullrange="on")),
    "h264 bt2020": large(options=x264(colormatrix="bt2020nc")),
    "h264 smpte240m": large(options=x264(colormatrix="smpte240m")),
    "h264 fcc": large(options=x264(colormatrix="fcc")),
    "h264 ycgco": large(options=x264(colormatrix="YCgCo")),
    "h264 4:2:2": large(pix_fmt="yuv422p"),
    "h264 4:4:4": large(pix_fmt="yuv444p"),
    "h264 10 bit": large(pix_fmt="yuv420p10le"),
    "h264 odd size": large(width=725, height=407, pix_fmt="yuv444p"),
    "vp9 odd size": large("webm", "libvpx-vp9", width=725, height=407,
                         options={"cpu-used": "8", "deadline": "realtime"}),
    "mjpeg": large("avi", "mjpeg", pix_fmt="yuvj420p"),
    "mjpeg 4:2:2": large("avi", "mjpeg", pix_fmt="yuvj422p"),
    "ffv1 rgb": large("matroska", "ffv1", pix_fmt="bgr0"),
    "ffv1 grey": large("matroska", "ffv1", pix_fmt="gray"),
    "rotated 90": large(rotation=90),
    "rotated 180": large("mov", rotation=180),
    "rotated 270": large(rotation=270),
}  # fmt: skip
AS_PLANES = [
    name for name in CLIPS if name not in {"h264 10 bit", "h264 ycgco"} and "ffv1" not in name
]


def opened(data: bytes) -> tuple[MemorySource, SegmentPlan, VideoInfo]:
    source = MemorySource(data)
    _, plan, info = scan(source, LIMITS, 100)
    assert isinstance(plan, SegmentPlan)
    assert isinstance(info, VideoInfo)
    return source, plan, info


def both(data: bytes) -> Iterator[tuple[Frame, AnyFrame]]:
    """Each frame whole and in parts."""
    source, plan, info = opened(data)
    numbers = range(plan.first_frame, plan.end_frame)
    with ExitStack() as stack:
        whole = stack.enter_context(frames(source, plan, numbers, info, LIMITS))
        lean = stack.enter_context(lean_frames(source, plan, numbers, info, LIMITS))
        yield from zip(whole, lean, strict=True)


def assert_alike(part: Image, whole: Image, *, exact: bool) -> None:
    """FFmpeg's scaler, made for speed, cuts off where the service rounds.

    Not ``exact``: it also smooths the colours if the last row of colour stands for one row alone.
    """
    assert part.shape == whole.shape
    difference = np.abs(part.astype(int) - whole.astype(int))
    assert difference.mean() < 8
    assert not exact or difference.max() <= 4


@pytest.mark.parametrize("name", CLIPS)
def test_every_part_is_that_of_the_whole_frame(name: str) -> None:
    count = 0
    for whole, lean in both(encode(CLIPS[name])):
        assert (lean.number, lean.seconds) == (whole.number, whole.seconds)
        assert (lean.width, lean.height) == (whole.width, whole.height)
        assert isinstance(lean, LeanFrame) is (name in AS_PLANES)
        corners = ((0, 0, 96, 96), (1, 3, 50, 41), (33, 20, 34, 21))
        ends = ((whole.width - 61, whole.height - 33, whole.width, whole.height),)
        for part in (*corners, *ends, (0, 0, whole.width, whole.height)):
            assert_alike(lean.part(*part), whole.part(*part), exact=name != "vp9 odd size")
        assert number_in(lean.part(0, 0, 96, 96)) == lean.number
        count += 1
    assert count == 8


@pytest.mark.parametrize("name", ["h264", "h264 10 bit", "rotated 90", "mjpeg"])
def test_the_small_picture_is_that_of_the_decoders_scaler(name: str) -> None:
    clip = CLIPS[name]
    data = encode(clip)
    container: Any
    with av.open(io.BytesIO(data)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for decoded, (_, lean) in zip(container.decode(video=0), both(data), strict=True):
            width, height = detection_size(decoded.width, decoded.height)
            small = decoded.reformat(
                width=width, height=height, format="bgr24", interpolation="AREA", threads=1
            ).to_ndarray()
            assert max(lean.small.shape) == 640
            assert np.array_equal(lean.small, np.rot90(small, round(decoded.rotation / 90) % 4))


def test_a_frame_that_is_small_already_is_not_taken_apart() -> None:
    for whole, lean in both(encode(Clip(frames=5))):
        assert isinstance(lean, Frame)
        assert np.array_equal(lean.image, whole.image)
        assert lean.small is lean.image


def test_a_change_of_size_further_on_is_scaled_to_the_first_size() -> None:
    data = encode(large("mpegts")) + encode(Clip("mpegts", frames=8, width=320, height=240))
    shapes = {(lean.width, lean.height, lean.small.shape) for _, lean in both(data)}
    assert shapes == {(724, 406, (359, 640, 3))}


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_the_detectors_picture_keeps_shape_and_bounds(width: int, height: int) -> None:
    small = detection_size(width, height)
    assert max(small) <= max(width, height)
    assert min(max(width, height), 640) <= max(small) <= 1280
    if max(width, height) <= 640:
        assert small == (width, height)
    assert abs(small[0] * height - small[1] * width) <= max(width, height)


@given(st.booleans(), st.booleans(), st.booleans(), st.data())
def test_a_part_is_found_again_in_the_stored_picture(
    transposed: bool, mirrored: bool, upside_down: bool, data: st.DataObject
) -> None:
    turn = Turn(transposed, mirrored, upside_down)
    stored = np.arange(12 * 17 * 3, dtype=np.uint16).reshape(12, 17, 3).astype(np.uint8)
    upright = turn.upright(stored)
    height, width = upright.shape[:2]
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    x1, y1, x2, y2 = turn.stored((left, top, right, bottom), width, height)
    part = turn.upright(np.ascontiguousarray(stored[y1:y2, x1:x2]))
    assert np.array_equal(part, upright[top:bottom, left:right])


@pytest.mark.parametrize(
    "said",
    [
        {"layout": "yuv410p", "matrix": 1, "full": True},
        {"layout": "yuv420p", "matrix": 3, "full": True},
        {"layout": "yuv420p", "matrix": [], "full": True},
        {"layout": [], "matrix": 1, "full": True},
        {"layout": "yuv420p", "full": True},
        {"turn": [True], "layout": "bgr"},
        {"turn": 7, "layout": "bgr"},
        {},
    ],
)
def test_nonsense_about_a_slot_is_refused(said: dict[str, Any]) -> None:
    slots = LeanSlots(724, 406)
    slot = np.zeros(slots.size, np.uint8)
    with pytest.raises((KeyError, TypeError, ValueError)):
        slots.frame({"turn": [False, False, False], **said}, 0, 0.0, slot)
