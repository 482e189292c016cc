"""What a plate in a still picture is."""

from __future__ import annotations

import dataclasses

import pytest

from detect_api.vision.still import judge
from detect_api.vision.types import Candidate, Plate, UnreadTrack
from tests.observations import sighting


def test_the_reading_decides_and_its_candidates_are_told() -> None:
    seen = sighting(0, 100, 50, "ABC123", confidence=0.8)
    assert seen.reading is not None
    candidates = (Candidate("ABC123", 0.8), Candidate("ABC128", 0.15))
    reading = dataclasses.replace(seen.reading, candidates=candidates)
    plate = judge(dataclasses.replace(seen, reading=reading), 3, min_confidence=None)
    assert isinstance(plate, Plate)
    assert (plate.track_id, plate.text, plate.confidence) == (3, "ABC123", 0.8)
    assert plate.candidates == candidates
    assert [c for c, _ in plate.characters] == list("ABC123")


@pytest.mark.parametrize(
    ("text", "confidence", "detection", "told"),
    [
        ("ABC123", 0.49, 0.9, False),
        ("ABC123", 0.51, 0.5, True),
        ("REFERRAL", 0.99, 0.6, False),
        ("NEILDMND", 0.99, 0.8, True),
        ("A", 0.99, 0.9, False),
    ],
)
def test_doubtful_texts_and_words_on_signs_are_not_told(
    text: str, confidence: float, detection: float, told: bool
) -> None:
    seen = sighting(0, 100, 50, text, confidence=confidence, detection=detection)
    assert isinstance(judge(seen, 1, min_confidence=None), Plate) is told


def test_the_least_confidence_is_the_clients_choice() -> None:
    seen = sighting(0, 100, 50, "ABC123", confidence=0.3)
    assert isinstance(judge(seen, 1, min_confidence=0.2), Plate)
    assert isinstance(judge(seen, 1, min_confidence=0.4), UnreadTrack)


@pytest.mark.parametrize(
    ("height", "sharpness", "reason"),
    [(9, 0.3, "too_small"), (30, 0.001, "blurred"), (30, 0.3, "no_agreement")],
)
def test_what_is_not_read_has_its_reason(height: float, sharpness: float, reason: str) -> None:
    seen = sighting(0, 100, 50, None, height=height, sharpness=sharpness)
    unread = judge(seen, 1, min_confidence=None)
    assert isinstance(unread, UnreadTrack)
    assert unread.reason == reason
