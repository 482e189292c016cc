"""What a finished track is: a plate, a plate that could not be read, or no plate at all."""

from __future__ import annotations

import math

from detect_api.vision.evidence import LENGTHS, Evidence
from detect_api.vision.track import size_of
from detect_api.vision.types import Plate, UnreadTrack
from detect_api.vision.vote import Vote, vote

DEFAULT_MIN_CONFIDENCE = 0.5
"""Below, the text is more likely wrong than right."""

GLIMPSE = 2
"""A track of so few frames, others close by, counts only if it was read surely, ..."""

SHORT = 3
"""... and so does a text of so few characters: they are rare on plates and often a part of one."""

SURELY = 0.85
"""With this confidence at least."""

EVIDENT = 0.7
"""What was never found more surely than this is not told if it was not read, and is no plate if it
bears words only: of what is found less surely a third is lamps, signs and grilles, and of the
plates 98% are found at 0.67 and more."""

TOO_SMALL = 12.0
"""A plate that was never taller than so many pixels is too small to be read."""

BLURRED = 0.02
"""A plate that was never sharper than this (``crop.sharpness``) is blurred."""


def judge(
    evidence: Evidence, track_id: int, *, min_confidence: float | None, sparse: bool = False
) -> Plate | UnreadTrack | None:
    """Decide about a track that can no longer change; None if it is no plate.

    ``sparse``: the frames looked at are so far apart that a car may be in one of them only.
    """
    if evidence.refusals > evidence.readings:
        return None
    flicker = not sparse and evidence.observations <= GLIMPSE
    result = vote(evidence)
    if result is not None:
        least = min_confidence
        if flicker:
            least = max(SURELY, least or 0.0)
        if believable(result.text, result.confidence, found=evidence.surest, least=least):
            return _plate(evidence, track_id, result)
    if flicker or evidence.surest < EVIDENT:
        return None
    return _unread(evidence, track_id)


def believable(text: str, confidence: float, *, found: float, least: float | None) -> bool:
    """Whether a text is told as that of a plate.

    ``found`` is how surely the plate was found, ``least`` the confidence that the client asks for,
    None for the usual one.
    """
    least = DEFAULT_MIN_CONFIDENCE if least is None else least
    if len(text) <= SHORT:
        least = max(least, SURELY)
    word = not any(character.isdigit() for character in text)
    return len(text) in LENGTHS and confidence >= least and not (word and found < EVIDENT)


def _plate(evidence: Evidence, track_id: int, result: Vote) -> Plate:
    return Plate(
        track_id=track_id,
        text=result.text,
        confidence=result.confidence,
        candidates=result.candidates,
        characters=result.characters,
        first_seen=evidence.first,
        last_seen=evidence.last,
        observations=evidence.observations,
        best=result.best,
        direction=_direction(evidence),
        path=evidence.path,
    )


def _direction(evidence: Evidence) -> str | None:
    (x1, y1), (x2, y2) = evidence.first_box.center, evidence.last_box.center
    dx, dy = x2 - x1, y2 - y1
    if math.hypot(dx, dy) < 0.5 * size_of(evidence.first_box):
        return None
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def _unread(evidence: Evidence, track_id: int) -> UnreadTrack:
    if evidence.tallest < TOO_SMALL:
        reason = "too_small"
    elif evidence.sharpest < BLURRED:
        reason = "blurred"
    else:
        reason = "no_agreement"
    return UnreadTrack(
        track_id=track_id,
        first_seen=evidence.first,
        last_seen=evidence.last,
        observations=evidence.observations,
        reason=reason,
        best=evidence.best,
        path=evidence.path,
    )
