"""The pipeline's values as bytes and as JSON."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect_api.vision import wire
from detect_api.vision.pipeline import Merge
from detect_api.vision.read import ALPHABET
from detect_api.vision.types import (
    Box,
    CharacterScores,
    Observation,
    Parameters,
    Plate,
    Reading,
    SegmentResult,
    UnreadTrack,
)
from tests.observations import passing, segment

numbers = st.floats(allow_nan=False, allow_infinity=False)
points = st.tuples(numbers, numbers)
scores = st.builds(
    CharacterScores,
    st.lists(st.tuples(st.sampled_from(ALPHABET), numbers), min_size=1, max_size=5).map(tuple),
)
readings = st.builds(
    Reading, st.text(ALPHABET, max_size=10), numbers, st.lists(scores, max_size=10).map(tuple)
)
observations = st.builds(
    Observation,
    frame=st.integers(0, 10**9),
    seconds=numbers,
    box=st.builds(Box, numbers, numbers, numbers, numbers),
    corners=st.tuples(points, points, points, points),
    detection_confidence=numbers,
    sharpness=numbers,
    reading=st.none() | readings,
    reason=st.none() | st.text(max_size=10),
)
results = st.builds(
    SegmentResult,
    processed_frames=st.integers(0, 10**6),
    frames_with_detections=st.integers(0, 10**6),
    observations=st.lists(observations, max_size=4).map(tuple),
    missing_frames=st.integers(0, 10**6),
    problems=st.lists(st.text(max_size=20), max_size=2).map(tuple),
)


@settings(deadline=None)
@given(results)
def test_a_result_comes_back_exactly(result: SegmentResult) -> None:
    data = wire.dump_result(result)
    assert wire.load_result(data) == result
    assert wire.dump_result(wire.load_result(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        zlib.compress(b"{}"),
        zlib.compress(b'[1,"SegmentResult",[1]]'),
        zlib.compress(b'[99,"SegmentResult",[]]'),
        wire.dump(Merge.new(Parameters())),
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"these bytes"):
        wire.load_result(data)


def test_an_hour_of_observations_is_small() -> None:
    result = segment(passing("ABC123", range(300)))
    assert len(wire.dump_result(result)) < 300 * 60


def decided(text: str | None) -> Plate | UnreadTrack:
    merge = Merge.new(Parameters())
    merge.advance(segment(passing(text, range(5))), 0.5)
    merged = merge.finish()
    tracks: list[Plate | UnreadTrack] = [*merged.plates, *merged.unread]
    assert len(tracks) == 1
    return tracks[0]


def test_a_plate_looks_as_the_api_says() -> None:
    plate = decided("ABC123")
    assert isinstance(plate, Plate)
    shown = wire.plate_json(plate)
    assert json.loads(json.dumps(shown)) == shown
    assert shown["text"] == "ABC123"
    assert shown["first_seen"] == {"frame": 0, "seconds": 0.0}
    assert shown["last_seen"] == {"frame": 4, "seconds": 0.4}
    assert shown["direction"] == "down"
    assert shown["candidates"][0] == {"text": "ABC123", "confidence": shown["confidence"]}
    assert [c["char"] for c in shown["characters"]] == list("ABC123")
    assert set(shown["best"]) == {"frame", "seconds", "bbox", "detection_confidence"}
    assert set(shown["best"]["bbox"]) == {"x1", "y1", "x2", "y2"}


def test_an_unread_track_looks_as_the_api_says() -> None:
    track = decided(None)
    assert isinstance(track, UnreadTrack)
    shown = wire.unread_json(track)
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) == {
        "track_id", "first_seen", "last_seen", "observations", "reason", "best",
    }  # fmt: skip
    assert (shown["track_id"], shown["observations"]) == (1, 5)
