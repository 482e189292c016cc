"""A plate is read where that promises something new, and the same wherever the video is cut."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detect_api.vision import wire
from detect_api.vision.choose import SLOTS_PER_SECOND, chosen, window_of
from detect_api.vision.pipeline import Engine, Merge, observe
from detect_api.vision.types import (
    PASSED_OVER,
    TOO_SMALL,
    AnyFrame,
    Detection,
    Frame,
    Image,
    ModelInfo,
    Observation,
    Parameters,
    Plate,
    Reading,
    SegmentResult,
    UnreadTrack,
)
from tests.observations import passing, sighting

BLANK = np.zeros((72, 128, 3), np.uint8)


@dataclass
class Script:
    """A detector and a reader that see what a list of observations says.

    A crop carries the place of its observation in the list, so that the reader knows it again.
    """

    observations: Sequence[Observation]
    read_places: Counter[int] = field(default_factory=Counter)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return ()

    def detect(self, images: Sequence[Image], *, still: bool = False) -> list[list[Detection]]:
        raise AssertionError("these frames have been looked at already")

    def read(
        self, crops: Sequence[Image], *, region: str | None = None, still: bool = False
    ) -> list[Reading | None]:
        places = [int(crop[0, 0, 0]) * 256 + int(crop[0, 0, 1]) for crop in crops]
        self.read_places.update(places)
        return [self.observations[place].reading for place in places]


@dataclass(frozen=True)
class ScriptedEngine(Engine):
    """An engine whose finding is the script's."""

    def find(self, frame: AnyFrame, *, still: bool = False) -> list[tuple[Observation, Image]]:
        assert isinstance(self.detector, Script)
        return [
            (
                replace(o, reading=None, reason=TOO_SMALL if o.box.height < 10 else PASSED_OVER),
                np.array([[[place // 256, place % 256, 0]]], np.uint8),
            )
            for place, o in enumerate(self.detector.observations)
            if o.frame == frame.number
        ]


def observed(
    observations: Sequence[Observation], frames: range, fps: float
) -> tuple[SegmentResult, Counter[int]]:
    script = Script(observations)
    pictures = (Frame(n, n / fps, BLANK) for n in frames)
    result = observe(pictures, ScriptedEngine(script, script), expected=len(frames))
    return result, script.read_places


def outcome(
    observations: Sequence[Observation], cuts: Sequence[int], end: int, fps: float
) -> list[Plate | UnreadTrack]:
    """All that comes out of frames 0 … end - 1, cut before these frames."""
    merge = Merge.new(Parameters(min_confidence=0.4))
    told: list[Plate | UnreadTrack] = []
    for first, last in itertools.pairwise([0, *sorted(cuts), end]):
        result, _ = observed(observations, range(first, last), fps)
        merged = merge.advance(wire.load_result(wire.dump_result(result)), last / fps)
        told += [*merged.plates, *merged.unread]
        merge = Merge.load(merge.dump())
    merged = merge.finish()
    return sorted([*told, *merged.plates, *merged.unread], key=lambda track: track.track_id)


def traffic(seed: int, end: int, fps: float) -> list[Observation]:
    """Cars that come and go, stand or move, are lost and misread, from chance alone."""
    rng = random.Random(seed)
    seen: list[Observation] = []
    for _ in range(rng.randint(1, 5)):
        text = rng.choice(["ABC123", "ABC128", "KLM4827", "XY1"])
        first = rng.randint(0, end - 2)
        numbers = range(first, min(end, first + rng.randint(1, end)))
        step = rng.choice([(0.0, 0.0), (0.4, 0.1), (3.0, 5.0), (-9.0, 14.0)])
        for o in passing(text, numbers, start=(rng.uniform(200, 800), 200), step=step, fps=fps):
            if rng.random() < 0.15:
                continue
            x, y = (value + rng.uniform(-1, 1) for value in o.box.center)
            misread = text.replace("B", "8") if rng.random() < 0.2 else text
            seen.append(
                sighting(
                    o.frame, x, y, misread, fps=fps, confidence=rng.uniform(0.4, 1),
                    detection=rng.uniform(0.4, 1), sharpness=rng.uniform(0.001, 1),
                    height=rng.uniform(8, 40),
                )
            )  # fmt: skip
    return sorted(seen, key=lambda o: o.frame)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 99), max_size=9, unique=True),
    st.sampled_from([3.0, 10.0, 25.0, 30000 / 1001]),
)
@example(3, [24, 25, 26, 50, 51, 75], 25.0)
@example(7, list(range(1, 30)), 30000 / 1001)
def test_the_outcome_is_the_same_wherever_the_video_is_cut(
    seed: int, cuts: list[int], fps: float
) -> None:
    observations = traffic(seed, 100, fps)
    whole = outcome(observations, [], 100, fps)
    pieces = outcome(observations, cuts, 100, fps)
    assert [wire.dump(track) for track in pieces] == [wire.dump(track) for track in whole]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(1, 60))
def test_what_is_chosen_in_the_end_was_read_in_every_segment(
    seed: int, first: int, length: int
) -> None:
    observations = traffic(seed, 100, 25.0)
    result, _ = observed(observations, range(first, first + length), 25.0)
    read = {(o.frame, o.box) for o in result.observations if o.reading is not None}
    windows = itertools.groupby(observations, key=lambda o: window_of(o.seconds))
    wanted = {
        (o.frame, o.box)
        for _, window in windows
        for o in chosen([replace(o, reason=TOO_SMALL) if o.box.height < 10 else o for o in window])
        if o.reading is not None and o.reason != TOO_SMALL
    }
    inside = {(n, box) for n, box in wanted if first <= n < first + length}
    assert inside <= read


def test_a_parked_car_is_read_once_a_second() -> None:
    parked = [sighting(n, 400 + 0.3 * (n % 3), 300, "ABC123", fps=25) for n in range(1500)]
    result, read = observed(parked, range(1500), 25)
    assert max(read.values()) == 1
    assert len(result.observations) == 1500
    # Sixty windows, and in the first and the last one what a neighbour might need.
    assert 60 <= len(read) <= 60 + 2 * (SLOTS_PER_SECOND + 5)
    kept = [o for o in chosen(result.observations[25:50]) if o.reading is not None]
    assert len(kept) == 1


def test_a_car_that_passes_is_read_in_each_slot() -> None:
    passes = passing("ABC123", range(100), fps=25, start=(100, 100), step=(6, 6))
    result, read = observed(passes, range(100), 25)
    assert 4 * SLOTS_PER_SECOND <= len(read) <= 4 * SLOTS_PER_SECOND + 2 * 5
    assert result.frames_with_detections == 100


def test_the_best_picture_of_a_slot_is_read() -> None:
    sharp = {3: 0.9, 7: 0.8}
    passes = [
        replace(o, sharpness=sharp.get(o.frame, 0.1))
        for o in passing("ABC123", range(10), fps=25, step=(6, 6))
    ]
    read = [o.frame for o in chosen(passes) if o.reading is not None]
    assert read == [3, 7]


def test_cars_side_by_side_are_both_read() -> None:
    left = passing("ABC123", range(25), fps=25, start=(300, 100), step=(5, 8))
    right = passing("XYZ987", range(25), fps=25, start=(430, 100), step=(5, 8))
    both = sorted([*left, *right], key=lambda o: o.frame)
    read = Counter(o.reading.text for o in chosen(both) if o.reading is not None)
    assert read == {"ABC123": SLOTS_PER_SECOND, "XYZ987": SLOTS_PER_SECOND}


def test_where_frames_lie_far_apart_each_one_is_read() -> None:
    passes = passing("ABC123", range(0, 60, 10), fps=25, step=(9, 9))
    assert all(o.reading is not None for o in chosen(passes))


def test_what_is_too_small_is_never_read() -> None:
    small = passing("ABC123", range(50), fps=25, height=8, step=(6, 6))
    result, read = observed(small, range(50), 25)
    assert not read
    assert {o.reason for o in result.observations} == {TOO_SMALL}
    assert chosen(result.observations) == list(result.observations)


@pytest.mark.parametrize("seconds", [-0.1, 0.0, 0.99, 1.0, 3599.999])
def test_windows_lie_over_the_videos_time(seconds: float) -> None:
    assert window_of(seconds) == math.floor(seconds)
