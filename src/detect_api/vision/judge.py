"""What a finished track is: a plate, a plate that could not be read, or no plate at all.

The rules against what is no plate are for a detector that finds any text. They tell by the whole
track what a single frame cannot: burnt-in text stands in the margin of the picture and never
moves, a clock's digits stand still and change, noise flickers in one frame and is gone.
"""

from __future__ import annotations

import math

from detect_api.vision.track import size_of
from detect_api.vision.types import Plate, UnreadTrack
from detect_api.vision.vote import LENGTHS, Evidence, Vote, vote

DEFAULT_MIN_CONFIDENCE = 0.5
"""Below, the text is more likely wrong than right."""

GLIMPSE = 2
"""A track of so few frames, others close by, counts only if it was read surely, ..."""

GLIMPSE_CONFIDENCE = 0.85
"""... with this confidence at least."""

MARGIN = 0.1
"""The part of the picture's height, at the top and at the bottom, where text is burnt in."""

TOO_SMALL = 12.0
"""A plate that was never taller than so many pixels is too small to be read."""

BLURRED = 0.02
"""A plate that was never sharper than this (``crop.sharpness``) is blurred."""


def judge(
    evidence: Evidence,
    track_id: int,
    *,
    min_confidence: float | None,
    frame_height: int,
    single_image: bool = False,
    sparse: bool = False,
) -> Plate | UnreadTrack | None:
    """Decide about a track that can no longer change; None if it is no plate.

    ``frame_height`` is 0 where it is not known. ``single_image``: there is one still picture.
    ``sparse``: the frames looked at are so far apart that a car may be in one of them only.
    """
    least = DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence
    if not (single_image or sparse) and evidence.observations <= GLIMPSE:
        least = max(least, GLIMPSE_CONFIDENCE)
    result = vote(evidence)
    if not single_image and _burnt_in(evidence, result, frame_height):
        return None
    number = single_image or moved(evidence)
    if result is not None and plate_text(result.text, may_be_number=number):
        if result.confidence >= least:
            return _plate(evidence, track_id, result)
        if _worth_telling(evidence, few=single_image or sparse):
            return _unread(evidence, track_id)
    elif not evidence.readings and _worth_telling(evidence, few=single_image or sparse):
        return _unread(evidence, track_id)
    return None


def plate_text(text: str, *, may_be_number: bool) -> bool:
    """Whether a plate may bear this text: 4 to 10 characters, at least one of them a digit.

    Digits alone are a plate in some countries, and a clock, a house number or a price in all:
    ``may_be_number`` says whether to believe five or more of them.
    """
    if len(text) not in LENGTHS or not any(c.isdigit() for c in text):
        return False
    return not text.isdigit() or (may_be_number and len(text) >= 5)


def moved(evidence: Evidence) -> bool:
    """Whether the plate was elsewhere at the end, or came nearer or went away."""
    first, last = evidence.first_box, evidence.last_box
    if math.dist(first.center, last.center) >= max(8.0, 0.5 * size_of(first)):
        return True
    return not 0.75 < last.height / first.height < 1.33


def _burnt_in(evidence: Evidence, result: Vote | None, frame_height: int) -> bool:
    """Whether this is text that somebody put on the picture: in its margin, never leaving it.

    Such text may be found in parts, so that only its height in the picture can be trusted, and
    only where the text itself was read. A car that is parked so that its plate stays in the margin
    is lost to this rule.
    """
    if not frame_height:
        return False
    first, last = evidence.first_box, evidence.last_box
    if result is not None and result.text in evidence.spellings:
        spelling = evidence.spellings[result.text]
        first, last = spelling.first_box, spelling.last_box
    heights = (first.center[1] / frame_height, last.center[1] / frame_height)
    inside = all(h < MARGIN for h in heights) or all(h > 1 - MARGIN for h in heights)
    shift = abs(last.center[1] - first.center[1])
    return inside and shift < 0.15 * first.height and 0.85 < last.height / first.height < 1.18


def _worth_telling(evidence: Evidence, *, few: bool) -> bool:
    """Whether a track that was not read looks so much like a plate that it is reported.

    It was seen in three frames or more (or there are too few to ask that), and at least a third of
    them gave a text like a plate's, or nothing was read and the thing moved as vehicles do.
    """
    if not few and evidence.observations < 3:
        return False
    likely = sum(
        spelling.count
        for text, spelling in evidence.spellings.items()
        if len(text) in LENGTHS and not text.isdigit() and not text.isalpha()
    )
    if evidence.readings:
        return 3 * likely >= evidence.observations
    return moved(evidence)


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
    )
