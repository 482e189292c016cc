"""What a plate in a still picture is: one look decides, there is no track to vote.

The reader's own confidence is the probability that the text is right, so nothing is left to be
estimated here.
"""

from __future__ import annotations

from detect_api.vision.evidence import height_of
from detect_api.vision.judge import BLURRED, TOO_SMALL, believable
from detect_api.vision.path import path_of
from detect_api.vision.types import Moment, Observation, Plate, UnreadTrack


def judge(seen: Observation, track_id: int, *, min_confidence: float | None) -> Plate | UnreadTrack:
    """A plate, or why it could not be read.

    ``min_confidence`` is the least confidence of a text that is told; None for the usual one.
    """
    reading = seen.reading
    moment = Moment(seen.frame, seen.seconds)
    if reading is None or not believable(
        reading.text, reading.confidence, found=seen.detection_confidence, least=min_confidence
    ):
        return UnreadTrack(
            track_id=track_id,
            first_seen=moment,
            last_seen=moment,
            observations=1,
            reason=_reason(seen),
            best=seen,
            path=path_of(seen),
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
        path=path_of(seen),
    )


def _reason(seen: Observation) -> str:
    if height_of(seen) < TOO_SMALL:
        return "too_small"
    if seen.sharpness < BLURRED:
        return "blurred"
    return "no_agreement"
