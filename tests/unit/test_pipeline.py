"""From frames to plates: the same however the video is cut."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from detect_api.vision import wire
from detect_api.vision.pipeline import Engine, Merge, evidence, observe
from detect_api.vision.types import (
    Frame,
    Image,
    Merged,
    Observation,
    Parameters,
    Plate,
    SegmentResult,
    UnreadTrack,
)
from tests.observations import drawn, passing, scene, segment, sighting


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    """A plate that moves down, and another that appears beside it."""
    near, other = drawn("KLM 4827", size=30), drawn("BTR 935", size=26)
    return [
        scene((near, 200, 100 + 30 * n), *([(other, 600, 300)] if n % 3 else [])) for n in range(6)
    ]


def frames(pictures: list[Image], first: int = 0) -> Iterator[Frame]:
    return (Frame(first + n, (first + n) / 10, p) for n, p in enumerate(pictures))


def traffic(seed: int) -> list[Observation]:
    """Half a minute of everything that can happen, from chance alone."""
    rng = random.Random(seed)
    seen: list[Observation] = []
    for number in range(rng.randint(1, 7)):
        text = rng.choice(["ABC123", "ABC128", "KLM4827", "XYZ", None])
        first = rng.randint(0, 200)
        numbers = [n for n in range(first, first + rng.randint(1, 120)) if rng.random() < 0.7]
        if not numbers:
            continue
        move = (0.0, 0.0) if number % 3 == 0 else (rng.uniform(-6, 6), rng.uniform(-9, 9))
        for o in passing(text, numbers, start=(rng.uniform(100, 900), 300), step=move):
            noisy = None if text is None or rng.random() < 0.1 else text
            if noisy and rng.random() < 0.2:
                noisy = noisy.replace("B", "8")
            seen.append(
                sighting(
                    o.frame,
                    o.box.center[0] + rng.uniform(-2, 2),
                    o.box.center[1] + rng.uniform(-2, 2),
                    noisy,
                    confidence=rng.uniform(0.4, 1),
                    detection=rng.uniform(0.4, 1),
                    sharpness=rng.uniform(0.001, 1),
                    height=rng.uniform(9, 40),
                )
            )
    return sorted(seen, key=lambda o: o.frame)


def merged(
    observations: list[Observation], cuts: list[int], *, crash: bool
) -> list[Plate | UnreadTrack]:
    """All that comes out when the video is cut before these frames."""
    merge = Merge.new(Parameters(min_confidence=0.4))
    decided: list[Plate | UnreadTrack] = []

    def take(result: Merged) -> None:
        both: list[Plate | UnreadTrack] = [*result.plates, *result.unread]
        decided.extend(sorted(both, key=lambda track: track.track_id))

    for start, end in itertools.pairwise([0, *sorted(cuts), 400]):
        part = [o for o in observations if start <= o.frame < end]
        take(merge.advance(segment(part), end / 10))
        if crash:
            merge = Merge.load(merge.dump())
    take(merge.finish())
    return decided


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 399), max_size=12), st.booleans())
@example(637, [28, 34, 76, 102, 137, 206, 232, 344], False)
@example(1302, [64, 120, 231, 240, 261, 267, 276, 295], False)
def test_the_outcome_is_the_same_wherever_the_video_is_cut(
    seed: int, cuts: list[int], crash: bool
) -> None:
    observations = traffic(seed)
    whole = merged(observations, [], crash=False)
    pieces = merged(observations, cuts, crash=crash)
    assert pieces == whole
    assert [wire.dump(track) for track in pieces] == [wire.dump(track) for track in whole]
    assert [track.track_id for track in pieces] == list(range(1, len(pieces) + 1))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 399))
def test_the_state_survives_exactly(seed: int, cut: int) -> None:
    merge = Merge.new(Parameters())
    merge.advance(segment(o for o in traffic(seed) if o.frame < cut), cut / 10)
    again = Merge.load(merge.dump())
    assert again == merge
    assert again.dump() == merge.dump()


def test_a_plate_is_told_before_the_video_ends() -> None:
    merge = Merge.new(Parameters())
    told = merge.advance(segment(passing("ABC123", range(20))), 10.0)
    assert [plate.text for plate in told.plates] == ["ABC123"]
    assert merge.finish() == Merged()


def test_a_single_picture_gives_its_plates(engine: Engine, pictures: list[Image]) -> None:
    result = observe(frames(pictures[1:2]), engine, expected=1)
    merge = Merge.new(Parameters(), single_image=True)
    told, rest = merge.advance(result, 0.04), merge.finish()
    assert {plate.text for plate in (*told.plates, *rest.plates)} == {"KLM4827", "BTR935"}


def test_frames_and_detections_are_counted(engine: Engine, pictures: list[Image]) -> None:
    steps: list[tuple[int, int]] = []
    result = observe(
        frames([*pictures[:2], scene()]),
        engine,
        expected=5,
        on_progress=lambda done, detections: steps.append((done, detections)),
    )
    assert result.processed_frames == 3
    assert result.frames_with_detections == 2
    assert result.missing_frames == 2
    assert (result.width, result.height) == (960, 540)
    assert [done for done, _ in steps] == [1, 2, 3]
    assert steps[-1][1] == len(result.observations) == 3


def test_progress_may_cancel(engine: Engine, pictures: list[Image]) -> None:
    class CancelledError(Exception):
        pass

    def stop(done: int, detections: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        observe(frames(pictures), engine, expected=6, on_progress=stop)


def test_a_frame_gives_the_same_wherever_its_segment_begins(
    engine: Engine, pictures: list[Image]
) -> None:
    whole = observe(frames(pictures), engine, expected=6)
    parts: list[Observation] = []
    for start, end in ((0, 1), (1, 4), (4, 6)):
        part = observe(frames(pictures[start:end], start), Engine.load(), expected=end - start)
        parts += part.observations
    assert tuple(parts) == whole.observations
    assert wire.dump_result(whole) == wire.dump_result(
        SegmentResult(6, whole.frames_with_detections, tuple(parts), width=960, height=540)
    )


def test_the_models_are_named_and_pinned(engine: Engine) -> None:
    assert [model.name for model in engine.models] == ["detector", "reader", "PP-OCRv6_rec_small"]
    assert all(len(model.sha256) == 64 for model in engine.models)


def test_the_evidence_shows_the_plate_and_its_frame(pictures: list[Image]) -> None:
    observation = sighting(0, 280, 118, "KLM4827", width=150, height=36)
    crop, frame = evidence(pictures[0], observation)
    assert evidence(pictures[0], observation) == (crop, frame)
    with Pillow.open(BytesIO(frame)) as image:
        assert (image.format, image.size) == ("JPEG", (960, 540))
    with Pillow.open(BytesIO(crop)) as image:
        assert (image.format, image.size) == ("JPEG", (169, 55))


def test_evidence_at_the_edge_stays_inside(pictures: list[Image]) -> None:
    crop, _ = evidence(pictures[0], sighting(0, 5, 538, "KLM4827", width=150, height=36))
    with Pillow.open(BytesIO(crop)) as image:
        assert image.width < 169
