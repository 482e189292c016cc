"""What was read beside what is right.

The labelled plate of a picture counts as read when the best plate overlapping it has exactly its
text. Other plates in the picture are neither asked for nor held against the reader, unless they are
no plates at all: that is for a person to see, so they are counted and listed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from detect_api.evaluation.labels import PictureLabel
from detect_api.vision.alike import look_alike
from detect_api.vision.track import iou
from detect_api.vision.types import Box, Plate, UnreadTrack

OVERLAP = 0.1
"""A plate with this intersection over union overlaps the label."""

Best = Literal["nearest", "surest"]
"""Which of several plates overlapping the label is the best: the one that overlaps it most, or the
one with the highest confidence. The latter is for text spotters, whose boxes are those of lines.
Among equals the other measure decides: some readers give several lines the box of one plate.
"""

FOUND = 0.3
"""The labelled plate counts as found, read or not, if something overlaps it so much."""

FALSE_LENGTH = 4
"""Shorter texts away from the label are not counted as false plates."""

SURE = (0.8, 0.9, 1.0)
"""The parts of a set, surest answers first, for which the rejection curve is told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was made of one labelled plate.

    ``text`` is None if it was not read, ``box`` None if nothing overlaps it at all. ``false`` are
    the plates read in the picture away from the label. ``anywhere`` tells whether any text or
    candidate in the picture is right (folded): a more favourable question than the one asked.
    """

    label: PictureLabel
    found: bool
    text: str | None
    confidence: float
    box: Box | None
    false: tuple[Plate, ...] = ()
    seconds: float = 0.0
    anywhere: bool = False

    @property
    def strict(self) -> bool:
        """Whether exactly an accepted text was read."""
        return self.text in self.label.accepted

    @property
    def folded(self) -> bool:
        """The same with O and 0, I and 1 alike."""
        accepted = {look_alike(text) for text in self.label.accepted}
        return self.text is not None and look_alike(self.text) in accepted


def answer(
    label: PictureLabel,
    tracks: Sequence[Plate | UnreadTrack],
    seconds: float = 0.0,
    *,
    best: Best = "nearest",
) -> Answer:
    """Compares what a picture gave with its label."""
    overlaps = [(iou(label.box, track.best.box), track) for track in tracks]
    read = [(share, t) for share, t in overlaps if isinstance(t, Plate) and share >= OVERLAP]
    ranked = sorted(read, key=lambda item: (item[0], item[1].confidence))
    if best == "surest":
        ranked = sorted(read, key=lambda item: (item[1].confidence, item[0]))
    chosen = ranked[-1][1] if ranked else None
    nearest = max(overlaps, key=lambda item: item[0], default=(0.0, None))
    return Answer(
        label=label,
        found=nearest[0] >= FOUND,
        text=chosen.text if chosen else None,
        confidence=chosen.confidence if chosen else 0.0,
        box=nearest[1].best.box if nearest[1] and nearest[0] > 0 else None,
        false=tuple(
            track
            for share, track in overlaps
            if share == 0 and isinstance(track, Plate) and len(track.text) >= FALSE_LENGTH
        ),
        seconds=seconds,
        anywhere=_anywhere(label, tracks),
    )


def _anywhere(label: PictureLabel, tracks: Sequence[Plate | UnreadTrack]) -> bool:
    accepted = {look_alike(text) for text in label.accepted}
    plates = [track for track in tracks if isinstance(track, Plate)]
    texts = [text for p in plates for text in (p.text, *(c.text for c in p.candidates))]
    return any(look_alike(text) in accepted for text in texts)


@dataclass(frozen=True, slots=True)
class SetScore:
    """Parts of one set's pictures, 0 … 1. ``sure`` holds the folded accuracy of the surest parts
    in the order of ``SURE``, ``false_plates`` is a number a picture, ``anywhere`` as in ``Answer``.
    """

    pictures: int
    found: float
    strict: float
    folded: float
    unread: float
    sure: tuple[float, ...]
    false_plates: float
    anywhere: float


def score(answers: Sequence[Answer]) -> SetScore:
    """The score of one set, which is not empty."""
    count = len(answers)
    ranked = sorted(answers, key=lambda a: -a.confidence)
    return SetScore(
        pictures=count,
        found=sum(a.found for a in answers) / count,
        strict=sum(a.strict for a in answers) / count,
        folded=sum(a.folded for a in answers) / count,
        unread=sum(a.text is None for a in answers) / count,
        sure=tuple(_part(ranked[: max(1, round(part * count))]) for part in SURE),
        false_plates=sum(len(a.false) for a in answers) / count,
        anywhere=sum(a.anywhere for a in answers) / count,
    )


def _part(answers: Sequence[Answer]) -> float:
    return sum(a.folded for a in answers) / len(answers)


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose confidence lies in a range: how sure they are, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def reliability(answers: Sequence[Answer]) -> list[Bin]:
    """The reliability curve of the plates that were read, ranges without any left out."""
    bins = []
    for low, high in itertools.pairwise(BINS):
        inside = [
            a
            for a in answers
            if a.text is not None and (low <= a.confidence < high or a.confidence == high == 1)
        ]
        if inside:
            confidence = math.fsum(a.confidence for a in inside) / len(inside)
            bins.append(Bin(low, high, len(inside), confidence, _part(inside)))
    return bins


@dataclass(frozen=True, slots=True)
class ClipScore:
    """A clip's plates: those read once as listed, those missing, and those nobody listed.

    A plate that was read twice is among ``extra`` the second time.
    """

    name: str
    right: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unread: int
    seconds: float


def clip(
    name: str, listed: Sequence[str], read: Sequence[str], *, unread: int, seconds: float
) -> ClipScore:
    """Compares the plates of a clip with those that were read in it."""
    rest = list(read)
    right, missing = [], []
    for text in listed:
        if text in rest:
            rest.remove(text)
            right.append(text)
        else:
            missing.append(text)
    return ClipScore(name, tuple(right), tuple(missing), tuple(rest), unread, seconds)
