"""Which pictures of a plate are read.

A plate stands in hundreds of frames, and a few of them tell all there is: many say the same, or
less. So a moving plate is read once in each slot of 0.2 s, in the best picture of the slot, and one
that stays where it is once in each window of a second. The grid of slots and windows lies fixed
over the time of the video, and the choice depends on what was found in a window and not on what
was read. That makes it the same wherever the video is cut into segments: ``Selector`` reads, in the
windows that a cut goes through, whatever might be chosen, and ``chosen`` decides when all of the
window is known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from detect_api.vision.evidence import quality_of
from detect_api.vision.track import iou
from detect_api.vision.types import PASSED_OVER, TOO_SMALL, Image, Observation

SLOTS_PER_SECOND = 5
SLOTS_PER_WINDOW = 5

SAME_PLATE = 0.3
"""Boxes in frames of one slot that share so much (IoU) are one plate. Where a fast one is taken
for two, it is read twice."""

SAME_PLACE = 0.75
"""Boxes in one window that share so much show the same picture: the plate does not move."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An observation that may be read, and the plate's picture (see ``crop.rectify``).

    ``place`` is where the observation stands in its segment's.
    """

    observation: Observation
    place: int
    crop: Image | None = None

    @property
    def order(self) -> tuple[float, int]:
        """The best comes first; of equal ones the earliest."""
        return -quality_of(self.observation), self.place


def slot_of(seconds: float) -> int:
    """The number of the slot in which a frame lies."""
    return math.floor(seconds * SLOTS_PER_SECOND)


def window_of(seconds: float) -> int:
    """The number of the window in which a frame lies."""
    return slot_of(seconds) // SLOTS_PER_WINDOW


def chosen(observations: Sequence[Observation]) -> list[Observation]:
    """All observations of one window, those that are not to be read without their reading."""
    sightings = [
        Sighting(observation, place)
        for place, observation in enumerate(observations)
        if observation.reason != TOO_SMALL
    ]
    slots = itertools.groupby(sightings, key=lambda s: slot_of(s.observation.seconds))
    bests = [best for _, slot in slots for best in best_of_slot(list(slot))]
    read = {sighting.place for sighting in without_repeats(bests)}
    return [
        o
        if place in read or o.reason == TOO_SMALL
        else replace(o, reading=None, reason=PASSED_OVER)
        for place, o in enumerate(observations)
    ]


def best_of_slot(sightings: Sequence[Sighting]) -> list[Sighting]:
    """The best picture of each plate among the sightings of one slot, which are in order."""
    lasts: list[Sighting] = []
    bests: list[Sighting] = []
    for _, frame in itertools.groupby(sightings, key=lambda s: s.observation.frame):
        before = list(enumerate(lasts))
        for sighting in frame:
            shares = [
                (iou(last.observation.box, sighting.observation.box), -number)
                for number, last in before
                if lasts[number] is last  # nothing of this frame has continued it
            ]
            share, number = max(shares, default=(0.0, 0))
            if share < SAME_PLATE:
                lasts.append(sighting)
                bests.append(sighting)
            else:
                lasts[-number] = sighting
                bests[-number] = min(bests[-number], sighting, key=lambda s: s.order)
    return sorted(bests, key=lambda s: s.place)


def without_repeats(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Of the sightings of one window at the same place the best one."""
    kept: list[Sighting] = []
    for sighting in sorted(sightings, key=lambda s: s.order):
        box = sighting.observation.box
        if all(iou(box, other.observation.box) < SAME_PLACE for other in kept):
            kept.append(sighting)
    return sorted(kept, key=lambda s: s.place)


class Selector:
    """Says which sightings of a segment have to be read, as its frames come.

    The first and the last slot and window of a segment may be parts of ones that go on in other
    segments, so there nothing is left out that might be chosen.
    """

    def __init__(self) -> None:
        self._slot: int | None = None
        self._slots = self._windows = 0
        self._pending: list[Sighting] = []
        self._bests: list[Sighting] = []

    def add(self, seconds: float, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Takes in one frame, with or without sightings; gives what is to be read now."""
        slot = slot_of(seconds)
        ready: list[Sighting] = []
        if self._slot is not None and slot != self._slot:
            self._end_slot(whole=self._slots > 0)
            if slot // SLOTS_PER_WINDOW != self._slot // SLOTS_PER_WINDOW:
                ready = self._end_window(whole=self._windows > 0)
        self._slot = slot
        self._pending += sightings
        return ready

    def finish(self) -> list[Sighting]:
        """What is to be read after the segment's last frame."""
        self._end_slot(whole=False)
        return self._end_window(whole=False)

    def _end_slot(self, *, whole: bool) -> None:
        self._bests += best_of_slot(self._pending) if whole else self._pending
        self._pending = []
        self._slots += 1

    def _end_window(self, *, whole: bool) -> list[Sighting]:
        ready = without_repeats(self._bests) if whole else self._bests
        self._bests = []
        self._windows += 1
        return ready
