"""What a plate in a still picture is: one look decides, there is no track to vote.

The reader's own confidence is the probability that the text is right, so nothing is left to be
estimated here.
"""

from __future__ import annotations

from detect_api.vision.judge import BLURRED, DEFAULT_MIN_CONFIDENCE, TOO_SMALL
from detect_api.vision.types import Moment, Observation, Plate, UnreadTrack
from detect_api.vision.vote import LENGTHS, height_of

SHORT, SHORT_CONFIDENCE = 3, 0.85
"""A text of so few characters must be so sure: it is often a part of one, or none."""

WORD_DETECTION = 0.7
"""A text without a digit counts if the plate was found so surely. Signs with words on them are
found, too, but less surely (0.55 … 0.65) than 98% of the plates (0.67 and more)."""


def judge(seen: Observation, track_id: int, *, min_confidence: float | None) -> Plate | UnreadTrack:
    """A plate, or why it could not be read.

    ``min_confidence`` is the least confidence of a text that is told; None for the usual one.
    """
    least = DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence
    reading = seen.reading
    moment = Moment(seen.frame, seen.seconds)
    if reading is not None and len(reading.text) <= SHORT:
        least = max(least, SHORT_CONFIDENCE)
    if reading is None or reading.confidence < least or not _plate_text(reading.text, seen):
        return UnreadTrack(
            track_id=track_id,
            first_seen=moment,
            last_seen=moment,
            observations=1,
            reason=_reason(seen),
            best=seen,
        )
    return Plate(
        track_id=track_id,
        text=reading.text,
        confidence=reading.confidence,
        candidates=reading.candidates,
        characters=tuple(scores.best for scores in reading.characters),
        first_seen=moment,
        last_seen=moment,
        observations=1,
        best=seen,
    )


def _plate_text(text: str, seen: Observation) -> bool:
    """Whether a plate may bear this text."""
    word = not any(character.isdigit() for character in text)
    return len(text) in LENGTHS and not (word and seen.detection_confidence < WORD_DETECTION)


def _reason(seen: Observation) -> str:
    if height_of(seen) < TOO_SMALL:
        return "too_small"
    if seen.sharpness < BLURRED:
        return "blurred"
    return "no_agreement"
