"""Where plates are covered in a copy of a video, and that nothing of them is left there."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect_api.vision.export import Export
from detect_api.vision.redact import NEIGHBOURS, Course, Redactor, cover, regions
from detect_api.vision.types import Box, Frame, Image

WIDTH, HEIGHT = 120, 90


def noise(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


boxes = st.lists(
    st.builds(
        lambda x, y, w, h: Box(x, y, x + w, y + h),
        st.floats(-20, WIDTH + 10), st.floats(-20, HEIGHT + 10), st.floats(1, 80), st.floats(1, 60),
    ),
    max_size=6,
)  # fmt: skip


@given(boxes, st.integers(0, 2**32 - 1))
def test_what_is_covered_depends_on_nothing_that_was_under_it(found: list[Box], seed: int) -> None:
    places = regions(found, WIDTH, HEIGHT)
    one, other = noise(seed), noise(seed)
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, right, bottom in places:
        hidden[top:bottom, left:right] = True
    other[hidden] = noise(seed + 1)[hidden]
    before = one.copy()
    cover(one, places)
    cover(other, places)
    assert np.array_equal(one, other)
    assert np.array_equal(one[~hidden], before[~hidden])


@given(boxes)
def test_every_pixel_of_a_box_is_covered(found: list[Box]) -> None:
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, right, bottom in regions(found, WIDTH, HEIGHT):
        hidden[top:bottom, left:right] = True
    for box in found:
        x1, y1 = max(0, int(box.x1)), max(0, int(box.y1))
        x2, y2 = min(WIDTH, int(box.x2) + 1), min(HEIGHT, int(box.y2) + 1)
        if x1 < x2 and y1 < y2:
            assert hidden[y1:y2, x1:x2].all()


def test_a_track_is_covered_between_its_places_and_a_little_beyond() -> None:
    course = Course([10, 20], [[0, 0, 10, 10], [100, 50, 110, 60]])
    assert course.at(15, 3) == Box(25, 12.5, 85, 47.5)
    assert course.at(20, 3) == Box(100, 50, 110, 60)
    assert course.at(7, 3) == Box(0, 0, 10, 10)
    assert course.at(23, 3) == Box(100, 50, 110, 60)
    assert course.at(6, 3) is None
    assert course.at(24, 3) is None
    assert Course([], []).at(1, 3) is None


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("turned", [False, True])
def test_what_speeds_up_or_slows_down_between_two_places_is_covered(
    power: float, turned: bool
) -> None:
    def true(frame: int) -> list[float]:
        share = ((30 - frame) if turned else frame) / 30
        way = share**power
        return [300 - 200 * way, 40 + 300 * way, 340 - 100 * way, 50 + 350 * way]

    course = Course([0, 30], [true(0), true(30)])
    for frame in range(31):
        box, (x1, y1, x2, y2) = course.at(frame, 0), true(frame)
        assert box is not None
        assert box.x1 <= x1 + 1e-6
        assert box.y1 <= y1 + 1e-6
        assert box.x2 >= x2 - 1e-6
        assert box.y2 >= y2 - 1e-6


def test_what_is_suspected_in_one_frame_is_covered_in_its_neighbours() -> None:
    redactor = Redactor([], 0)
    out: list[Image] = []
    for number in range(12):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[40:50, 40:60] = 255
        suspects = [Box(40, 40, 60, 50)] if number == 6 else []
        out += [p for _, p in redactor.add(Frame(number, number / 10, picture), suspects)]
    out += [p for _, p in redactor.finish()]
    shown = [number for number, picture in enumerate(out) if picture.max() > 0]
    assert shown == [n for n in range(12) if abs(n - 6) > NEIGHBOURS]


@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_a_copy_shows_each_picture_at_its_time(size: tuple[int, int]) -> None:
    width, height = size
    times = [0.0, 0.1, 0.35, 0.35, 1.0]
    file = io.BytesIO()
    with Export(file, width, height, fps=10.0, threads=1) as export:
        for number, seconds in enumerate(times):
            export.add(np.full((height, width, 3), 40 * number, np.uint8), seconds)
        export.finish()
    file.seek(0)
    with av.open(file, "r") as container:
        assert [stream.type for stream in container.streams] == ["video"]
        frames = list(container.decode(video=0))
    shown = [float(frame.time or 0) for frame in frames]
    assert shown == pytest.approx([0.0, 0.1, 0.35, 0.351, 1.0])
    levels = [int(frame.to_ndarray(format="bgr24").mean()) for frame in frames]
    assert levels == pytest.approx([40 * n for n in range(5)], abs=6)
